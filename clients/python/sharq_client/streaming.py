"""Forms a stream of jobs into bulk calls, and keeps account of their answers. No I/O: see aio/ and sync/streaming.py.

The jobs of one queue travel in one lane, whose calls are sent one after the other: so they keep their order although
several calls are in flight. At any time at most two calls of each lane are in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from sharq_client import errors
from sharq_client.answers import Answers, Enqueued
from sharq_client.bodies import EnqueueBody, ready_to_send
from sharq_client.bulk import MAX_JOBS_A_CALL, Result, size_bytes
from sharq_client.requests import Enqueueable, EnqueueJob

MAX_IN_FLIGHT = 64
"""The most calls of one stream in flight."""

MAX_BYTES_A_STREAM_CALL = 1024 * 1024
"""The limit of bytes in one call of a stream, far below the server's, so that large payloads take little memory."""

MAX_FAILURES = 1_000
"""The failures that a summary lists; it counts all of them."""

MAX_AGE_S = 1.0
"""The time after which a call is sent although it is not full, at the next job of a slow iterable."""

_OF_THE_JOB = (errors.InvalidRequest, errors.TooLarge, errors.QueueFull, errors.BatchCancelled)
"""The errors that concern one job only. Any other one would come again for the next job, so it stops a stream."""


class EnqueueFailure(NamedTuple):
    """A job that the server refused.

    Attributes:
        index: the place of the job in the stream, 0 for the first.
        job_id: the id of the job; empty if it was not valid and had none.
    """

    index: int  # type: ignore[assignment] # hides the method of tuples, which nobody needs here
    job_id: str
    error: errors.SharqError


class EnqueueProgress(msgspec.Struct, frozen=True):
    """The state of a call of enqueue_many that is under way.

    Attributes:
        sent: the number of jobs that have their answer: `queued + duplicates + failed`.
        queued: the number of jobs that the server queued.
        duplicates: the number of jobs that the server had already.
        failed: the number of jobs that were refused.
        resume_at: the index of the first job without an answer. A stream that is sent again from there, with the same
            job_ids and `repeat=True`, loses no job and queues none twice.
    """

    sent: int
    queued: int
    duplicates: int
    failed: int
    resume_at: int


class EnqueueSummary(msgspec.Struct, frozen=True):
    """The answer to a stream of jobs. Its length is `sent`.

    Attributes:
        sent, queued, duplicates, failed: as in EnqueueProgress.
        failures: the first 1,000 jobs that were refused, each as (index, job_id, error).
    """

    sent: int
    queued: int
    duplicates: int
    failed: int
    failures: tuple[EnqueueFailure, ...] = ()

    def __len__(self) -> int:
        return self.sent

    def __bool__(self) -> bool:
        return True


class EnqueueAnswers(Answers[Enqueued | errors.SharqError]):
    """The answers to a list of jobs: one for each job, in order. It has the numbers of EnqueueSummary, too."""

    @property
    def sent(self) -> int:
        """The number of jobs."""
        return len(self)

    @property
    def queued(self) -> int:
        """The number of jobs that the server queued. Cost: O(jobs)."""
        return sum(isinstance(answer, Enqueued) and not answer.duplicate for answer in self)

    @property
    def duplicates(self) -> int:
        """The number of jobs that the server had already. Cost: O(jobs)."""
        return sum(isinstance(answer, Enqueued) and answer.duplicate for answer in self)


OnProgress = Callable[[EnqueueProgress], object]


class StreamCall(NamedTuple):
    """The jobs of one call of a stream, with their places in it.

    Attributes:
        lane: the number of its lane. Its call begins when the call before in this lane has ended.
    """

    lane: int
    indexes: list[int]
    bodies: list[EnqueueBody]


