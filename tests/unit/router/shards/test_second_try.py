"""Tests which calls are retried on another shard if the first one cannot reach its store, and which are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.walks.unread import Unread
from sharq_core.errors import OutcomeUnknown, Overloaded, SharqError, StoreAway, StoreSilent, Unavailable
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import (
    FORMATS,
    Call,
    Enqueue,
    Failure,
    GetCounts,
    GetQueue,
    OnDue,
    Release,
    SetRate,
    ShardPort,
)
from sharq_core.models import (
    Counts,
    Enqueued,
    EnqueueStatus,
    LeaseOutcome,
    LeaseStatus,
    NewJob,
    QueueKey,
    QueueStats,
    ReleaseJob,
)
from sharq_core.partitions import partition_of

QUEUED = Enqueued(EnqueueStatus.QUEUED, 0)
AWAY = Failure("unavailable", "the store cannot be reached", is_away=True)
SILENT = Failure("outcome_unknown", "the store did not answer", is_away=True)
FULL = Failure("overloaded", "too much waits")


class Shard:
    """Answers calls with a list of answers, and with the last one from then on.

    Attributes:
        calls: all that it was asked.
    """

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls: list[Any] = []

    async def call(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SharqError):
            raise answer
        return answer

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""


class Directory:
    """One shard owns everything, and another stands in for it, perhaps."""

    partitions = 4
    sole_owner = None

    def __init__(self, owner: Shard, other: Shard | None) -> None:
        self.second_tries = 0
        self.formats = FORMATS
        self._owner, self._other = owner, other

    def owner(self, partition: int) -> ShardPort:
        return self._owner

    def shards(self) -> Sequence[ShardPort]:
        return [self._owner]

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nothing changes."""

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        return shards

    def stand_in(self, partition: int, failed: ShardPort) -> ShardPort | None:
        assert failed is self._owner
        return self._other

    def doubt(self, shard: ShardPort) -> None:
        """These tests do not call it."""

    async def covered(self) -> None:
        """These tests do not call it."""


def job(queue: str, job_id: str) -> NewJob:
    return NewJob("t", queue, job_id, payload=b"{}", requeue_limit=-1, interval_us=0)


async def test_a_job_that_was_not_done_is_asked_elsewhere_as_it_was() -> None:
    owner, other = Shard([AWAY]), Shard([QUEUED])
    directory = Directory(owner, other)
    assert await Dispatch(directory).route_job(Enqueue, job("q", "a")) == QUEUED
    assert other.calls == [Enqueue([job("q", "a")])]
    assert directory.second_tries == 1


async def test_a_job_that_was_perhaps_done_is_repeated_by_its_id() -> None:
    owner, other = Shard([SILENT]), Shard([QUEUED])
    assert await Dispatch(Directory(owner, other)).route_job(Enqueue, job("q", "a")) == QUEUED
    assert other.calls[0].jobs[0].repeat


async def test_a_release_that_was_perhaps_done_is_not_repeated() -> None:
    owner, other = Shard([SILENT]), Shard([LeaseOutcome(LeaseStatus.DONE)])
    (outcome,) = await Dispatch(Directory(owner, other)).release([ReleaseJob("t", "q", "a", "lease")])
    assert isinstance(outcome, OutcomeUnknown)
    assert other.calls == []
    owner, other = Shard([AWAY]), Shard([LeaseOutcome(LeaseStatus.DONE)])
    (outcome,) = await Dispatch(Directory(owner, other)).release([ReleaseJob("t", "q", "a", "lease")])
    assert outcome == LeaseOutcome(LeaseStatus.DONE)
    assert isinstance(other.calls[0], Release)


@pytest.mark.parametrize("second", [[AWAY], StoreAway("away, too"), Unavailable("gone")])
async def test_what_was_perhaps_done_stays_so_when_the_second_try_was_not_done(second: Any) -> None:
    """I9: "unavailable" says that nothing changed, and the first try may have changed something."""
    dispatch = Dispatch(Directory(Shard([SILENT]), Shard(second)))
    with pytest.raises(OutcomeUnknown):
        await dispatch.route_job(Enqueue, job("q", "a"))


LOST = OutcomeUnknown("the shard did not answer")


class MovingDirectory(Directory):
    """The other shard owns everything once the first one was asked."""

    def owner(self, partition: int) -> ShardPort:
        assert self._other is not None
        return self._other if self._owner.calls else self._owner


@pytest.mark.parametrize("first", [LOST, [SILENT]], ids=["call", "job"])
@pytest.mark.parametrize(
    "second", [AWAY, FULL, *(Enqueued(status, 0) for status in EnqueueStatus if status > 1)], ids=repr
)
async def test_a_job_that_was_perhaps_queued_stays_so_whatever_refuses_it_then(
    first: Any, second: Any
) -> None:
    """I9: the first call may run after the second, or on a server that the second one did not reach."""
    other = Shard([second])
    with pytest.raises(OutcomeUnknown):
        await Dispatch(MovingDirectory(Shard(first), other)).route_job(Enqueue, job("q", "a"))
    (outcome,) = await Dispatch(MovingDirectory(Shard(first), other)).enqueue([job("q", "a")])
    assert isinstance(outcome, OutcomeUnknown)
    assert len(other.calls) == 2


