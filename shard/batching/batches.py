"""Groups jobs that arrive together into few function calls, by verb, partition and type, in order.

The calls are bounded in jobs and bytes. shard/batching/lane.py sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shard.batching.lane import OwnPartitions
from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import SchedulerCalls
from shard.index.job_ends import JobEnds, NamedJob
from shard.metrics.outcome_counters import ExpiryCounter, OutcomeCounter, ResultCounter
from sharq_core.errors import Overloaded, SharqError, StoreFull, Unavailable
from sharq_core.link.messages import Extend, Failure, Finish, JobsCall, Release
from sharq_core.logs.plurals import counted
from sharq_core.partitions import partition_of
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.replies import Hint, Reply
from sharq_core.telemetry import call_traces
from sharq_core.telemetry.call_traces import CallTrace

MAX_WAITING_JOBS = 20_000
MAX_WAITING_BYTES = 64 << 20
"""The bounds of unsent work of one verb, about a second's work. Jobs beyond them are refused at once (I11)."""

JobT = TypeVar("JobT", bound=NamedJob)
OutcomeT = TypeVar("OutcomeT")


class CallOfJobs(Protocol[JobT]):
    """A JobsCall."""

    @property
    def jobs(self) -> list[JobT]:
        """The jobs, in order."""
        ...


class HintNotes(Protocol):
    """The parts of the node that use the hint of a reply (shard/index/hints.py)."""

    @property
    def ownership(self) -> OwnPartitions:
        """The partitions of this node. A hint about one of them need not be noted if it has no time."""
        ...

    @property
    def explained(self) -> Container[str]:
        """The types whose hints are always noted."""
        ...

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """Record when the next queue and timer of a type in a partition are due."""
        ...


class CapLeases(Protocol):
    """The part of the node that follows leases of queues with caps (shard/caps/cap_leases.py)."""

    def follow(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[Any],
        outcomes: Sequence[Any],
        end: Callable[[Sequence[Any]], None],
        /,
    ) -> bool:
        """Apply the ends and extends of some leases to their caps, then call `end` with the outcomes.

        Returns:
            False if there is nothing to do; `end` is not called then.
        """
        ...


