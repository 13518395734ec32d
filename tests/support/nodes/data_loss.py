"""Watches nodes whose store lost its data, and accepts the loss as an operator does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shard.data_identity.loss import Accepted, DataSet
from shard.store_factory import make_store
from sharq_core.config import parse_url
from sharq_core.errors import Unavailable
from sharq_core.scheduler.data_set import DataCalls
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from tests.support.nodes.members import PARTITIONS, MemberNode, job_in
from tests.support.nodes.parts import PATIENT_S
from tests.support.stopwatch import running_stopwatch
from tests.support.stores.server import StoreServer
from tests.support.waits import DEADLINE_S, until

NOTICED_WITHIN_S = 2.0
BUSY_S = 4.0
"""Time that a busy machine may add."""


@asynccontextmanager
async def data_set(server: StoreServer, prefix: str, partitions: int = PARTITIONS) -> AsyncIterator[DataSet]:
    """Yield the data set of a store, as an operator's command sees it."""
    store, keys = make_store(parse_url(server.url), PATIENT_S), Keys(prefix, partitions)
    try:
        await store.open()
        yield DataSet(Executor(store, keys), DataCalls(keys), partitions)
    finally:
        await store.close()


async def accept(server: StoreServer, prefix: str) -> Accepted | None:
    async with data_set(server, prefix) as data:
        return await data.accept_loss()


def is_stopped(node: MemberNode) -> bool:
    """Return True if the node says that all of its data is lost."""
    guard = node.node.guard
    return guard.whole_reason is not None and guard.lost_partitions == PARTITIONS and not node.node.is_ready


def has_noticed(node: MemberNode) -> bool:
    return any("should hold the data set" in notice for notice in node.node.store.inspector.notices)


async def noticed(*nodes: MemberNode) -> None:
    """Wait until all nodes have noticed the loss, which has to be in time."""
    with running_stopwatch() as stopwatch:
        await until(lambda: all(map(has_noticed, nodes)))
        stopwatch.assert_within(NOTICED_WITHIN_S + BUSY_S)


async def looked(*nodes: MemberNode) -> None:
    """Wait until each node has found its data once more."""
    before = [node.node.guard.pulse.seen for node in nodes]
    for node, pulse in zip(nodes, before, strict=True):
        await until(lambda node=node, pulse=pulse: node.node.guard.pulse.seen != pulse)  # type: ignore[misc]


async def refused(node: MemberNode, partition: int = 0, job_id: str = "refused") -> str:
    """Send a job that is refused; return the reason."""
    try:
        await node.enqueue(job_in(partition, job_id))
    except Unavailable as error:
        return error.message
    except AssertionError:
        return "one of the jobs was refused"
    raise AssertionError("the job was taken")


async def served(node: MemberNode, partition: int, job_id: str) -> None:
    """Enqueue a job, and lease it."""
    await node.enqueue(job_in(partition, job_id))
    async with asyncio.timeout(DEADLINE_S):
        while await node.dequeue() != [job_id]:
            await asyncio.sleep(0.02)


def empty(server: StoreServer) -> None:
    """Restart it without its data."""
    server.kill()
    for path in (server.directory / "appendonlydir").iterdir():
        path.unlink()
    server.start()
