"""Meets the demand of some dequeues in one run: waves of calls to the due partitions, fairly over their queues.

shard/dequeuer.py collects the requests and sends the calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic

import msgspec

from shard.batching.lane import CALLS_AT_ONCE
from shard.batching.lease_source import Answer, LeaseSource
from shard.caps.dequeues import CappedDequeue
from sharq_core.clock import elapsed_us
from sharq_core.errors import SharqError, Unavailable
from sharq_core.models import LeasedJob
from sharq_core.partitions import is_gathered
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES
from sharq_core.scheduler.replies import DequeueReply
from sharq_core.store.failures import CallFailed
from sharq_core.store.replication.durability import NotKept
from sharq_core.telemetry.call_traces import CallTrace

log = logging.getLogger(__name__)

MAX_DEMAND = 1000
"""Most jobs leased in one run, which is also the most that one request may ask for."""

TOGETHER = 32
TOGETHER_SHARE = 4
"""Most requests of one run: 32, or a quarter of those that wait if that is more. While the requests of one run are
answered, the store works for the next run. The share bounds the number of runs if each of them takes long.
"""

FIRST = 8
"""Calls of a wave as large as a pipeline that leave before its other calls are made, which takes 20 to 30 µs each. The
queues with the earliest deadlines would otherwise wait for the calls of those that have time.
"""

SPARE = 2
"""Queues of a partition that a call serves besides those known to be due, if the demand suffices. Only the reply counts
the due queues, and a second wave for the others comes a round trip later. A full pipeline of such calls still fits one
joint call.
"""

MAX_ANSWER_BYTES = 8 << 20
"""Most payload bytes of one run, and therefore of one answer."""

ROOM_FOR_ONE = 256 << 10
"""Least room for another call: a call always leases one job, so it needs room for the default limit of a payload."""

MAX_WAVES = 200
"""Most waves of one run, besides one for each partition that was due at its start. Each wave leases a job or learns
that a partition has none, so a correct run never reaches the bound. A run that does fails instead of answering empty.
Waves that only remove expired jobs do not count.
"""

MAX_CLEARING_S = 0.02
"""Longest time that a run goes on after a wave that leased nothing but removed expired jobs. Its requests then begin
the next run, together with those that arrived meanwhile.
"""

RESTS, MAX_REST_S = 1, 0.05
"""Length of the rest after such a wave, in times of the wave, and at most. Others find the store idle meanwhile. It
doubles with each further run, because the reaper removes a long row of expired jobs in better order.
"""

MAX_HELD_RUNS = 30
"""Most such runs of one request, one to two seconds. After them its answer is empty, before its caller gives up."""


class DequeueRequest(msgspec.Struct):
    """A dequeue that waits for its run.

    Attributes:
        count: the most jobs to lease.
        lease_us: the length of the leases, in µs.
        future: resolves to the leased jobs.
        trace: the span of its call; None if that is not traced.
        held_runs: the number of runs that only removed expired jobs instead of serving the request.
    """

    count: int
    lease_us: int
    future: asyncio.Future[list[LeasedJob]]
    trace: CallTrace | None = None
    held_runs: int = 0


class Run:
    """The demand of some requests, met in waves of calls to partitions.

    A run ends when its demand is met, when one answer can carry no more, or when every partition that was due at its
    start is drained: its jobs must not wait for partitions that become due later. While it continues, those partitions
    take part too, so that no queue is passed over in a round.
    """

    def __init__(self, dequeuer: LeaseSource, queue_type: str, requests: list[DequeueRequest]) -> None:
        self._dequeuer = dequeuer
        self._queue_type = queue_type
        self._requests = requests
        self._demand = sum(request.count for request in requests)
        self._lease_us = requests[0].lease_us
        self._jobs: list[LeasedJob] = []
        self._bytes = 0
        self._wave: list[tuple[int, int, int, Answer]] = []
        self._capped: list[CappedDequeue] = []
        self._begun_us = elapsed_us()
        self._begun_with: set[int] = set()
        self._unserved: dict[int, int] = {}
        self._cut: dict[int, int] = {}
        self._counted: set[int] = set()
        self._rounds = 1
        self._asked = 0
        self._failed: dict[int, SharqError] = {}
        self._put_off: set[int] = set()
        self._error: SharqError | None = None
        self._begun_at = monotonic()
        self._has_expired = False
        self._is_cut_short = False

    def begin(self) -> None:
        """Send the first wave."""
        try:
            due = self._due()
            self._begun_with = set(due)
            self._send_wave(due)
        except Exception as error:  # noqa: BLE001 - logged and reported by _fail
            self._fail(error)

    async def collect(self) -> None:
        """Lease the available jobs from the partitions that can be asked, wave by wave."""
        try:
            # The calls of a wave run side by side; the next wave depends on all their replies, so it is planned last.
            waves_left = MAX_WAVES + len(self._begun_with)
            while self._wave or self._capped:
                wave_at, leased, self._has_expired = monotonic(), len(self._jobs), False
                for partition, count, per_queue, answer in self._wave:
                    await self._take(partition, count, per_queue, answer)
                for capped in self._capped:
                    await self._take_capped(capped)
                self._wave, self._capped = [], []
                if len(self._jobs) >= self._demand:
                    return
                only_cleared = self._has_expired and len(self._jobs) == leased
                waves_left -= not only_cleared
                if only_cleared:
                    await asyncio.sleep(rest_s(monotonic() - wave_at, self._requests[0].held_runs))
                is_late = only_cleared and monotonic() - self._begun_at >= MAX_CLEARING_S
                if waves_left and not is_late:
                    self._send_wave(self._due())
                elif self._plan(self._due()):
                    self._stop_early(is_late=is_late)
        except Exception as error:  # noqa: BLE001 - logged and reported by _fail
            self._fail(error)

    def _stop_early(self, *, is_late: bool) -> None:
        """End the run although a partition is due: its time is over, or it had too many waves."""
        self._is_cut_short = is_late
        if not is_late:
            self._error = Unavailable("not every partition with a due queue could be asked; try again")

    def put_back(self) -> list[DequeueRequest]:
        """Return the requests for the next run: those left without a job although the type is still due.

        One answer could carry no more, or the run spent its time on expired jobs.
        """
        is_met = len(self._jobs) >= self._demand
        may_go_on = self._jobs or self._is_cut_short
        if is_met or not may_go_on or self._error or self._begun_with.isdisjoint(self._due()):
            return []
        # The jobs go to the requests in order, so the requests without one are the last. One that was cancelled takes
        # none.
        wanted = 0
        for index, request in enumerate(self._requests):
            if wanted >= len(self._jobs):
                unserved, self._requests = self._requests[index:], self._requests[:index]
                return self._held(unserved) if self._is_cut_short else unserved
            wanted += 0 if request.future.done() else request.count
        return []

    def _held(self, unserved: list[DequeueRequest]) -> list[DequeueRequest]:
        """Return the requests that wait on while expired jobs are removed; this run answers the others."""
        held: list[DequeueRequest] = []
        for request in unserved:
            request.held_runs += 1
            (held if request.held_runs < MAX_HELD_RUNS else self._requests).append(request)
        return held

    def hand_out(self) -> None:
        """Give the jobs to the requests in order of arrival, and void the leases whose requests are gone.

        A request without a job gets the failure, if there was one: an empty answer would be wrong while a due partition
        could not be asked (I6). The failure of a partition that is set aside is reported once a minute only; otherwise
        every request would get the error, and the other partitions' jobs would wait.
        """
        failure = self._error or next(iter(self._failed.values()), None)
        at = 0
        for request in self._requests:
            if request.future.done():
                continue
            own = self._jobs[at : at + request.count]
            at += len(own)
            if failure is not None and not own:
                request.future.set_exception(failure)
            else:
                request.future.set_result(own)
        if unclaimed := self._jobs[at:]:
            self._dequeuer.void_soon(unclaimed)

    def _fail(self, error: Exception) -> None:
        """End the run after an unexpected error, which its requests get."""
        log.error("dequeue_failed queue_type=%s", self._queue_type, exc_info=error)
        self._wave = []
        self._error = SharqError(f"the dequeue failed: {type(error).__name__}")

    def _due(self) -> dict[int, int]:
        """Return partition → approximate number of due queues for the partitions to ask, by their deadlines."""
        due = self._dequeuer.due(self._queue_type)
        left_out = self._failed.keys() | self._put_off
        return {partition: queues for partition, queues in due if partition not in left_out}

    def _send_wave(self, due: dict[int, int]) -> None:
        """Send the calls of the next wave; those for queues with caps first if one of these has been due longest.

        Args:
            due: as `_due` returns it.
        """
        has_capped = self._queue_type in self._dequeuer.capped_types
        if has_capped and self._dequeuer.is_capped_first(self._queue_type):
            self._send_capped()
        plan = self._plan(due)
        for number, (partition, count, per_queue, max_bytes) in enumerate(plan, 1):
            answer = self._dequeuer.send(
                partition, self._queue_type, count, per_queue, max_bytes, self._lease_us
            )
            self._wave.append((partition, count, per_queue, answer))
            self._asked += count
            if number == FIRST and len(plan) >= CALLS_AT_ONCE:
                self._dequeuer.push()
        if has_capped and not self._capped:
            self._send_capped()
        self._asked = 0
        if self._wave or self._capped:
            self._dequeuer.push()

    def _send_capped(self) -> None:
        """Use slots of caps for the demand that this wave has not asked for yet."""
        wanted = self._demand - len(self._jobs) - self._asked
        room = MAX_ANSWER_BYTES - self._bytes
        if wanted > 0 and room >= ROOM_FOR_ONE:
            self._capped = self._dequeuer.send_capped(
                self._queue_type, wanted, room, self._lease_us, self._begun_us
            )
            self._asked += sum(capped.count for capped in self._capped)

    def _plan(self, due: dict[int, int]) -> list[tuple[int, int, int, int]]:
        """Return the next wave as (partition, count, limit per queue, byte limit) for each partition; empty if done.

        Args:
            due: as `_due` returns it.
        """
        wanted = self._demand - len(self._jobs) - self._asked
        room = MAX_ANSWER_BYTES - self._bytes
        if wanted <= 0 or room < ROOM_FOR_ONE or self._begun_with.isdisjoint(due):
            return []
        # One due partition needs no rounds between partitions: its own function is fair over its queues.
        if len(due) == 1:
            ((partition, _),) = due.items()
            return [(partition, min(wanted, MAX_BATCH), MAX_BATCH, min(room, MAX_CALL_BYTES))]
        rounds = self._open_round(due, wanted)
        plan: list[tuple[int, int]] = []
        # Each partition is asked only for the queues that still await their turn, so that the round stays fair.
        owed = [partition for partition in due if self._unserved.get(partition, 0)]
        remaining = wanted - sum(self._unserved[partition] for partition in owed)
        spare = min(SPARE, remaining // len(owed)) if owed and remaining > 0 and rounds == 1 else 0
        for partition in owed[: room // ROOM_FOR_ONE]:
            count = self._cut.pop(partition, self._unserved[partition] * rounds)
            if partition not in self._counted:
                count += spare
            count = min(count, wanted, MAX_BATCH)
            if count:
                plan.append((partition, count))
                wanted -= count
        # The calls of a wave run side by side, so they share the room of the answer.
        budget = min(room // max(len(plan), 1), MAX_CALL_BYTES)
        return [(partition, count, rounds, budget) for partition, count in plan]

    def _open_round(self, due: dict[int, int], wanted: int) -> int:
        """Continue the current round or open the next, and return the number of rounds to ask for at once.

        A round is over when every due queue has given its job. Several rounds are asked for at once only if the demand
        covers them for every queue. The first round is alone, since only its replies tell how many queues are due.
        """
        if not any(self._unserved.get(partition, 0) for partition in due):
            if self._unserved:
                self._rounds = max(1, min(wanted // sum(due.values()), MAX_BATCH // max(due.values())))
            self._unserved, self._cut = dict(due), {}
            self._counted.clear()
        return self._rounds

    async def _take(self, partition: int, count: int, per_queue: int, answer: Answer) -> None:
        try:
            reply, _ = await answer
            leased = value_of(reply)
        except SharqError as error:
            self._note_failure(partition, error)
            return
        self._keep(leased)
        if not leased.due_after:
            self._begun_with.discard(partition)
        if leased.is_cut and leased.jobs and per_queue > 1:
            self._cut[partition] = count - len(leased.jobs)  # the rest of the rounds of its queues
        self._note_served(partition, len(leased.jobs), per_queue, leased.due_before)

    async def _take_capped(self, capped: CappedDequeue) -> None:
        try:
            self._keep(await capped.leased())
        except SharqError as error:
            self._note_failure(capped.partition, error)

    def _note_failure(self, partition: int, error: SharqError) -> None:
        """Leave a partition out of this run, and perhaps report its failure."""
        if isinstance(error, CallFailed):
            self._put_off.add(partition)
            if not self._dequeuer.put_off(partition, self._queue_type, error):
                return
        if isinstance(error, NotKept):
            self._dequeuer.void(error.reply)
        self._failed[partition] = error

    def _keep(self, leased: DequeueReply) -> None:
        """Keep the jobs of an answer for the requests."""
        self._has_expired = self._has_expired or leased.expired > 0
        self._dequeuer.metrics.leased(self._queue_type, leased.jobs, leased.ready_for_us)
        if leased.jobs and is_gathered(self._queue_type):
            self._dequeuer.metrics.units.add(self._queue_type, leased.jobs)
        self._jobs += leased.jobs
        self._bytes += sum(len(job.payload) for job in leased.jobs)

    def _note_served(self, partition: int, served: int, per_queue: int, due_before: int) -> None:
        """Update the number of the partition's due queues that still await their turn; the first reply counts them."""
        if not served or per_queue > 1:
            owed = int(partition in self._cut)
        elif partition in self._counted:
            owed = self._unserved[partition] - served
        else:
            owed = due_before - served
        self._counted.add(partition)
        self._unserved[partition] = max(owed, 0)


def rest_s(wave_s: float, held_runs: int) -> float:
    """Return the rest after a wave that only removed expired jobs, in seconds.

    Args:
        wave_s: the time that the wave took.
        held_runs: the number of earlier runs of the same request that only removed expired jobs.
    """
    return min(RESTS * wave_s * 2.0**held_runs, MAX_REST_S)


def take_alike(requests: deque[DequeueRequest]) -> list[DequeueRequest]:
    """Take the first requests with equal lease times, as many as one run serves; drop those already cancelled."""
    # A run has one lease time for all its calls. The first request always goes, however much it asks for.
    taken: list[DequeueRequest] = []
    demand, max_requests = 0, max(TOGETHER, len(requests) // TOGETHER_SHARE)
    while requests and (not taken or requests[0].lease_us == taken[0].lease_us):
        if taken and (demand + requests[0].count > MAX_DEMAND or len(taken) == max_requests):
            break
        request = requests.popleft()
        if not request.future.done():
            taken.append(request)
            demand += request.count
    return taken