class JobVerb(Generic[JobT, OutcomeT]):
    """The waiting jobs of one type of call.

    Args:
        call_type: the type of call, as `Enqueue`.
        scheduler_calls: names the function of the calls, and the time after which they must not run.
        order: the place of this verb's calls in a pipeline; calls of one function must be neighbours to be merged.
        hints: gets the hint of each reply.
        counter: counts the outcomes; None for no count.
        job_ends: tells the watchers of jobs that the calls perhaps ended.
        results: counts the results of finished jobs.
        expiries: counts the jobs that expire.
        caps: follows the leases of queues with caps.

    Attributes:
        waiting: the jobs by partition and type.
        job_count, size: the number of waiting jobs and their payload bytes.
    """

    def __init__(
        self,
        call_type: type[JobsCall[list[OutcomeT | Failure]]],
        order: int,
        pipeline: Pipeline,
        scheduler_calls: SchedulerCalls,
        hints: HintNotes,
        counter: OutcomeCounter | None,
        job_ends: JobEnds,
        results: ResultCounter,
        expiries: ExpiryCounter,
        caps: CapLeases,
    ) -> None:
        self.call_type = call_type
        self.order = order
        self.hints = hints
        self.counter = counter
        self.expiries = expiries
        self.maker = scheduler_calls.makers[call_type]
        self.not_after_us = scheduler_calls.not_after_us
        self.waiting: dict[tuple[int, str], JobBatch[JobT, OutcomeT]] = {}
        self.job_count = 0
        self.size = 0
        self.pipeline = pipeline
        self.job_ends = job_ends if call_type.ends_jobs else None
        self.results = results if call_type is Finish else None
        self.caps = caps if issubclass(call_type, Finish | Release | Extend) else None
        self._text_field = call_type.text_field
        self._partitions = scheduler_calls.partitions
        self._loop = asyncio.get_running_loop()

    def submit(self, call: CallOfJobs[JobT]) -> asyncio.Future[list[OutcomeT | Failure]]:
        """Send the jobs of one call with the next pipelines; the future has one answer per job, in order.

        A job is refused at once if too many wait already; the other jobs of its call are not affected.
        """
        jobs = call.jobs
        reply: BulkReply[OutcomeT] = BulkReply([None] * len(jobs), len(jobs), self._loop.create_future())
        trace = call_traces.current.get()
        if not jobs:
            reply.future.set_result([])
        for index, job in enumerate(jobs):
            size: int = len(getattr(job, self._text_field)) if self._text_field else 0
            waiting_bytes = self.size + self.pipeline.waiting_bytes
            if self.job_count >= MAX_WAITING_JOBS or waiting_bytes + size > MAX_WAITING_BYTES:
                reply.settle(index, _failure(self._overloaded(waiting_bytes)))
                continue
            # A batch stays in the lane that its first job found. Even if the partition moves meanwhile, jobs of one
            # queue leave in their order, because they are in one batch (I3).
            key = (partition_of(job.queue_type, job.queue_id, self._partitions), job.queue_type)
            batch = self.waiting.get(key)
            if batch is None:
                batch = self.waiting[key] = JobBatch(self, *key, self._loop.time())
                self.pipeline.gather(batch, key[0])
            batch.jobs.append(job)
            batch.places.append((reply, index))
            batch.size += size
            if trace is not None and trace not in batch.traces:
                batch.traces += (trace,)
            self.job_count += 1
            self.size += size
        if len(jobs) == 1:  # the jobs of one bulk call must stay together to stay in order (I3)
            self.pipeline.push()
        return reply.future

    def _overloaded(self, waiting_bytes: int) -> Overloaded:
        jobs, size = counted(self.job_count, "unsent job"), counted(waiting_bytes, "byte")
        return Overloaded(f"this node holds {jobs} of {size}; try again in a moment")


class BulkReply(msgspec.Struct, Generic[OutcomeT]):
    """The outcomes of one call's jobs so far; the future is set once the last one is known."""

    outcomes: list[Any]
    remaining: int
    future: asyncio.Future[list[OutcomeT | Failure]]

    def settle(self, index: int, outcome: OutcomeT | Failure) -> None:
        """Set the outcome of one job."""
        self.outcomes[index] = outcome
        self.remaining -= 1
        if not self.remaining and not self.future.done():
            self.future.set_result(self.outcomes)