class _Lane:
    """The jobs that are gathered for the next call of a lane."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._size_bytes = 0
        self.indexes: list[int] = []
        self.bodies: list[EnqueueBody] = []
        self.begun_s = 0.0

    def has_room_for(self, job_bytes: int) -> bool:
        """Return True if the call stays within its limits with one job more."""
        if len(self.bodies) >= MAX_JOBS_A_CALL:
            return False
        return not self.bodies or self._size_bytes + job_bytes <= MAX_BYTES_A_STREAM_CALL

    def add(self, index: int, body: EnqueueBody, job_bytes: int, now_s: float) -> None:
        """Gather one job."""
        if not self.bodies:
            self.begun_s = now_s
        self.indexes.append(index)
        self.bodies.append(body)
        self._size_bytes += job_bytes

    def is_overdue(self, now_s: float) -> bool:
        """Return True if its first job has waited for too long."""
        return bool(self.bodies) and now_s >= self.begun_s + MAX_AGE_S

    def take(self) -> StreamCall:
        """Return the jobs, and begin with none."""
        batch = StreamCall(self._number, self.indexes, self.bodies)
        self.indexes, self.bodies, self._size_bytes = [], [], 0
        return batch


class EnqueueStream:
    """A stream of jobs on its way to the server.

    Attributes:
        stopped_by: the error for which it ends early; None for none. A list ends early only if a call fails as a whole.
    """

    def __init__(
        self, jobs: object, in_flight: int, *, repeat: bool = False, on_progress: OnProgress | None = None
    ) -> None:
        """Begin a stream.

        Args:
            jobs: the iterable; of a Sequence all answers are kept.
            in_flight: the number of lanes.
            repeat: True to mark every job as perhaps sent before.

        Raises:
            ValueError: in_flight is not 1 to MAX_IN_FLIGHT.
            TypeError: jobs is one job, or text.
        """
        if not 1 <= in_flight <= MAX_IN_FLIGHT:
            raise ValueError(f"in_flight: expected 1 to {MAX_IN_FLIGHT}, got {in_flight}")
        if isinstance(jobs, Mapping | str | bytes | EnqueueJob):
            raise TypeError(f"jobs: expected an iterable of jobs, got {type(jobs).__name__}")
        self._answers = EnqueueAnswers([_UNANSWERED] * len(jobs)) if isinstance(jobs, Sequence) else None
        self._repeat = repeat
        self._on_progress = on_progress
        # Until one call is full, all jobs gather in it, so that a short list is one call.
        self._first: _Lane | None = _Lane(0)
        self._lanes = [_Lane(number) for number in range(in_flight)]
        self._in_flight: set[int] = set()
        self._look_again_s = 0.0
        self._queued = self._duplicates = self._failed = self._read = 0
        self._failures: list[EnqueueFailure] = []
        self._lost_at: int | None = None
        self.stopped_by: errors.SharqError | None = None

    def add(self, job: Enqueueable) -> Sequence[StreamCall]:
        """Take one job, and return the calls that are to be sent now. Most often there is none."""
        index = self._read
        self._read = index + 1
        try:
            body = ready_to_send(job, repeat=self._repeat)
        except errors.InvalidRequest as error:
            self._fail(index, _id_of(job), error)
            return ()
        now_s, job_bytes = time.monotonic(), size_bytes(body)
        if self._first is not None:
            if self._first.has_room_for(job_bytes) and not self._first.is_overdue(now_s):
                self._first.add(index, body, job_bytes, now_s)
                return ()
            first, self._first = self._first, None
            self._spread(first)
        lane = self._lane_of(body)
        departing = [] if lane.has_room_for(job_bytes) else [self._depart(lane)]
        lane.add(index, body, job_bytes, now_s)
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + MAX_AGE_S / 4
            departing += [self._depart(each) for each in self._lanes if each.is_overdue(now_s)]
        return departing

    def rest(self) -> Iterator[StreamCall]:
        """Yield the calls that remain once all jobs were taken."""
        for lane in [self._first] if self._first is not None else self._lanes:
            if lane.bodies:
                yield self._depart(lane)

    def record(self, batch: StreamCall, answers: Sequence[Result | errors.SharqError]) -> None:
        """Take the answers to a call, one for each of its jobs, and report the progress."""
        self._in_flight.discard(batch.indexes[0])
        for index, body, answer in zip(batch.indexes, batch.bodies, answers, strict=True):
            if isinstance(answer, errors.SharqError):
                self._fail(index, body.job_id or "", answer)
                continue
            if answer.duplicate:
                self._duplicates += 1
            else:
                self._queued += 1
            if self._answers is not None:
                job_id = body.job_id or answer.job_id
                self._answers[index] = Enqueued(job_id, answer.duplicate, answer.current_queue_length)
        first = answers[0]
        if isinstance(first, errors.SharqError) and stops(first) and all(each is first for each in answers):
            self.stopped_by = self.stopped_by or first
        if self._on_progress is not None:
            self._on_progress(self._progress())

    def outcome(self) -> EnqueueAnswers | EnqueueSummary:
        """Return the answers to a list, or the summary of another iterable.

        Raises:
            EnqueueStopped: the stream ended early.
        """
        if self._answers is not None:
            return (
                self._answers if self.stopped_by is None else self._completed(self._answers, self.stopped_by)
            )
        progress = self._progress()
        failures = tuple(sorted(self._failures, key=lambda failure: failure.index))
        summary = EnqueueSummary(
            progress.sent, progress.queued, progress.duplicates, progress.failed, failures
        )
        if self.stopped_by is not None:
            raise errors.EnqueueStopped(summary, progress.resume_at, self.stopped_by) from self.stopped_by
        return summary

    def _completed(self, answers: EnqueueAnswers, error: errors.SharqError) -> EnqueueAnswers:
        """Return the answers with an error for each job that was not sent, since an earlier call failed as a whole."""
        unsent = errors.Unavailable(f"not sent, because an earlier call failed: {error.message}")
        return EnqueueAnswers(unsent if answer is _UNANSWERED else answer for answer in answers)

    def note(self) -> str:
        """Return the progress as a sentence, for the error of an iterable that failed."""
        progress = self._progress()
        return f"enqueue_many: the jobs before index {progress.resume_at} were sent, {progress.failed} of them refused"

    def _progress(self) -> EnqueueProgress:
        begun = [lane.indexes[0] for lane in self._gathering() if lane.indexes]
        lost = [] if self._lost_at is None else [self._lost_at]
        resume_at = min([*begun, *self._in_flight, *lost], default=self._read)
        sent = self._queued + self._duplicates + self._failed
        return EnqueueProgress(sent, self._queued, self._duplicates, self._failed, resume_at)

    def _gathering(self) -> list[_Lane]:
        return self._lanes if self._first is None else [self._first, *self._lanes]

    def _spread(self, first: _Lane) -> None:
        for index, body in zip(first.indexes, first.bodies, strict=True):
            self._lane_of(body).add(index, body, size_bytes(body), first.begun_s)

    def _lane_of(self, body: EnqueueBody) -> _Lane:
        return self._lanes[hash((body.queue_type, body.queue_id)) % len(self._lanes)]

    def _depart(self, lane: _Lane) -> StreamCall:
        batch = lane.take()
        self._in_flight.add(batch.indexes[0])
        return batch

    def _fail(self, index: int, job_id: str, error: errors.SharqError) -> None:
        if self._answers is not None:
            self._answers[index] = error
        elif stops(error):
            self.stopped_by = self.stopped_by or error
            self._lost_at = index if self._lost_at is None else min(self._lost_at, index)
            return
        self._failed += 1
        if len(self._failures) < MAX_FAILURES:
            self._failures.append(EnqueueFailure(index, job_id, error))


_UNANSWERED = errors.Unavailable("not sent")


def stops(error: errors.SharqError) -> bool:
    """Return True if an error says nothing about its job, so that further jobs would fail, too."""
    return not isinstance(error, _OF_THE_JOB)


def _id_of(job: object) -> str:
    job_id = job.get("job_id") if isinstance(job, Mapping) else getattr(job, "job_id", None)
    return job_id if isinstance(job_id, str) else ""
