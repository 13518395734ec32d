"""Parks the long polls of one queue type, and claims jobs for them when a shard reports that one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

from router.longpoll.alarms import AlarmClock
from router.shards.directory import Directory
from sharq_core.errors import SharqError
from sharq_core.link.messages import Dequeue, OnDue, ShardPort
from sharq_core.models import LeasedJob
from sharq_core.process import tasks
from sharq_core.telemetry import call_traces

log = logging.getLogger(__name__)

MAX_CLAIM = 1000
"""Maximum number of jobs claimed in one call."""

MAX_POLLS = 64
"""Maximum number of polls served by one claim, which bounds its cost however many wait."""

LOOK_AGAIN_S = 1.0
"""Seconds for which a look at every shard serves the polls that are parked beside others."""

_PAUSE_AFTER_FAILURE_S = 0.1


class Waiter:
    """One parked poll.

    Attributes:
        parked_in: the parked polls of each type that it waits for. A claim in one of them keeps it out of the others:
            a job from a second claim would have to be given back, which wastes a slot of its queue.
        trace: the span of its request; None if that is not traced.
    """

    def __init__(self, count: int, lease_us: int, is_gone: Callable[[], bool]) -> None:
        self.count = count
        self.lease_us = lease_us
        self.is_gone = is_gone
        self.parked_in: list[ParkedDequeues] = []
        self.trace = call_traces.current.get()
        self.future: asyncio.Future[list[LeasedJob]] = asyncio.get_running_loop().create_future()
        self._claims = 0
        self._is_over = False

    def answer(self, jobs: list[LeasedJob]) -> None:
        """End the wait with leased jobs, or with none; an ended wait stays as it is."""
        if not self.future.done():
            self.future.set_result(jobs)

    def fail(self, error: SharqError) -> None:
        """End the wait with an error; an ended wait stays as it is."""
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self) -> None:
        """End the wait, which has timed out.

        If a claim is in flight, wait for it: returning its job would waste the queue's slot.
        """
        self._is_over = True
        if not self._claims:
            self.answer([])

    def claim_started(self) -> None:
        """Record that a claim for this poll has started."""
        self._claims += 1
        if len(self.parked_in) > 1:
            for parked in self.parked_in:
                parked.set_aside(self)

    def claim_ended(self) -> None:
        """Record that a claim for this poll has ended and its jobs were handed out."""
        self._claims -= 1
        if self._is_over:
            self.expire()
        if len(self.parked_in) > 1:
            for parked in self.parked_in:
                parked.take_back(self)

    def look(self) -> None:
        """End the wait if the client has left."""
        if not self.future.done() and self.is_gone():
            self.answer([])

    @property
    def is_waiting(self) -> bool:
        """True if the poll can still take a job. A poll whose client has left is ended."""
        self.look()
        return not self.future.done()


class ParkedDequeues:
    """The parked polls of one type, in order of arrival, and the due time of each shard's next job.

    Attributes:
        looked_at: the time (time.monotonic) at which a poll last asked every shard before it was parked.
    """

    def __init__(
        self,
        queue_type: str,
        directory: Directory,
        clock: AlarmClock,
        void_leases: Callable[[list[LeasedJob]], Awaitable[None]],
    ) -> None:
        self._queue_type = queue_type
        self._directory = directory
        self._void_leases = void_leases
        self._alarm = clock.alarm(self._start_claim)
        self.waiters: dict[Waiter, None] = {}
        self._claimed: set[Waiter] = set()
        self._due_at: dict[ShardPort, float] = {}
        self._watches: dict[ShardPort, OnDue] = {}
        self._heard: set[ShardPort] = set()
        self.looked_at = float("-inf")
        self._is_claiming = False
        self._claims: set[asyncio.Task[None]] = set()
        self._asked: tuple[ShardPort, list[Waiter]] | None = None
        self._left_behind = 0
        self.follow()

    def follow(self) -> None:
        """Subscribe to the current shards, and drop the subscriptions to former ones."""
        shards = self._directory.informed(self._directory.shards())
        for shard in self._watches.keys() - set(shards):
            shard.unwatch(self._queue_type, self._watches.pop(shard))
            self._due_at.pop(shard, None)
            self._heard.discard(shard)
        for shard in shards:
            if shard not in self._watches:
                on_due = self._watches[shard] = partial(self._on_due, shard)
                shard.watch(self._queue_type, on_due)
        if self._asked is not None and self._asked[0] not in shards:
            self._leave_behind(self._asked[1])

    def knows_that_none_is_due(self) -> bool:
        """Return True if every shard has told when its next job is due, and none is due now.

        A poll lately asked every shard: that shows which of them do not reach their store.
        """
        now = monotonic()
        return (
            now - self.looked_at < LOOK_AGAIN_S
            and not self._is_claiming
            and bool(self._watches)
            and self._heard.issuperset(self._watches)
            and all(due_at > now for due_at in self._due_at.values())
        )

    def enter(self, waiter: Waiter) -> None:
        """Add a poll, and claim for it as soon as a job is due."""
        self.waiters[waiter] = None
        self._arm()

    def leave(self, waiter: Waiter) -> None:
        """Remove a poll that has ended."""
        self.waiters.pop(waiter, None)
        self._claimed.discard(waiter)

    def set_aside(self, waiter: Waiter) -> None:
        """Claim nothing more for a poll of several types, until `take_back`: a claim for it is in flight."""
        if waiter in self.waiters:
            self._claimed.add(waiter)

    def take_back(self, waiter: Waiter) -> None:
        """Claim again for a poll of several types; it has kept its place."""
        if waiter in self._claimed:
            self._claimed.discard(waiter)
            self._arm()

    def close(self) -> None:
        """Drop all subscriptions: no poll waits any more."""
        for shard, on_due in self._watches.items():
            shard.unwatch(self._queue_type, on_due)
        self._alarm.clear()

    def _on_due(self, shard: ShardPort, in_us: int | None) -> None:
        """Record the due time of a shard's next job, in µs from now; None if it has none."""
        self._heard.add(shard)
        if in_us is None:
            self._due_at.pop(shard, None)
        else:
            self._due_at[shard] = monotonic() + in_us / 1e6
        self._arm()

    def _arm(self) -> None:
        """Set the alarm to the earliest due time, unless a claim is in flight: its end arms the alarm again."""
        if not self._is_claiming and self._due_at and len(self.waiters) > len(self._claimed):
            self._alarm.set(min(self._due_at.values()))
        else:
            self._alarm.clear()

    def _start_claim(self) -> None:
        """Start a claim when the alarm rings. If one is in flight, its end arms the alarm again."""
        if self._is_claiming:
            return
        self._is_claiming = True
        claim = tasks.begin(asyncio.get_running_loop(), self._claim_due())
        self._claims.add(claim)
        claim.add_done_callback(self._on_claimed)

    def _leave_behind(self, batch: list[Waiter]) -> None:
        """Claim from other shards although a claim is in flight: its shard is gone or has fallen silent.

        A late answer of it goes to the polls that still wait, or back.
        """
        self._is_claiming, self._asked = False, None
        self._left_behind += 1
        for waiter in batch:
            waiter.claim_ended()
        self._arm()

    def _on_claimed(self, task: asyncio.Task[None]) -> None:
        self._claims.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("claim_failed queue_type=%s", self._queue_type, exc_info=error)
            for shard in self._watches:
                self._due_at.setdefault(shard, monotonic() + _PAUSE_AFTER_FAILURE_S)
        self._arm()

    async def _claim_due(self) -> None:
        """Claim from the longest due shard while a shard is due and a poll waits; then arm the alarm."""
        left_behind = self._left_behind
        try:
            while self._due_at and self._left_behind == left_behind:
                shard = min(self._due_at, key=self._due_at.__getitem__)
                if self._due_at[shard] > monotonic():
                    break
                batch = self._next_batch()
                if not batch:
                    return  # the polls that have ended leave before `_on_claimed` arms the alarm
                await self._claim_from(shard, batch)
        finally:
            if self._left_behind == left_behind:
                self._is_claiming = False
        # Not only when the event loop tells of the end of this task: the next job may be due before that.
        self._arm()

    async def _claim_from(self, shard: ShardPort, batch: list[Waiter]) -> None:
        del self._due_at[shard]
        for waiter in batch:
            waiter.claim_started()
        asked = self._asked = shard, batch
        try:
            unclaimed = await self._claim_for(shard, batch)
        finally:
            if self._asked is asked:
                self._asked = None
                for waiter in batch:
                    waiter.claim_ended()
        if unclaimed:
            await self._void_leases(unclaimed)

    async def _claim_for(self, shard: ShardPort, batch: list[Waiter]) -> list[LeasedJob]:
        """Claim jobs for some polls; return the jobs that none of them can take."""
        demand = min(sum(waiter.count for waiter in batch), MAX_CLAIM)
        # The claim runs in a task of its own and serves the whole batch; its span has one parent, the first traced one.
        call_traces.current.set(next((waiter.trace for waiter in batch if waiter.trace is not None), None))
        try:
            reply = await shard.call(Dequeue(self._queue_type, demand, batch[0].lease_us))
        except SharqError as error:
            self._on_failure(shard, batch, error)
            return []
        if reply.next_due_in_us is not None and shard in self._watches:
            due_at = monotonic() + reply.next_due_in_us / 1e6
            self._due_at[shard] = min(due_at, self._due_at.get(shard, due_at))
        return _hand_out(batch, reply.jobs)

    def _on_failure(self, shard: ShardPort, batch: list[Waiter], error: SharqError) -> None:
        """Fail the polls, unless nothing was done and the shard is gone: the polls wait for the other shards then.

        A shard that does not reach its store counts as gone for a moment if there is another.
        """
        if error.is_away:
            self._directory.doubt(shard)
        is_gone = shard not in self._watches
        if not is_gone:
            self._due_at[shard] = monotonic() + _PAUSE_AFTER_FAILURE_S
        if not is_gone or error.perhaps_done:
            for waiter in batch:
                waiter.fail(error)

    def _next_batch(self) -> list[Waiter]:
        """Return the first polls that want leases of the same length, as many as one claim may serve."""
        batch: list[Waiter] = []
        demand = 0
        for waiter in self.waiters:
            if not waiter.is_waiting or waiter in self._claimed:
                continue
            if batch and (waiter.lease_us != batch[0].lease_us or demand + waiter.count > MAX_CLAIM):
                break
            if len(batch) == MAX_POLLS:
                break
            batch.append(waiter)
            demand += waiter.count
        return batch


def _hand_out(batch: list[Waiter], jobs: list[LeasedJob]) -> list[LeasedJob]:
    """Hand out jobs in the order of the polls' arrival; return the jobs that no poll can take."""
    at = 0
    for waiter in batch:
        if at < len(jobs) and waiter.is_waiting:
            waiter.answer(jobs[at : at + waiter.count])
            at += waiter.count
    return jobs[at:]