class JobBatch(Generic[JobT, OutcomeT]):
    """The waiting jobs of one verb, partition and type, and then their function call (lane.Pending).

    Attributes:
        since: the loop's time, in seconds, at which the first job arrived.
        follows: True if this is a later part of a batch that was cut.
        places: for each job, its call's reply and its index in that.
        size: the payload bytes.
        traces: the spans of those of its calls that are traced.
        call, job_count: the function call and the number of its jobs, once packed.
    """

    __slots__ = ("_key", "_verb", "call", "follows", "job_count", "jobs", "places", "since", "size", "traces")

    call: FunctionCall[list[OutcomeT]]
    job_count: int

    def __init__(
        self,
        verb: JobVerb[JobT, OutcomeT],
        partition: int,
        queue_type: str,
        since: float,
        *,
        follows: bool = False,
    ) -> None:
        self.since = since
        self.follows = follows
        self.jobs: list[JobT] = []
        self.places: list[tuple[BulkReply[OutcomeT], int]] = []
        self.size = 0
        self.traces: tuple[CallTrace, ...] = ()
        self._verb = verb
        self._key = (partition, queue_type)

    @property
    def order(self) -> int:
        """The place of the calls in a pipeline."""
        return self._verb.order

    def pack(self) -> list[JobBatch[JobT, OutcomeT]]:
        """Make the function calls of the jobs, which wait no longer; a batch that does not fit one call is cut."""
        verb, (partition, queue_type) = self._verb, self._key
        del verb.waiting[self._key]
        verb.job_count -= len(self.jobs)
        verb.size -= self.size
        fits = len(self.jobs) <= MAX_BATCH and self.size <= MAX_CALL_BYTES
        parts = [self] if fits else self._cut(verb.call_type.text_field)
        for part in parts:
            if verb.maker.has_deadline:
                not_after_us = verb.not_after_us(partition, self.since)
                part.call = verb.maker.make(partition, queue_type, part.jobs, not_after_us=not_after_us)
            else:
                part.call = verb.maker.make(partition, queue_type, part.jobs)
            part.job_count = len(part.jobs)
        return parts

    def observe(self, reply: Reply[list[OutcomeT]], _: float) -> None:
        """Note the hint of the reply if it says anything new, and count the jobs that expired."""
        (partition, queue_type), hint, hints = self._key, reply.hint, self._verb.hints
        has_times = hint.ready_us is not None or hint.timer_us is not None
        if has_times or queue_type in hints.explained or partition not in hints.ownership.mine:
            hints.note(partition, queue_type, hint)
        if reply.expired_jobs:
            self._verb.expiries.expired(queue_type, reply.expired_jobs, reply.dropped_jobs)

    def deliver(self, reply: Reply[list[OutcomeT]] | SharqError, sent_at: float) -> None:
        """Give each job its outcome, or the error of the call. If the store is full, make the fallback of the call."""
        for trace in self.traces:
            error = reply if isinstance(reply, SharqError) else None
            trace.add_store_call(self.call.function.name, len(self.jobs), sent_at, error)
        # A full store must not keep jobs from being finished: only their results are left out.
        if isinstance(reply, StoreFull) and self.call.fallback is not None:
            self.call = self.call.fallback
            self._verb.pipeline.resubmit(self, self._key[0])
            return
        if isinstance(reply, SharqError) or reply.value is None:
            expired = Unavailable("the call reached the store too late; nothing was done")
            failure = _failure(reply if isinstance(reply, SharqError) else expired)
            for bulk_reply, index in self.places:
                bulk_reply.settle(index, failure)
            return
        # If caps must hear of these leases, their follower gives the outcomes later.
        caps = self._verb.caps
        if caps is None or not caps.follow(*self._key, self.jobs, reply.value, self._end):
            for (bulk_reply, index), outcome in zip(self.places, reply.value, strict=True):
                bulk_reply.settle(index, outcome)
            if self._verb.counter is not None:
                self._verb.counter.count(self._key[1], self.jobs, reply.value)
        if self._verb.job_ends is not None and self._verb.job_ends.watchers:
            self._verb.job_ends.note(self.jobs)
        if self.size and self._verb.results is not None:
            self._verb.results.count_results(reply.value)

    def _end(self, outcomes: Sequence[OutcomeT | Failure]) -> None:
        """Give each job its outcome, and count the outcomes."""
        for (bulk_reply, index), outcome in zip(self.places, outcomes, strict=True):
            bulk_reply.settle(index, outcome)
        if self._verb.counter is not None:
            counted_ends = [end for end in outcomes if not isinstance(end, Failure)]
            if len(counted_ends) == len(self.jobs):
                self._verb.counter.count(self._key[1], self.jobs, counted_ends)

    def _cut(self, text_field: str) -> list[JobBatch[JobT, OutcomeT]]:
        """Return the jobs in parts that fit one call each, in order; a job over the byte bound goes alone."""
        parts: list[JobBatch[JobT, OutcomeT]] = []
        room = 0
        for job, place in zip(self.jobs, self.places, strict=True):
            size: int = len(getattr(job, text_field)) if text_field else 0
            if not parts or len(parts[-1].jobs) == MAX_BATCH or size > room:
                parts.append(JobBatch(self._verb, *self._key, self.since, follows=bool(parts)))
                room = MAX_CALL_BYTES
            part = parts[-1]
            # Each part counts for every trace of the batch: a part does not know whose jobs it has.
            part.traces = self.traces
            part.jobs.append(job)
            part.places.append(place)
            part.size += size
            room -= size
        return parts


def _failure(error: SharqError) -> Failure:
    return Failure(error.code, error.message, error.is_away)
