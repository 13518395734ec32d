"""Redrive and drop of all dead letters end at what was dead when they began, while jobs go on dying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.shards.walks.dead_letters import DeadWalk
from shard.node import NodeSettings
from sharq_core.errors import OutcomeUnknown, Unavailable
from sharq_core.job_life import DeadLetter, DeadPage, DeadRef, RedriveStatus
from sharq_core.link.job_calls import ListDead
from sharq_core.link.messages import PartitionCall
from sharq_core.models import LeaseOutcome, ReleaseJob
from tests.support.nodes.parts import PATIENT_S, Parts, job, queues_in_different_partitions, running_node
from tests.support.stores.server import StoreServer

KIND = "sms"
ENDS_WITHIN_S = 60.0
"""Far above what the walks below take; before they were bounded they did not end at all."""


@pytest.fixture
async def parts(store: StoreServer, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        yield parts


async def enqueue_poison(parts: Parts, queue: str, first: int, count: int) -> None:
    """Jobs that die when they fail once."""
    jobs = [job(KIND, queue, f"{queue}-{number}", requeue_limit=0) for number in range(first, first + count)]
    await parts.dispatch.enqueue(jobs)


async def fail_some(parts: Parts) -> int:
    """Lease what is ready and fail it; returns how many jobs died."""
    leased = await parts.dequeue(KIND, 100)
    releases = [ReleaseJob(KIND, one.queue_id, one.job_id, one.lease) for one in leased]
    outcomes = await parts.dispatch.release(releases)
    return sum(isinstance(outcome, LeaseOutcome) and outcome.is_dead for outcome in outcomes)


@asynccontextmanager
async def failing_workers(parts: Parts, queues: list[str]) -> AsyncIterator[list[int]]:
    """Workers that fail every job, and a producer of more; gives how many jobs died so far, by worker."""
    deaths = [0, 0]

    async def work(number: int) -> None:
        while True:
            deaths[number] += await fail_some(parts)
            await asyncio.sleep(0)

    async def produce() -> None:
        number = 1_000_000
        while True:
            for queue in queues:
                await enqueue_poison(parts, queue, number, 20)
            number += 20

    tasks = [asyncio.create_task(work(0)), asyncio.create_task(work(1)), asyncio.create_task(produce())]
    try:
        yield deaths
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def bury(parts: Parts, queues: list[str], count: int) -> int:
    """So many dead letters of each queue; returns how many of all."""
    for queue in queues:
        await enqueue_poison(parts, queue, 0, count)
    died = 0
    while died < count * len(queues):
        died += await fail_some(parts)
    return died


@pytest.mark.slow
async def test_redrive_of_all_ends_while_every_job_fails_again(parts: Parts) -> None:
    queues = queues_in_different_partitions(KIND, 3)
    dead = await bury(parts, queues, 400)
    async with failing_workers(parts, queues) as deaths, asyncio.timeout(ENDS_WITHIN_S):
        before = sum(deaths)
        redriven = await parts.dispatch.dead_walk(KIND).redrive()
        died_meanwhile = sum(deaths) - before
    assert died_meanwhile > 0
    assert redriven <= dead + died_meanwhile
    assert dead <= redriven <= dead + 500, (
        "some may die between the first worker's lease and the call's begin"
    )


@pytest.mark.slow
async def test_drop_of_all_ends_while_jobs_go_on_dying(parts: Parts) -> None:
    queues = queues_in_different_partitions(KIND, 3)
    dead = await bury(parts, queues, 400)
    async with failing_workers(parts, queues), asyncio.timeout(ENDS_WITHIN_S):
        dropped = await parts.dispatch.dead_walk(KIND).drop()
    assert dead <= dropped <= dead + 500


@pytest.mark.parametrize("verb", ["redrive", "drop"])
async def test_a_walk_whose_client_left_stops_before_its_next_page(parts: Parts, verb: str) -> None:
    (queue,) = queues_in_different_partitions(KIND, 1)
    await bury(parts, [queue], 250)
    left_early = DeadWalk(parts.dispatch, KIND, lambda: left_early.done > 0)
    assert await getattr(left_early, verb)() == 100
    assert await getattr(DeadWalk(parts.dispatch, KIND, lambda: False), verb)() == 150


class Letters:
    """One partition whose shard says what it is told: for clocks that cannot be moved under a real store.

    Attributes:
        redriven: ids, in order.
    """

    partitions = 1

    def __init__(self, *pages: DeadPage) -> None:
        self._pages = list(pages)
        self.scans: list[str] = []
        self.redriven: list[str] = []
        self.error: Unavailable | None = None

    async def route(self, call: PartitionCall[object]) -> DeadPage:
        assert isinstance(call, ListDead)
        self.scans.append(call.scan)
        return self._pages.pop(0)

    async def redrive(self, jobs: list[DeadRef]) -> list[RedriveStatus | Unavailable]:
        if self.error is not None and self.redriven:
            return [self.error] * len(jobs)
        self.redriven += [one.job_id for one in jobs]
        return [RedriveStatus.QUEUED] * len(jobs)


def letter(job_id: str, died_us: int) -> DeadLetter:
    return DeadLetter("q", job_id, b"{}", 1, 0, died_us)


def walk(letters: Letters) -> DeadWalk:
    return DeadWalk(letters, KIND, lambda: False)  # type: ignore[arg-type] # of one kind of call


async def test_letters_of_a_clock_that_stepped_back_are_redriven_and_those_that_die_meanwhile_are_not() -> (
    None
):
    letters = Letters(
        DeadPage([letter("old", 90)], "x", 100),
        DeadPage([letter("old", 90), letter("again", 101)], "101:q:again", 102),
        DeadPage([letter("later", 104), letter("future", 5000)], "", 105),
    )
    assert await walk(letters).redrive() == 2
    assert letters.redriven == ["old", "future"]
    assert letters.scans == ["", "", "102:"]


async def test_a_clock_that_steps_back_during_the_walk_takes_the_bound_with_it() -> None:
    letters = Letters(
        DeadPage([letter("old", 5000)], "x", 6000),
        DeadPage([letter("old", 5000)], "5000:q:old", 6001),
        DeadPage([letter("new", 40), letter("older", 5500)], "5500:q:older", 50),
        DeadPage([letter("newer", 55)], "", 60),
    )
    assert await walk(letters).redrive() == 3
    assert letters.redriven == ["old", "new", "older"]


async def test_an_older_shard_that_tells_no_time_is_walked_to_its_end() -> None:
    letters = Letters(DeadPage([letter("a", 1)], "x"), DeadPage([letter("a", 1), letter("b", 2)], ""))
    assert await walk(letters).redrive() == 2


async def test_a_walk_that_fails_in_the_middle_says_that_something_was_done() -> None:
    """I9: "unavailable" says that nothing was."""
    letters = Letters(
        DeadPage([letter("a", 1)], "x", 10),
        DeadPage([letter("a", 1)], "1:q:a", 10),
        DeadPage([letter("b", 2)], "", 10),
    )
    letters.error = Unavailable("the store cannot be reached")
    with pytest.raises(OutcomeUnknown, match="1 dead letter was done, then: the store cannot be reached"):
        await walk(letters).redrive()