async def test_the_jobs_of_a_bulk_that_were_perhaps_queued_are_judged_one_by_one() -> None:
    early = Enqueued(EnqueueStatus.EXPIRES_EARLY, 0)
    duplicate = Enqueued(EnqueueStatus.DUPLICATE, 1)
    dispatch = Dispatch(MovingDirectory(Shard(LOST), Shard([QUEUED, AWAY, early, duplicate])))
    queued, away, refused, again = await dispatch.enqueue([job("q", job_id) for job_id in "abcd"])
    assert (queued, again) == (QUEUED, duplicate)
    assert isinstance(away, OutcomeUnknown)
    assert isinstance(refused, OutcomeUnknown)


async def test_nobody_is_asked_more_than_once_more() -> None:
    owner, other = Shard([AWAY]), Shard([AWAY])
    with pytest.raises(Unavailable):
        await Dispatch(Directory(owner, other)).route_job(Enqueue, job("q", "a"))
    assert (len(owner.calls), len(other.calls)) == (1, 1)


async def test_nobody_is_asked_when_nobody_reaches_the_store() -> None:
    owner = Shard([AWAY])
    with pytest.raises(Unavailable):
        await Dispatch(Directory(owner, None)).route_job(Enqueue, job("q", "a"))
    assert len(owner.calls) == 1


async def test_a_refusal_that_has_nothing_to_do_with_the_store_is_not_asked_elsewhere() -> None:
    owner, other = Shard([FULL, Failure("unavailable", "no replica")]), Shard([QUEUED])
    outcomes = await Dispatch(Directory(owner, other)).enqueue([job("q", "a"), job("q", "b")])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Overloaded", "Unavailable"]
    assert other.calls == []


async def test_the_failed_jobs_of_a_bulk_are_asked_elsewhere_together_and_in_order() -> None:
    jobs = [job("q", "a"), job("r", "b"), job("q", "c")]
    owner, other = Shard([AWAY, QUEUED, AWAY]), Shard([QUEUED, QUEUED])
    assert await Dispatch(Directory(owner, other)).enqueue(jobs) == [QUEUED] * 3
    assert other.calls == [Enqueue([jobs[0], jobs[2]])]


async def test_a_job_is_not_asked_again_behind_a_later_one_of_its_queue() -> None:
    """I3: a bulk call keeps its order."""
    owner, other = Shard([AWAY, QUEUED, AWAY]), Shard([QUEUED])
    first, second, third = await Dispatch(Directory(owner, other)).enqueue(
        [job("q", "a"), job("q", "b"), job("q", "c")]
    )
    assert isinstance(first, Unavailable)
    assert (second, third) == (QUEUED, QUEUED)
    assert [one.job_id for one in other.calls[0].jobs] == ["c"]


async def test_a_bulk_that_fails_as_a_whole_is_asked_elsewhere() -> None:
    owner, other = Shard(StoreSilent("no answer")), Shard([QUEUED, QUEUED])
    assert await Dispatch(Directory(owner, other)).enqueue([job("q", "a"), job("r", "b")]) == [QUEUED] * 2
    assert all(one.repeat for one in other.calls[0].jobs)


async def test_reads_and_changes_of_one_queue_are_asked_elsewhere_when_they_were_not_done() -> None:
    key = QueueKey("t", "q")
    stats = QueueStats(False, 0, 1, False, False, 0, 0, 0, None, None, [], [])
    owner, other = Shard(StoreAway("away")), Shard(stats)
    assert await Dispatch(Directory(owner, other)).route(GetQueue(key)) == stats
    assert other.calls == [GetQueue(key)]
    assert await Dispatch(Directory(Shard(StoreAway("away")), Shard(True))).route(SetRate(key, 5))
    with pytest.raises(OutcomeUnknown):
        await Dispatch(Directory(Shard(StoreSilent("perhaps")), Shard(True))).route(SetRate(key, 5))


async def test_counts_of_a_shard_that_is_away_come_from_those_that_stand_in_for_it() -> None:
    owner, other = Shard(StoreAway("away")), Shard(Counts(["t"], [(0, 3)], []))
    (counts,) = await Dispatch(Directory(owner, other)).counts(Unread(4))
    assert counts.enqueue_counts == [(0, 3)]
    assert other.calls == [GetCounts([0, 1, 2, 3])]


class DividedDirectory(Directory):
    """Each shard owns every other partition."""

    def owner(self, partition: int) -> ShardPort:
        assert self._other is not None
        return self._other if partition % 2 else self._owner


async def test_a_refused_job_that_is_alone_at_its_shard_leaves_the_others_their_answers() -> None:
    """I9: a bulk that is answered "nothing was done" although a job was queued would queue that job twice."""
    even, odd = (
        next(queue for queue in "abcdefgh" if partition_of("t", queue, 4) % 2 == rest) for rest in (0, 1)
    )
    dispatch = Dispatch(DividedDirectory(Shard(Overloaded("too much waits")), Shard([QUEUED])))
    refused, queued = await dispatch.enqueue([job(even, "a"), job(odd, "b")])
    assert isinstance(refused, Overloaded)
    assert queued == QUEUED


@pytest.mark.parametrize("error", [Overloaded("too much waits"), StoreAway("away")], ids=repr)
async def test_the_only_shard_answers_each_job_and_is_not_asked_about_none(error: SharqError) -> None:
    shard = Shard(error)
    dispatch = Dispatch(OneShard(shard, 4))
    assert await dispatch.enqueue([]) == []
    assert shard.calls == []
    outcomes = await dispatch.enqueue([job("q", "a"), job("r", "b")])
    assert [getattr(outcome, "code", None) for outcome in outcomes] == [error.code, error.code]
    with pytest.raises(type(error)):
        await dispatch.route_job(Enqueue, job("q", "a"))
