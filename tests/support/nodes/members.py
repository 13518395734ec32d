"""Shard nodes that are members, several in this process, on a real store: for tests of who owns what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from shard.cluster.membership import Membership
from shard.node import NodeSettings, ShardNode
from shard.store_factory import make_store
from sharq_core.config import StoreAddress, parse_url
from sharq_core.link.job_calls import ListDead
from sharq_core.link.messages import Dequeue, Dequeued, Enqueue, GetJob, Peek, View
from sharq_core.models import Enqueued, EnqueueStatus, JobState, NewJob, QueueKey
from sharq_core.partitions import Ring, partition_of
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from tests.support.nodes.parts import LEASE_US, PATIENT_S, job

INTERVAL_S = 0.1
TTL_S = 0.6
PARTITIONS = 64
KIND = "sms"


class MemberNode:
    """A node and its membership, as `sharq-shard` puts them together.

    Attributes:
        views: all that it was told, oldest first.
    """

    def __init__(
        self,
        url: str | StoreAddress,
        prefix: str,
        node_id: str,
        address: str,
        dead_limit: int,
        continues_on_data_loss: bool,
        timeout_s: float,
    ) -> None:
        settings = NodeSettings(
            node_id=node_id,
            key_prefix=prefix,
            partitions=PARTITIONS,
            reap_every_s=0.2,
            dead_limit=dead_limit,
            continues_on_data_loss=continues_on_data_loss,
        )
        store = parse_url(url) if isinstance(url, str) else url
        keys = Keys(prefix, PARTITIONS)
        self.node_id = node_id
        self.node = ShardNode(settings, make_store(store, timeout_s), CollectorRegistry(), Ring(0, (), ()))
        self.membership = Membership(
            Executor(self.node.store, keys),
            keys,
            node_id,
            address,
            interval_s=INTERVAL_S,
            ttl_s=TTL_S,
            on_view=self._on_view,
            guard=self.node.guard,
        )
        self.views: list[View] = []
        self.beating: asyncio.Task[None] | None = None

    def _on_view(self, view: View) -> None:
        self.views.append(view)
        self.node.follow(view)

    async def join(self) -> None:
        """Open the store, be a member, and stay one."""
        await self.node.start()
        await self.node.until_open()
        await self.membership.join()
        self.beat()

    def beat(self) -> None:
        """Go on with the heartbeats."""
        self.beating = asyncio.create_task(self.membership.run())

    def fall_silent(self) -> None:
        """No more heartbeats, as if the process were paused or dead."""
        assert self.beating is not None
        self.beating.cancel()

    async def stop(self) -> None:
        """End it without a word to the others."""
        if self.beating is not None:
            self.beating.cancel()
            await asyncio.gather(self.beating, return_exceptions=True)
        await self.node.stop()

    @property
    def owned(self) -> list[int]:
        return self.node.ring.owned_by(self.node_id)

    @property
    def known(self) -> list[str]:
        """The ids of the members that it knows."""
        return [member.node_id for member in self.membership.view.members]

    async def enqueue(self, *jobs: NewJob) -> None:
        outcomes = await self.node.call(Enqueue(list(jobs)))
        statuses = [outcome.status for outcome in outcomes if isinstance(outcome, Enqueued)]
        assert statuses == [EnqueueStatus.QUEUED] * len(jobs)

    async def dequeue(self, count: int = 1, lease_us: int = LEASE_US) -> list[str]:
        """Ids of leased jobs."""
        answer: Dequeued = await self.node.call(Dequeue(KIND, count, lease_us))
        return [leased.job_id for leased in answer.jobs]

    async def state_of(self, one: NewJob) -> JobState | None:
        """Return the state of a job; None for one that is gone."""
        status = await self.node.call(GetJob(QueueKey(one.queue_type, one.queue_id), one.job_id))
        return None if status is None else status.state

    async def count_dead(self) -> int:
        """Dead letters in the partitions that it owns, at most 100 of each."""
        pages = [await self.node.call(ListDead(KIND, partition, "", 100)) for partition in self.owned]
        return sum(len(page.jobs) for page in pages)

    async def peek(self) -> int | None:
        return await self.node.call(Peek(KIND))


class Nodes:
    """The member nodes of one test."""

    def __init__(
        self, url: str | StoreAddress, prefix: str, continues_on_data_loss: bool, timeout_s: float
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._continues = continues_on_data_loss
        self._made: list[MemberNode] = []

    def make(self, node_id: str, *, address: str | None = None, dead_limit: int = 1000) -> MemberNode:
        """Return a node that has not joined yet."""
        node = MemberNode(
            self._url,
            self._prefix,
            node_id,
            address or f"{node_id}:8090",
            dead_limit,
            self._continues,
            self._timeout_s,
        )
        self._made.append(node)
        return node

    async def join(self, *node_ids: str, dead_limit: int = 1000) -> list[MemberNode]:
        """Nodes that joined one after the other."""
        nodes = [self.make(node_id, dead_limit=dead_limit) for node_id in node_ids]
        for node in nodes:
            await node.join()
        return nodes

    async def stop(self) -> None:
        for node in self._made:
            await node.stop()


@asynccontextmanager
async def running_nodes(
    url: str | StoreAddress,
    prefix: str,
    *,
    continues_on_data_loss: bool = False,
    timeout_s: float = PATIENT_S,
) -> AsyncIterator[Nodes]:
    """A place for member nodes, which all end with it."""
    nodes = Nodes(url, prefix, continues_on_data_loss, timeout_s)
    try:
        yield nodes
    finally:
        await nodes.stop()


def agree(*nodes: MemberNode) -> bool:
    """Return True if nodes have the same view, and own all partitions together, none twice."""
    owned = sorted(partition for node in nodes for partition in node.owned)
    return len({node.membership.view for node in nodes}) == 1 and owned == list(range(PARTITIONS))


def job_in(partition: int, job_id: str, **more: object) -> NewJob:
    """Return a job of an unlimited queue of that partition."""
    numbers = (
        number for number in range(100_000) if partition_of(KIND, f"q{number}", PARTITIONS) == partition
    )
    return job(KIND, f"q{next(numbers)}", job_id, **more)
