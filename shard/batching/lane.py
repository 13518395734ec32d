"""The lane of one store server: cuts waiting calls into pipelines, sends them, and answers the callers.

shard/batching/pipeline.py chooses the lane of a call.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Collection, Sequence
from operator import attrgetter
from time import monotonic
from typing import Any, Protocol, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, StoreAway, StoreSilent, Unavailable
from sharq_core.process import tasks
from sharq_core.process.counters import Durations
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.replies import Reply
from sharq_core.store.replication.durability import NotKept

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Most pipelines in flight to one server: the store works on one while the other is on its way."""

CALLS_AT_ONCE = 32
"""Most calls of one pipeline. The server does nothing else while it runs them, for some milliseconds."""

JOBS_WHILE_AWAITED = 32
"""Most jobs of one pipeline while workers are waiting (one call may carry more). A newly due job then queues behind
about 2 ms of work instead of a 1,000-job bulk finish.
"""

BYTES_AT_ONCE = 4 << 20
"""Most payload bytes of one pipeline (one call may carry more). A server accepts them well within the timeout."""

_since = attrgetter("since")
_order = attrgetter("order")


class Pending(Protocol):
    """A call that waits to be sent, and its caller."""

    @property
    def call(self) -> FunctionCall[Any]:
        """The call to send."""
        ...

    @property
    def since(self) -> float:
        """The loop's time, in seconds, at which its oldest work arrived."""
        ...

    @property
    def job_count(self) -> int:
        """The number of its jobs."""
        ...

    @property
    def size(self) -> int:
        """Its payload bytes, approximately."""
        ...

    @property
    def follows(self) -> bool:
        """True if it has more jobs for the queues of the call before it."""
        ...

    def observe(self, reply: Reply[Any], sent_at: float, /) -> None:
        """Use a reply before any caller resumes, even if no replica has confirmed the call.

        Args:
            sent_at: the time (time.monotonic) at which the call was sent.
        """
        ...

    def deliver(self, reply: Reply[Any] | SharqError, sent_at: float, /) -> None:
        """Give the caller the reply or the error, once the next pipeline is on its way.

        Args:
            sent_at: as for observe; the time of the refusal if the call was not sent.
        """
        ...


class Gathering(Protocol):
    """Jobs that still gather: they become calls when their lane has room for them."""

    @property
    def order(self) -> int:
        """The place of its calls among those that are packed at the same time; lower is earlier."""
        ...

    def pack(self) -> Sequence[Pending]:
        """Return the calls; no more jobs are added."""
        ...


class OwnPartitions(Protocol):
    """The partitions of this node (shard/cluster/ownership.py).

    Attributes:
        mine: the partitions that the ring gives to it.
    """

    mine: frozenset[int]


class NotesAfter(Protocol):
    """The notes to the owners of other nodes' partitions (shard/cluster/ownership.py)."""

    @property
    def ownership(self) -> OwnPartitions:
        """The partitions about which no notes are needed."""
        ...

    def after(self, calls: Sequence[FunctionCall[Any]], /) -> list[FunctionCall[None]]:
        """Return the calls that notify the owners, if some calls change partitions of other nodes."""
        ...


class Flusher(Protocol):
    """The sender of all lanes (shard/batching/pipeline.py).

    Attributes:
        bulk_in_flight: the most pipelines in flight of a lane that is neither urgent nor waits for replicas.
    """

    bulk_in_flight: int

    def flush(self) -> None:
        """Send what waits in all lanes."""
        ...


