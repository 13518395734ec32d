"""Tests the number of calls in one pipeline, with a store that answers on command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from shard.batching.pipeline import (
    CALLS_AT_ONCE,
    FULL,
    IN_FLIGHT,
    JOBS_WHILE_AWAITED,
    Pipeline,
)
from sharq_core.process.counters import Durations
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Hint, Reply, decode_nothing
from tests.support.nodes.lone_owner import lone_owner_notes

PARTITION = 0
CALL = make_call(Keys("t", 1), library.TURN, PARTITION, "", None, [], decode_nothing)


async def some_ticks() -> None:
    """Enough of them for a task to begin and to send: before Python 3.12 it does not begin at once."""
    for _ in range(5):
        await asyncio.sleep(0)


class HeldExecutor:
    """Answers a pipeline when it is let go.

    Attributes:
        sent: calls of each pipeline so far.
        awaited_types: the types for which workers wait.
    """

    timeout_s = 60.0
    promises = False

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.awaited_types: list[str] = []
        self._held: list[asyncio.Event] = []

    def node_of(self, _partition: int) -> None:
        return None

    def has_promised(self, _call: FunctionCall[Any]) -> bool:
        return False

    async def run(self, calls: Sequence[FunctionCall[Any]], _timeout_s: float) -> list[Reply[None]]:
        self.sent.append(len(calls))
        go_on = asyncio.Event()
        self._held.append(go_on)
        await go_on.wait()
        return [Reply(Hint(0, None, None), None)] * len(calls)

    async def let_go(self) -> None:
        """Answer the pipeline that has waited longest, and see what is sent then."""
        self._held.pop(0).set()
        await some_ticks()


class OneCall:
    """A packed call about some jobs, for which nobody waits."""

    call = CALL
    size = 0
    follows = False

    def __init__(self, job_count: int) -> None:
        self.since = asyncio.get_running_loop().time()
        self.job_count = job_count

    def observe(self, _reply: Reply[Any], _sent_at: float) -> None:
        pass

    def deliver(self, _reply: object, _sent_at: float) -> None:
        pass


class Jobs:
    """Calls that gather until they are packed.

    Attributes:
        left: calls that are not packed yet.
        taken: calls that were packed.
        jobs_a_call: how many a call is about.
    """

    order = 0

    def __init__(self, pipeline: Pipeline) -> None:
        self.left = 0
        self.taken = 0
        self.jobs_a_call = 1
        self._pipeline = pipeline

    def add(self, count: int) -> None:
        self.left += count
        for _ in range(count):
            self._pipeline.gather(self, PARTITION)

    def pack(self) -> list[OneCall]:
        """One of the calls; the lane packs as many as fit one pipeline, one after the other."""
        self.left -= 1
        self.taken += 1
        return [OneCall(self.jobs_a_call)]


@pytest.fixture
async def executor() -> HeldExecutor:
    return HeldExecutor()


@pytest.fixture
async def pipeline(executor: HeldExecutor) -> Pipeline:
    return Pipeline(cast(Executor, executor), Durations([1.0]), executor.awaited_types, lone_owner_notes(1))


async def test_what_is_worth_a_pipeline_does_not_wait_for_the_rest(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    jobs = Jobs(pipeline)
    for count in (FULL - 1, 1, 3):
        jobs.add(count)
        pipeline.push()
    await some_ticks()
    assert executor.sent == [FULL, 3]


async def test_what_is_too_much_for_the_pipelines_stays_where_it_is_counted(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    """I11: under more load than the store takes, no call is packed before a pipeline has room for it."""
    jobs = Jobs(pipeline)
    jobs.add(100)
    await some_ticks()
    assert executor.sent == [CALLS_AT_ONCE] * IN_FLIGHT
    for _ in range(50):
        jobs.add(100)
        await executor.let_go()
        assert jobs.taken == sum(executor.sent)
    assert max(executor.sent) == CALLS_AT_ONCE


async def test_bulk_work_waits_for_the_pipeline_in_flight_where_other_nodes_keep_the_store_busy(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    pipeline.share_store(is_shared=True)
    jobs = Jobs(pipeline)
    for _ in range(5):
        jobs.add(3)
        await some_ticks()
    urgent = pipeline.submit(CALL, is_urgent=True)
    pipeline.push(is_urgent=True)
    await some_ticks()
    assert executor.sent == [3, 1]
    await executor.let_go()
    await executor.let_go()
    assert executor.sent == [3, 1, 12]
    assert urgent.done()


async def test_urgent_calls_are_not_behind_the_others(executor: HeldExecutor, pipeline: Pipeline) -> None:
    Jobs(pipeline).add(1000)
    await some_ticks()
    urgent = pipeline.submit(CALL, is_urgent=True)
    pipeline.push(is_urgent=True)
    await some_ticks()
    assert executor.sent == [*[CALLS_AT_ONCE] * IN_FLIGHT, 1]
    for _ in range(IN_FLIGHT + 1):
        await executor.let_go()
    assert urgent.done()


async def test_of_the_urgent_calls_of_a_tick_the_first_leaves_at_once_and_the_others_together(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    for _ in range(2):
        for _ in range(5):
            pipeline.submit(CALL, is_urgent=True)
            pipeline.push(is_urgent=True)
        assert executor.sent in ([], [1]), "before Python 3.12 a task does not begin at once"
        await some_ticks()
        assert executor.sent == [1, 4]
        for _ in executor.sent:
            await executor.let_go()
        executor.sent.clear()


@pytest.mark.parametrize(
    ("is_awaited", "most_calls"), [(True, JOBS_WHILE_AWAITED // 10), (False, CALLS_AT_ONCE)]
)
async def test_bulk_work_goes_in_small_pipelines_while_workers_wait(
    executor: HeldExecutor, pipeline: Pipeline, is_awaited: bool, most_calls: int
) -> None:
    executor.awaited_types += ["sms"] * is_awaited
    jobs = Jobs(pipeline)
    jobs.jobs_a_call = 10
    jobs.add(2 * CALLS_AT_ONCE)
    await some_ticks()
    while sum(executor.sent) < 2 * CALLS_AT_ONCE:
        await executor.let_go()
    assert max(executor.sent) == most_calls


async def test_what_does_not_fit_a_pipeline_shares_the_next_one(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    """The last packed call is one too many each time: it does not go alone afterwards."""
    executor.awaited_types.append("sms")
    jobs = Jobs(pipeline)
    jobs.jobs_a_call = JOBS_WHILE_AWAITED // 3
    jobs.add(30)
    await some_ticks()
    while sum(executor.sent) < 30:
        await executor.let_go()
    assert executor.sent == [3] * 10


async def test_batches_that_no_pipeline_has_room_for_still_gather(
    executor: HeldExecutor, pipeline: Pipeline
) -> None:
    first, last = Jobs(pipeline), Jobs(pipeline)
    last.order = 1
    last.add(1)
    first.add(IN_FLIGHT * CALLS_AT_ONCE)
    await some_ticks()
    assert (first.left, last.left) == (0, 1)
    await executor.let_go()
    assert (last.left, executor.sent) == (0, [*[CALLS_AT_ONCE] * IN_FLIGHT, 1])


async def test_call_with_more_jobs_than_that_goes_alone(executor: HeldExecutor, pipeline: Pipeline) -> None:
    executor.awaited_types.append("sms")
    jobs = Jobs(pipeline)
    jobs.jobs_a_call = JOBS_WHILE_AWAITED + 1
    jobs.add(4)
    await some_ticks()
    while sum(executor.sent) < 4:
        await executor.let_go()
    assert executor.sent == [1] * 4


@pytest.mark.parametrize("is_urgent", [True, False])
async def test_work_that_has_time_waits_until_every_other_call_has_its_answer(
    executor: HeldExecutor, pipeline: Pipeline, *, is_urgent: bool
) -> None:
    await pipeline.idle([PARTITION], 60.0)
    for _ in range(2):
        pipeline.submit(CALL, is_urgent=is_urgent)
        await some_ticks()
    waiting = asyncio.create_task(pipeline.idle([PARTITION], 60.0))
    await some_ticks()
    assert executor.sent == [1, 1]
    await executor.let_go()
    assert not waiting.done()
    await executor.let_go()
    await asyncio.wait_for(waiting, 10.0)


async def test_work_that_has_time_does_not_wait_for_ever(executor: HeldExecutor, pipeline: Pipeline) -> None:
    pipeline.submit(CALL)
    await some_ticks()
    await asyncio.wait_for(pipeline.idle([PARTITION], 0.01), 10.0)
    assert executor.sent == [1]
    await executor.let_go()
