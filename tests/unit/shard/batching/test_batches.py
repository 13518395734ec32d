"""Tests how jobs become function calls and get their answers, with a store that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from shard.batching import batches
from shard.batching.batches import JobVerb
from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from shard.index.job_ends import JobEnds
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.link.catalogue import CALLS
from sharq_core.link.messages import Enqueue, Failure
from sharq_core.models import Enqueued, EnqueueStatus, NewJob
from sharq_core.partitions import Ring, partition_of
from sharq_core.process.counters import Durations
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Hint, Reply
from tests.support.nodes.lone_owner import lone_owner_notes

PARTITIONS = 8


class NumberingExecutor:
    """Answers each job with the number of jobs before it, as the length of its queue.

    Attributes:
        calls: the numbers of jobs of the calls of each pipeline.
        error: the answer of every call; None for success.
        hint: the hint of every answer.
        expired: the number of jobs that each call finds expired, and that of those that are dropped.
    """

    timeout_s = 60.0
    promises = False

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: SharqError | None = None
        self.hint = Hint(0, None, None)
        self.expired = (0, 0)
        self._jobs = 0

    def node_of(self, _partition: int) -> None:
        return None

    async def run(
        self, calls: Sequence[FunctionCall[Any]], _timeout_s: float
    ) -> list[Reply[list[Enqueued]] | SharqError]:
        self.calls.append([call.jobs for call in calls])
        await asyncio.sleep(0)
        expired = self.expired
        return [
            self.error
            or Reply(self.hint, self._answer(call.jobs), expired_jobs=expired[0], dropped_jobs=expired[1])
            for call in calls
        ]

    def _answer(self, jobs: int) -> list[Enqueued]:
        first, self._jobs = self._jobs, self._jobs + jobs
        return [Enqueued(EnqueueStatus.QUEUED, number) for number in range(first, first + jobs)]


class Noted:
    """The hints and outcomes that a verb has passed on, at a node that owns every partition."""

    def __init__(self) -> None:
        self.ownership = lone_owner_notes(PARTITIONS).ownership
        self.explained: set[str] = set()
        self.types: list[str] = []
        self.counted = 0
        self.expiries: list[tuple[str, int, int]] = []

    def note(self, _partition: int, queue_type: str, _hint: Hint) -> None:
        self.types.append(queue_type)

    def count(self, queue_type: str, _jobs: Sequence[Any], outcomes: Sequence[Any]) -> None:
        if queue_type == "uncountable":
            raise RuntimeError("this type cannot be counted")
        self.counted += len(outcomes)

    def count_results(self, outcomes: Sequence[Any]) -> None:
        raise AssertionError(f"enqueues have no results, got {outcomes}")

    def follow(self, *news: object) -> bool:
        raise AssertionError(f"caps do not follow enqueues, got {news}")

    def expired(self, queue_type: str, expired: int, dropped: int) -> None:
        self.expiries.append((queue_type, expired, dropped))


class Parts:
    """A verb over such a store.

    Attributes:
        deadlines: the partition and the time of arrival of each call that asked for its deadline.
    """

    def __init__(self) -> None:
        self.deadlines: list[tuple[int, float | None]] = []
        self.executor = NumberingExecutor()
        self.noted = Noted()
        notes = lone_owner_notes(PARTITIONS)
        pipeline = Pipeline(cast(Executor, self.executor), Durations([1.0]), [], notes)
        keys = Keys("t", PARTITIONS)
        made = SchedulerCalls(StoreCalls(keys, Retention()).sources, self._not_after_us, PARTITIONS)
        order = CALLS.index(Enqueue)
        noted = self.noted
        self.verb: JobVerb[NewJob, Enqueued] = JobVerb(
            Enqueue, order, pipeline, made, noted, noted, JobEnds(), noted, noted, noted
        )

    async def enqueue(self, *jobs: NewJob) -> list[Enqueued | Failure]:
        return await self.verb.submit(Enqueue(list(jobs)))

    def _not_after_us(self, partition: int, since: float | None = None) -> None:
        self.deadlines.append((partition, since))


@pytest.fixture
async def parts() -> Parts:
    return Parts()


def job(number: int, queue_type: str = "sms", payload: bytes = b"{}") -> NewJob:
    return NewJob(queue_type, "q", f"j{number}", payload, -1, 0)


async def test_the_jobs_that_a_call_finds_expired_are_counted_by_type(parts: Parts) -> None:
    await parts.enqueue(job(1))
    assert parts.noted.expiries == []
    parts.executor.expired = (3, 1)
    await parts.enqueue(job(2), job(3))
    await parts.enqueue(job(4, "mail"))
    assert parts.noted.expiries == [("sms", 3, 1), ("mail", 3, 1)]


async def test_jobs_of_one_queue_keep_their_order_over_several_calls(parts: Parts) -> None:
    """I3: a batch that is too large for one call is cut in order, and its answers are joined in order."""
    outcomes = await parts.enqueue(*map(job, range(3 * MAX_BATCH + 1)))
    lengths = [outcome.queue_length for outcome in outcomes if isinstance(outcome, Enqueued)]
    assert lengths == list(range(3 * MAX_BATCH + 1))
    assert [sum(calls) for calls in parts.executor.calls] == [3 * MAX_BATCH + 1]
    assert parts.executor.calls == [[MAX_BATCH] * 3 + [1]]


async def test_the_deadline_of_a_call_counts_from_the_arrival_of_its_first_job(parts: Parts) -> None:
    before = asyncio.get_running_loop().time()
    answer = parts.verb.submit(Enqueue([job(1)]))
    after = asyncio.get_running_loop().time()
    await asyncio.sleep(0.01)
    await answer
    ((partition, since),) = parts.deadlines
    assert partition == partition_of("sms", "q", PARTITIONS)
    assert since is not None
    assert before <= since <= after


async def test_payloads_over_the_bound_of_a_call_go_alone(parts: Parts) -> None:
    large = b"x" * (MAX_CALL_BYTES + 1)
    await parts.enqueue(job(1), job(2, payload=large), job(3), job(4))
    assert parts.executor.calls == [[1, 1, 2]]


async def test_jobs_over_the_bound_are_refused_and_the_others_sent(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I11: unsent work is bounded, and what is too much is answered at once."""
    monkeypatch.setattr(batches, "MAX_WAITING_JOBS", 2)
    first, second, third = await parts.enqueue(job(1), job(2), job(3))
    assert isinstance(first, Enqueued)
    assert isinstance(second, Enqueued)
    assert isinstance(third, Failure)
    assert third.code == Overloaded.code
    assert "2 unsent jobs" in third.message
    assert isinstance((await parts.enqueue(job(4)))[0], Enqueued)