class ServerLane:
    """The waiting calls and the pipelines in flight of one server.

    Args:
        flusher: is notified when a pipeline has returned, so that there is room for another.
        durations: counts the duration of each pipeline.
        awaited_types: the queue types for which workers wait now.
        owner_notes: each pipeline carries the notes that its calls need.
        is_bulk: True if its calls are neither urgent nor wait for replicas.

    Attributes:
        gathering: jobs that are packed when there is room, after those in `next`.
        next: such jobs in the order in which they are packed. What gathers later comes after them, so that no verb's
            jobs wait for ever.
        waiting: packed calls, of which the last ones may not have fitted the pipeline before.
        refusal: the error of every call while the server is given up; else None.
    """

    def __init__(
        self,
        flusher: Flusher,
        executor: Executor,
        durations: Durations,
        awaited_types: Collection[str],
        owner_notes: NotesAfter,
        *,
        is_bulk: bool = False,
    ) -> None:
        self._is_bulk = is_bulk
        self.gathering: list[Gathering] = []
        self.next: deque[Gathering] = deque()
        self.waiting: list[Pending] = []
        self.waiting_bytes = 0
        self.refusal: StoreAway | None = None
        self.in_flight: dict[asyncio.Task[None], _Flight] = {}
        self._flusher = flusher
        self._executor = executor
        self._durations = durations
        self._awaited_types = awaited_types
        self._owner_notes = owner_notes
        self._loop = asyncio.get_running_loop()

    @property
    def has_room(self) -> bool:
        """Return True if another pipeline may be sent now.

        A pipeline that continues a cut bulk call waits until all others have returned, so that the jobs of one queue
        never overtake each other on two connections (I3).
        """
        if self.refusal is not None:
            return True
        if self.waiting and self.waiting[0].follows:
            return not self.in_flight
        return len(self.in_flight) < (self._flusher.bulk_in_flight if self._is_bulk else IN_FLIGHT)

    @property
    def is_busy(self) -> bool:
        """Return True if a call gathers, waits or is in flight."""
        return bool(self.gathering or self.next or self.waiting or self.in_flight)

    def send(self) -> None:
        """Send the gathered and the waiting calls, as far as there is room."""
        if self.refusal is not None:
            self._refuse_waiting(self.refusal)
        while self.has_room and self.refusal is None:
            self._pack(JOBS_WHILE_AWAITED if self._awaited_types else math.inf)
            if not self.waiting:
                return
            now = self._loop.time()
            calls = self._next_pipeline(now)
            if calls:
                mine = self._owner_notes.ownership.mine
                elsewhere = [pending.call for pending in calls if pending.call.partition not in mine]
                notes = self._owner_notes.after(elsewhere) if elsewhere else ()
                flight = _Flight(calls + [_Note(note, now) for note in notes] if notes else calls)
                task = tasks.begin(self._loop, self._run(flight, now))
                if not task.done():  # a pipeline that is refused at once has returned already
                    self.in_flight[task] = flight

    def _pack(self, max_jobs: float) -> None:
        """Pack gathered jobs until the waiting calls fill one pipeline.

        The others gather on, where they are counted (I11). To pack all jobs of a large request at once would also hold
        the event loop for some milliseconds, and with it the calls of waiting workers.
        """
        job_count = 0
        for waiting in self.waiting:
            job_count += waiting.job_count
        while (self.gathering or self.next) and job_count < max_jobs and len(self.waiting) < CALLS_AT_ONCE:
            if not self.next:
                self.gathering, self.next = [], deque(self.gathering)
                if len(self.next) > 1:
                    self.next = deque(sorted(self.next, key=_order))
            for call in self.next.popleft().pack():
                self.waiting.append(call)
                job_count += call.job_count

    def give_up(self, refusal: StoreAway) -> None:
        """Refuse the calls that wait or arrive from now on, and answer those in flight except enqueues."""
        self.refusal = refusal
        self._refuse_waiting(refusal)
        for flight in self.in_flight.values():
            flight.give_up(refusal)

    def _refuse_waiting(self, refusal: StoreAway) -> None:
        refused = [*self.waiting, *(call for jobs in self._take_gathered() for call in jobs.pack())]
        self.waiting, self.waiting_bytes = [], 0
        for pending in refused:
            pending.deliver(refusal, monotonic())

    def _take_gathered(self) -> list[Gathering]:
        gathered = [*self.next, *self.gathering]
        self.gathering = []
        self.next.clear()
        return gathered

    def _next_pipeline(self, now: float) -> list[Pending]:
        """Take the first calls, as many as fit one pipeline; the remaining ones keep waiting."""
        waiting = self.waiting
        if min(map(_since, waiting)) <= now - self._executor.timeout_s:
            waiting = self._drop_late(now)
        jobs, size = 0, 0
        max_jobs = JOBS_WHILE_AWAITED if self._awaited_types else math.inf
        for index, call in enumerate(waiting):
            jobs, size = jobs + call.job_count, size + call.size
            # The first call always goes, however large: it would never fit otherwise.
            if index == CALLS_AT_ONCE or (index and (jobs > max_jobs or size > BYTES_AT_ONCE)):
                self.waiting = waiting[index:]
                self.waiting_bytes = sum(remaining.size for remaining in self.waiting)
                return waiting[:index]
        self.waiting, self.waiting_bytes = [], 0
        return waiting

    def _drop_late(self, now: float) -> list[Pending]:
        """Refuse the calls that have waited for the whole timeout, unsent, so that no caller waits twice as long."""
        oldest = now - self._executor.timeout_s
        for call in self.waiting:
            if call.since <= oldest:
                call.deliver(Unavailable("the store was busy for too long; nothing was done"), monotonic())
        return [call for call in self.waiting if call.since > oldest]

    async def _run(self, flight: _Flight, now: float) -> None:
        """Run one pipeline and answer its callers.

        The next one is sent before the callers of this one resume, so that the server has work in the meantime.
        """
        pending = flight.pending
        remaining_s = min(map(_since, pending)) + self._executor.timeout_s - now
        sent_at = monotonic()
        replies: Sequence[Reply[Any] | SharqError]
        try:
            replies = await self._executor.run([call.call for call in pending], remaining_s)
            # A call that no replica has confirmed was done all the same, so its news count.
            for call, reply in zip(pending, replies, strict=True):
                done = reply.reply if isinstance(reply, NotKept) else reply
                if not isinstance(done, SharqError):
                    call.observe(done, sent_at)
        except Exception as error:
            log.exception("pipeline_failed")
            message = f"an error in this process: {type(error).__name__}; the call may have been done"
            replies = [OutcomeUnknown(message)] * len(pending)
        except asyncio.CancelledError:
            self.in_flight.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
            raise
        self._durations.observe(monotonic() - sent_at)
        self.in_flight.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
        self._flusher.flush()
        for index, (call, reply) in enumerate(zip(pending, replies, strict=True)):
            if index in flight.answered:
                continue
            try:
                call.deliver(reply, sent_at)
            except Exception:
                log.exception("answer_failed")


class _Flight(msgspec.Struct):
    """The calls of one pipeline in flight.

    Attributes:
        answered: the indexes of the calls that were answered before the reply came.
    """

    pending: list[Pending]
    answered: set[int] = set()

    def give_up(self, refusal: StoreAway) -> None:
        """Answer now the calls that do no harm if they are done late: all except enqueues."""
        for index, call in enumerate(self.pending):
            if index not in self.answered and call.call.function is not library.ENQUEUE:
                self.answered.add(index)
                message = f"{refusal.message}, and the call may have been done"
                call.deliver(refusal if call.call.function.is_read else StoreSilent(message), monotonic())


class _Note(msgspec.Struct, frozen=True):
    """A note to the owner of a partition. Nobody waits for it: the owner finds the change by its own rounds, too."""

    call: FunctionCall[None]
    since: float
    job_count: int = 0
    size: int = 0
    follows: bool = False

    def observe(self, _: Reply[None], __: float) -> None:
        """Do nothing."""

    def deliver(self, reply: Reply[None] | SharqError, _: float) -> None:
        """Log a failure."""
        if isinstance(reply, SharqError):
            log.debug("owner_not_told error=%r", reply.message)
