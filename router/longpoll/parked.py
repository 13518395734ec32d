"""The parked polls of one queue type: told by the shards when a job becomes due, it claims for as many as there are.

Not here: polls that need not wait (router/longpoll/dequeues.py).
"""

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

log = logging.getLogger(__name__)

MAX_CLAIM = 1000
"""Jobs claimed in one call."""

MAX_TAKERS = 64
"""Polls served by one claim: a claim looks at no more, however many wait."""

_PAUSE_AFTER_FAILURE_S = 0.1


class Waiter:
    """One parked poll."""

    def __init__(self, count: int, lease_us: int, is_gone: Callable[[], bool]) -> None:
        self.count = count
        self.lease_us = lease_us
        self.is_gone = is_gone
        self.future: asyncio.Future[list[LeasedJob]] = asyncio.get_running_loop().create_future()
        self._claims = 0
        self._is_over = False

    def answer(self, jobs: list[LeasedJob]) -> None:
        if not self.future.done():
            self.future.set_result(jobs)

    def fail(self, error: SharqError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self) -> None:
        """Its time is over. A claim that is under way may bring it a job still: that would go back for nothing, and the
        queue's slot with it.
        """
        self._is_over = True
        if not self._claims:
            self.answer([])

    def count_on(self) -> None:
        """A claim is made for it."""
        self._claims += 1

    def let_go(self) -> None:
        """The claim has come back, and what it brought was handed out."""
        self._claims -= 1
        if self._is_over:
            self.expire()

    def look(self) -> None:
        """Let it go if its client has left."""
        if not self.future.done() and self.is_gone():
            self.answer([])

    @property
    def is_waiting(self) -> bool:
        """It can still take a job; a poll whose client has left is let go."""
        self.look()
        return not self.future.done()


class ParkedDequeues:
    """The parked polls of one type, in order of arrival, and when each shard's next job is due."""

    def __init__(
        self,
        queue_type: str,
        directory: Directory,
        clock: AlarmClock,
        give_back: Callable[[list[LeasedJob]], Awaitable[None]],
    ) -> None:
        self._queue_type = queue_type
        self._directory = directory
        self._give_back = give_back
        self._alarm = clock.alarm(self._start_claim)
        self.waiters: dict[Waiter, None] = {}
        self._due_at: dict[ShardPort, float] = {}
        self._watches: dict[ShardPort, OnDue] = {}
        self._claim: asyncio.Task[None] | None = None
        self.follow()

    def follow(self) -> None:
        """Watch the shards that there are now."""
        shards = self._directory.shards()
        for shard in self._watches.keys() - set(shards):
            shard.unwatch(self._queue_type, self._watches.pop(shard))
            self._due_at.pop(shard, None)
        for shard in shards:
            if shard not in self._watches:
                on_due = self._watches[shard] = partial(self._on_due, shard)
                shard.watch(self._queue_type, on_due)

    def enter(self, waiter: Waiter) -> None:
        self.waiters[waiter] = None
        self._arm()

    def leave(self, waiter: Waiter) -> None:
        self.waiters.pop(waiter, None)

    def close(self) -> None:
        """Nobody waits any more."""
        for shard, on_due in self._watches.items():
            shard.unwatch(self._queue_type, on_due)
        self._alarm.clear()

    def _on_due(self, shard: ShardPort, in_us: int | None) -> None:
        """A shard's next job is due in so many µs, or it has none."""
        if in_us is None:
            self._due_at.pop(shard, None)
        else:
            self._due_at[shard] = monotonic() + in_us / 1e6
        self._arm()

    def _arm(self) -> None:
        """Claim when the earliest shard is due, unless a claim is under way (it arms again at its end)."""
        if self._claim is None and self._due_at and self.waiters:
            self._alarm.set(min(self._due_at.values()))
        else:
            self._alarm.clear()

    def _start_claim(self) -> None:
        """The alarm's. A claim that is under way arms it again."""
        if self._claim is not None:
            return
        self._claim = tasks.begin(self._claim_due())
        self._claim.add_done_callback(self._on_claimed)

    def _on_claimed(self, task: asyncio.Task[None]) -> None:
        self._claim = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("claim_failed queue_type=%s", self._queue_type, exc_info=error)
            for shard in self._watches:
                self._due_at.setdefault(shard, monotonic() + _PAUSE_AFTER_FAILURE_S)
        self._arm()

    async def _claim_due(self) -> None:
        """Claims from the longest due shard, while one is due and somebody waits."""
        while self._due_at:
            shard = min(self._due_at, key=self._due_at.__getitem__)
            takers = self._takers()
            if self._due_at[shard] > monotonic() or not takers:
                return
            await self._claim_from(shard, takers)

    async def _claim_from(self, shard: ShardPort, takers: list[Waiter]) -> None:
        del self._due_at[shard]
        for taker in takers:
            taker.count_on()
        try:
            left = await self._claim_for(shard, takers)
        finally:
            for taker in takers:
                taker.let_go()
        if left:
            await self._give_back(left)

    async def _claim_for(self, shard: ShardPort, takers: list[Waiter]) -> list[LeasedJob]:
        """Returns the jobs that nobody is left for."""
        demand = min(sum(taker.count for taker in takers), MAX_CLAIM)
        try:
            reply = await shard.call(Dequeue(self._queue_type, demand, takers[0].lease_us))
        except SharqError as error:
            self._on_failure(shard, takers, error)
            return []
        if reply.next_due_in_us is not None and shard in self._watches:
            due_at = monotonic() + reply.next_due_in_us / 1e6
            self._due_at[shard] = min(due_at, self._due_at.get(shard, due_at))
        return _hand_out(takers, reply.jobs)

    def _on_failure(self, shard: ShardPort, takers: list[Waiter], error: SharqError) -> None:
        """Tell the polls, unless nothing was done and the shard is gone: then they wait for the others. One that does
        not reach its store is gone for a moment, if there is another.
        """
        if error.is_away:
            self._directory.doubt(shard)
        is_gone = shard not in self._watches
        if not is_gone:
            self._due_at[shard] = monotonic() + _PAUSE_AFTER_FAILURE_S
        if not is_gone or error.perhaps_done:
            for taker in takers:
                taker.fail(error)

    def _takers(self) -> list[Waiter]:
        """The first polls that want leases of one length, as many as one claim may serve."""
        takers: list[Waiter] = []
        demand = 0
        for waiter in self.waiters:
            if not waiter.is_waiting:
                continue
            if takers and (waiter.lease_us != takers[0].lease_us or demand + waiter.count > MAX_CLAIM):
                break
            if len(takers) == MAX_TAKERS:
                break
            takers.append(waiter)
            demand += waiter.count
        return takers


def _hand_out(takers: list[Waiter], jobs: list[LeasedJob]) -> list[LeasedJob]:
    """Gives the jobs out in order of arrival; returns those that nobody is left for."""
    at = 0
    for taker in takers:
        if at < len(jobs) and taker.is_waiting:
            taker.answer(jobs[at : at + taker.count])
            at += taker.count
    return jobs[at:]