async def test_the_error_of_a_call_is_that_of_each_job(parts: Parts) -> None:
    parts.executor.error = Unavailable("the store is away")
    outcomes = await parts.enqueue(job(1), job(2))
    assert outcomes == [Failure("unavailable", "the store is away")] * 2
    assert (parts.noted.types, parts.noted.counted) == ([], 0)


@pytest.mark.parametrize("hint", [Hint(0, 1, None), Hint(0, None, 1)])
async def test_hints_are_noted_and_outcomes_counted(parts: Parts, hint: Hint) -> None:
    parts.executor.hint = hint
    await parts.enqueue(job(1), job(2, "call"), job(3, "call"))
    assert sorted(parts.noted.types) == ["call", "sms"]
    assert parts.noted.counted == 3


async def test_a_hint_without_times_is_noted_only_if_its_type_is_explained(parts: Parts) -> None:
    parts.noted.explained.add("call")
    await parts.enqueue(job(1), job(2, "call"))
    assert parts.noted.types == ["call"]


async def test_a_hint_without_times_is_noted_if_its_partition_is_another_nodes(parts: Parts) -> None:
    parts.noted.ownership.change(Ring.build(2, frozenset({"b"}), PARTITIONS))
    await parts.enqueue(job(1))
    assert parts.noted.types == ["sms"]


async def test_call_whose_answer_fails_does_not_keep_the_others_of_its_pipeline_waiting(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(5):
        outcomes = await parts.enqueue(job(1, "uncountable"), job(2), job(3))
    assert all(isinstance(outcome, Enqueued) for outcome in outcomes)
    assert "answer_failed" in caplog.text


async def test_call_without_jobs_is_answered_at_once(parts: Parts) -> None:
    assert await parts.enqueue() == []
    assert parts.executor.calls == []
