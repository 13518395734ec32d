"""Groups jobs that arrive together into few function calls, by partition and type, in order.

The calls are bounded in jobs and bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from shard.batching.pipeline import HasRoom, Pending, Pipeline
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.link.messages import Addressed, Failure
from sharq_core.logs.plurals import counted
from sharq_core.partitions import partition_of
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.replies import Hint, Reply

MAX_WAITING_JOBS = 20_000
MAX_WAITING_BYTES = 64 << 20
"""The bounds of unsent work of one verb, about a second's work. Jobs beyond them are refused at once (I11)."""


JobT = TypeVar("JobT", bound=Addressed)
OutcomeT = TypeVar("OutcomeT")

OnHint = Callable[[int, str, Hint], None]
"""Called with (partition, queue type, hint) of a reply."""


class Batches(Generic[JobT, OutcomeT]):
    """The waiting jobs of one verb.

    Args:
        make_call: makes the call for some jobs of one partition and type, given the loop's time in seconds at which the
            oldest of them arrived.
        on_hint: called with the hint of each reply.
        size_of: returns the payload bytes of a job.
        on_outcomes: called with (queue type, outcomes) of each call that was done.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: int,
        make_call: Callable[[int, str, list[JobT], float], FunctionCall[list[OutcomeT]]],
        on_hint: OnHint,
        size_of: Callable[[JobT], int] = lambda _: 0,
        on_outcomes: Callable[[str, list[OutcomeT]], None] = lambda _type, _outcomes: None,
    ) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._make_call = make_call
        self._on_hint = on_hint
        self._size_of = size_of
        self._on_outcomes = on_outcomes
        self._loop = asyncio.get_running_loop()
        self._groups: dict[tuple[int, str], _Group[JobT, OutcomeT]] = {}
        self._count = 0
        self._bytes = 0
        pipeline.add_source(self._take)

    def add(self, jobs: Sequence[JobT]) -> asyncio.Future[list[OutcomeT | Failure]]:
        """Send the jobs of one call with the next pipelines; the future has one answer per job, in order.

        A job is refused at once if too many wait already; the other jobs of its call are not affected.
        """
        batch: _Call[OutcomeT] = _Call(len(jobs), self._loop.create_future())
        for index, job in enumerate(jobs):
            size = self._size_of(job)
            if self._has_room_for(size):
                self._group_of(job).add(job, size, batch, index)
                self._count += 1
                self._bytes += size
            else:
                batch.settle(index, _failure(self._overloaded()))
        return batch.answers

    def _has_room_for(self, size: int) -> bool:
        return (
            self._count < MAX_WAITING_JOBS
            and self._bytes + self._pipeline.waiting_bytes + size <= MAX_WAITING_BYTES
        )

    def _overloaded(self) -> Overloaded:
        waiting = self._bytes + self._pipeline.waiting_bytes
        return Overloaded(
            f"this node holds {counted(self._count, 'unsent job')} of {counted(waiting, 'byte')}; try again in a moment"
        )

    def _group_of(self, job: JobT) -> _Group[JobT, OutcomeT]:
        key = (partition_of(job.queue_type, job.queue_id, self._partitions), job.queue_type)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self._loop.time())
            self._pipeline.wake(key[0])
        return group

    def _take(self, has_room: HasRoom) -> list[Pending]:
        """Return the calls for the partitions whose server has room; the other jobs keep waiting."""
        pending: list[Pending] = []
        for key in [key for key in self._groups if has_room(key[0])]:
            group = self._groups.pop(key)
            self._count -= len(group.jobs)
            self._bytes -= group.bytes
            pending += [
                self._pack(key, chunk, follows=index > 0) for index, chunk in enumerate(group.chunks())
            ]
        return pending

    def _pack(self, key: tuple[int, str], chunk: _Group[JobT, OutcomeT], *, follows: bool) -> Pending:
        partition, queue_type = key

        def note(reply: Reply[list[OutcomeT]], _: float) -> None:
            self._on_hint(partition, queue_type, reply.hint)

        def deliver(reply: Reply[list[OutcomeT]] | SharqError, _: float) -> None:
            if isinstance(reply, SharqError):
                chunk.fail(reply)
            elif reply.value is None:
                chunk.fail(Unavailable("the call reached the store too late; nothing was done"))
            else:
                chunk.answer(reply.value)
                self._on_outcomes(queue_type, reply.value)

        call = self._make_call(partition, queue_type, chunk.jobs, chunk.since)
        return Pending(call, chunk.since, len(chunk.jobs), chunk.bytes, follows, note, deliver)


class _Call(Generic[OutcomeT]):
    """The outcomes of one call's jobs so far; `answers` is set once the last one is known."""

    def __init__(self, size: int, answers: asyncio.Future[list[OutcomeT | Failure]]) -> None:
        self.answers = answers
        self._outcomes: list[Any] = [None] * size
        self._remaining = size
        if not size:
            answers.set_result([])

    def settle(self, index: int, outcome: OutcomeT | Failure) -> None:
        self._outcomes[index] = outcome
        self._remaining -= 1
        if not self._remaining and not self.answers.done():
            self.answers.set_result(self._outcomes)


class _Group(Generic[JobT, OutcomeT]):
    """The waiting jobs of one partition and type, each with its call and its index in that call."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.jobs: list[JobT] = []
        self.bytes = 0
        self._sizes: list[int] = []
        self._calls: list[tuple[_Call[OutcomeT], int]] = []

    def add(self, job: JobT, size: int, call: _Call[OutcomeT], index: int) -> None:
        self.jobs.append(job)
        self.bytes += size
        self._sizes.append(size)
        self._calls.append((call, index))

    def chunks(self) -> list[_Group[JobT, OutcomeT]]:
        """Return the group, cut in order into parts that fit one call; a job over the byte bound goes alone."""
        if len(self.jobs) <= MAX_BATCH and self.bytes <= MAX_CALL_BYTES:
            return [self]
        chunks: list[_Group[JobT, OutcomeT]] = []
        room = 0
        for job, size, (call, index) in zip(self.jobs, self._sizes, self._calls, strict=True):
            if not chunks or len(chunks[-1].jobs) == MAX_BATCH or size > room:
                chunks.append(_Group(self.since))
                room = MAX_CALL_BYTES
            chunks[-1].add(job, size, call, index)
            room -= size
        return chunks

    def answer(self, outcomes: Sequence[OutcomeT]) -> None:
        for (call, index), outcome in zip(self._calls, outcomes, strict=True):
            call.settle(index, outcome)

    def fail(self, error: SharqError) -> None:
        for call, index in self._calls:
            call.settle(index, _failure(error))


def _failure(error: SharqError) -> Failure:
    return Failure(error.code, error.message, error.is_away)
