"""Workers that begin to wait at the moment at which the node stops asking for slots, or reading what is parked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.cluster.caps.test_named_caps import KIND, counts, put_cap
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.waits import until, until_answer


async def as_it_ends(name: str) -> AsyncIterator[None]:
    """Yield once a task has ended, before its callbacks have run."""
    await until(lambda: tasks_named(name))
    (task,) = tasks_named(name)
    while not task.done():
        await asyncio.sleep(0)
    yield


def tasks_named(name: str) -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == name]


def on_due(_: int | None) -> None:
    """Ignore that a type is due."""


async def test_a_worker_that_comes_as_the_last_look_is_over_gets_slots(parts: Parts) -> None:
    index = parts.node.parts.index
    await put_cap(parts.node, "acct", 50_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(9)))
    await until_answer(lambda: parts.dequeue(KIND))
    index.subscribe(KIND, on_due)
    await until(lambda: counts(parts)["taken"] >= 2)
    index.unsubscribe(KIND, on_due)
    async for _ in as_it_ends("CapSet._run"):
        taken = counts(parts)["taken"]
        index.subscribe(KIND, on_due)
    await until(lambda: counts(parts)["taken"] > taken)
