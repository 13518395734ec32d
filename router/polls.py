"""The dequeue across shards: hints first, every shard's index before a 404, and long polls that park here.

A parked poll costs nothing but its memory: shards tell when a type's next job becomes due, and only then is one
claimed, for as many waiting polls as there are. Not here: what is ready inside one shard (shard/ready_index.py), and
everything but the dequeue (router/dispatch.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from router.dispatch import Directory, Dispatch
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.messages import Dequeue, OnDue, Peek, ShardPort
from sharq_core.models import LeasedJob, ReleaseJob

log = logging.getLogger(__name__)

MAX_WAITING = 20_000
"""Parked polls of one router, of all types."""

MAX_CLAIM = 1000
"""Jobs claimed in one call."""

MAX_TAKERS = 64
"""Polls served by one claim: a claim looks at no more, however many wait."""

_PAUSE_AFTER_FAILURE_S = 0.1


class Polls:
    """Hands ready jobs to the requests that ask for them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._dispatch = Dispatch(directory)
        self._lobbies: dict[str, _Lobby] = {}
        self._is_draining = False

    async def dequeue(
        self, queue_type: str, count: int, lease_us: int, wait_us: int, is_gone: Callable[[], bool]
    ) -> list[LeasedJob]:
        """Lease up to `count` ready jobs, as soon as one is ready; an empty list when none was within wait_us.

        Args:
            is_gone: True once the client has left; nothing is leased for it any more.

        Raises:
            Overloaded: too many requests wait already. Nothing was leased.
            Unavailable: no shard or store can be reached. Nothing was leased.
            OutcomeUnknown: a job may have been leased; it comes back at its lease's end.
        """
        jobs = await self._ask_now(queue_type, count, lease_us)
        if jobs or not wait_us or self._is_draining:
            return jobs
        if self.waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} polls wait here already")
        return await self._park(queue_type, _Waiter(count, lease_us, is_gone), wait_us)

    @property
    def waiting(self) -> int:
        """Parked polls."""
        return sum(len(lobby.waiters) for lobby in self._lobbies.values())

    async def give_back(self, jobs: list[LeasedJob]) -> None:
        """Void leases that nobody received: the jobs go to another waiter or back to their place."""
        voids = [ReleaseJob(job.queue_type, job.queue_id, job.job_id, job.lease, 0, True) for job in jobs]
        for outcome in await self._dispatch.release(voids):
            if isinstance(outcome, SharqError):
                log.warning("give_back_failed code=%s", outcome.code)

    def drain(self) -> None:
        """Answer every parked poll with nothing, and park none from now on."""
        self._is_draining = True
        for lobby in self._lobbies.values():
            for waiter in list(lobby.waiters):
                waiter.answer([])

    async def _ask_now(self, queue_type: str, count: int, lease_us: int) -> list[LeasedJob]:
        """Ready jobs, of the longest due shard first; asks every shard's index before it finds none."""
        shards = self._directory.shards()
        if not shards:
            raise Unavailable("no shard can be reached")
        if len(shards) > 1:
            due = await asyncio.gather(*(shard.call(Peek(queue_type)) for shard in shards))
            ready = [(wait_us, i) for i, wait_us in enumerate(due) if wait_us is not None and wait_us <= 0]
            shards = [shards[i] for _, i in sorted(ready)]
        jobs: list[LeasedJob] = []
        for shard in shards:
            reply = await shard.call(Dequeue(queue_type, count - len(jobs), lease_us))
            jobs += reply.jobs
            if len(jobs) >= count:
                break
        return jobs

    async def _park(self, queue_type: str, waiter: _Waiter, wait_us: int) -> list[LeasedJob]:
        lobby = self._lobbies.get(queue_type)
        if lobby is None:
            lobby = self._lobbies[queue_type] = _Lobby(queue_type, self._directory, self.give_back)
        timer = asyncio.get_running_loop().call_later(wait_us / 1e6, waiter.answer, [])
        lobby.enter(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                await asyncio.shield(self.give_back(waiter.future.result()))
            raise
        finally:
            timer.cancel()
            lobby.leave(waiter)
            if not lobby.waiters and self._lobbies.get(queue_type) is lobby:
                lobby.close()
                del self._lobbies[queue_type]


class _Waiter:
    """One parked poll."""

    def __init__(self, count: int, lease_us: int, is_gone: Callable[[], bool]) -> None:
        self.count = count
        self.lease_us = lease_us
        self.is_gone = is_gone
        self.future: asyncio.Future[list[LeasedJob]] = asyncio.get_running_loop().create_future()

    def answer(self, jobs: list[LeasedJob]) -> None:
        if not self.future.done():
            self.future.set_result(jobs)

    def fail(self, error: SharqError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    @property
    def is_waiting(self) -> bool:
        """It can still take a job; a poll whose client has left is let go."""
        if not self.future.done() and self.is_gone():
            self.answer([])
        return not self.future.done()


class _Lobby:
    """The parked polls of one type, in order of arrival, and when each shard's next job is due."""

    def __init__(
        self,
        queue_type: str,
        directory: Directory,
        give_back: Callable[[list[LeasedJob]], Awaitable[None]],
    ) -> None:
        self._queue_type = queue_type
        self._directory = directory
        self._give_back = give_back
        self._loop = asyncio.get_running_loop()
        self.waiters: dict[_Waiter, None] = {}
        self._due_at: dict[ShardPort, float] = {}
        self._watches: dict[ShardPort, OnDue] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._claim: asyncio.Task[None] | None = None
        for shard in directory.shards():
            on_due = partial(self._on_due, shard)
            self._watches[shard] = on_due
            shard.watch(queue_type, on_due)

    def enter(self, waiter: _Waiter) -> None:
        self.waiters[waiter] = None
        self._arm()

    def leave(self, waiter: _Waiter) -> None:
        self.waiters.pop(waiter, None)

    def close(self) -> None:
        """Nobody waits any more."""
        for shard, on_due in self._watches.items():
            shard.unwatch(self._queue_type, on_due)
        if self._timer is not None:
            self._timer.cancel()

    def _on_due(self, shard: ShardPort, in_us: int | None) -> None:
        """A shard's next job is due in so many µs, or it has none."""
        if in_us is None:
            self._due_at.pop(shard, None)
        else:
            self._due_at[shard] = self._loop.time() + in_us / 1e6
        self._arm()

    def _arm(self) -> None:
        """Claim when the earliest shard is due, unless a claim is under way (it arms again at its end)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._claim is None and self._due_at and self.waiters:
            self._timer = self._loop.call_at(min(self._due_at.values()), self._start_claim)

    def _start_claim(self) -> None:
        self._timer = None
        if self._claim is None:
            self._claim = self._loop.create_task(self._claim_due())
            self._claim.add_done_callback(self._on_claimed)

    def _on_claimed(self, task: asyncio.Task[None]) -> None:
        self._claim = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("claim_failed queue_type=%s", self._queue_type, exc_info=error)
        self._arm()

    async def _claim_due(self) -> None:
        """Claims from the longest due shard, while one is due and somebody waits."""
        while self._due_at:
            shard = min(self._due_at, key=self._due_at.__getitem__)
            takers = self._takers()
            if self._due_at[shard] > self._loop.time() or not takers:
                return
            await self._claim_from(shard, takers)

    async def _claim_from(self, shard: ShardPort, takers: list[_Waiter]) -> None:
        del self._due_at[shard]
        demand = min(sum(taker.count for taker in takers), MAX_CLAIM)
        try:
            reply = await shard.call(Dequeue(self._queue_type, demand, takers[0].lease_us))
        except SharqError as error:
            for taker in takers:
                taker.fail(error)
            self._due_at[shard] = self._loop.time() + _PAUSE_AFTER_FAILURE_S
            return
        if reply.next_due_in_us is not None:
            due_at = self._loop.time() + reply.next_due_in_us / 1e6
            self._due_at[shard] = min(due_at, self._due_at.get(shard, due_at))
        left = _hand_out(takers, reply.jobs)
        if left:
            await self._give_back(left)

    def _takers(self) -> list[_Waiter]:
        """The first polls that want leases of one length, as many as one claim may serve."""
        takers: list[_Waiter] = []
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


def _hand_out(takers: list[_Waiter], jobs: list[LeasedJob]) -> list[LeasedJob]:
    """Gives the jobs out in order of arrival; returns those that nobody is left for."""
    at = 0
    for taker in takers:
        if at < len(jobs) and taker.is_waiting:
            taker.answer(jobs[at : at + taker.count])
            at += taker.count
    return jobs[at:]
