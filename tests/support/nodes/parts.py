"""A shard node and the router's parts over it, in this process, on a real store: for tests of what lies below HTTP."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from router.longpoll.dequeues import Polls
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from shard.node import NodeSettings, ShardNode
from shard.store_factory import make_store
from sharq_core.config import StoreAddress, parse_url
from sharq_core.models import Enqueued, EnqueueStatus, LeasedJob, NewJob
from sharq_core.partitions import partition_of
from sharq_core.store.replication.durability import Durability

LEASE_US = 60_000_000

PATIENT_S = 30.0
"""The store's timeout of tests that are not about it, and ask for more than a busy machine does in 2 s. A clock that
steps by less than that may let a late call pass.
"""


class Parts:
    """A node, and the dispatch and polls of a router over it."""

    def __init__(self, node: ShardNode, registry: CollectorRegistry) -> None:
        self.node = node
        self.registry = registry
        directory = OneShard(node, node.settings.partitions)
        self.dispatch = Dispatch(directory)
        self.polls = Polls(directory)

    async def dequeue(
        self,
        queue_type: str,
        count: int = 1,
        wait_us: int = 0,
        lease_us: int = LEASE_US,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> list[LeasedJob]:
        return await self.polls.dequeue((queue_type,), count, lease_us, wait_us, is_gone)


@asynccontextmanager
async def running_node(
    store: str | StoreAddress,
    settings: NodeSettings,
    timeout_s: float = 2.0,
    durability: Durability = Durability.FAST,
    is_strict: bool = False,
) -> AsyncIterator[Parts]:
    """A started node on a store, named by its URL or address; it is stopped at the end."""
    registry = CollectorRegistry()
    address = parse_url(store) if isinstance(store, str) else store
    node = ShardNode(settings, make_store(address, timeout_s, durability, is_strict=is_strict), registry)
    try:
        await node.start()
        yield Parts(node, registry)
    finally:
        await node.stop()


async def enqueued(parts: Parts, *jobs: NewJob) -> None:
    """Enqueue jobs, all of which are new."""
    outcomes = await parts.dispatch.enqueue(list(jobs))
    statuses = [outcome.status for outcome in outcomes if isinstance(outcome, Enqueued)]
    assert statuses == [EnqueueStatus.QUEUED] * len(jobs)


def job(queue_type: str, queue_id: str, job_id: str, **more: object) -> NewJob:
    """Return a job, of an unlimited queue unless told otherwise."""
    fields: dict[str, object] = {"payload": b"{}", "requeue_limit": -1, "interval_us": 0, **more}
    return NewJob(queue_type, queue_id, job_id, **fields)  # type: ignore[arg-type]


def queues_in_different_partitions(queue_type: str, count: int, partitions: int = 64) -> list[str]:
    """Ids of queues of which no two are in one partition."""
    found: dict[int, str] = {}
    for number in itertools.count():
        found.setdefault(partition_of(queue_type, f"q{number}", partitions), f"q{number}")
        if len(found) == count:
            return list(found.values())
    raise AssertionError
