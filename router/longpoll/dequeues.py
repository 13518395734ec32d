"""Dequeues across types and shards: asks by hints, every shard before a 404, and parks long polls.

A parked poll costs nothing but its memory: shards report when a type's next job becomes due, and only then does the
router claim jobs for the waiting polls (router/longpoll/parked.py). Not here: all other operations
(router/shards/dispatch.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from router.longpoll.alarms import AlarmClock
from router.longpoll.due_hints import Hints, Place
from router.longpoll.job_waits import JobWaits
from router.longpoll.parked import ParkedDequeues, Waiter
from router.shards.directory import Directory
from router.shards.dispatch import Dispatch
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.link.messages import Dequeue, Peek, ShardPort
from sharq_core.link.void_leases import voids
from sharq_core.models import LeasedJob

log = logging.getLogger(__name__)

ENOUGH_BYTES = 1 << 20
"""Bytes of payloads after which no further shard is asked: each may answer 8 MiB, which is also the limit of a whole
answer.
"""

MAX_WAITING = 20_000
"""Maximum number of parked polls of one router, all types together."""


class Polls:
    """The dequeues of one router, parked or not.

    Attributes:
        job_waits: the requests that wait for the ends of jobs.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._dispatch = Dispatch(directory)
        self.job_waits = JobWaits(directory, self._dispatch)
        self._hints = Hints()
        self._clock = AlarmClock()
        self._lobbies: dict[str, ParkedDequeues] = {}
        self._waiting = 0
        self._is_draining = False
        directory.on_change(self._follow)

    async def dequeue(
        self,
        queue_types: Sequence[str],
        count: int,
        lease_us: int,
        wait_us: int,
        is_gone: Callable[[], bool],
        when_gone: Callable[[Callable[[], object]], None] = lambda _: None,
    ) -> list[LeasedJob]:
        """Lease up to `count` jobs as soon as one is ready; return an empty list if none is ready within wait_us.

        Args:
            queue_types: the types to lease from, each once. The job that has been due longest over all of them comes
                first.
            is_gone: returns True once the client has left; nothing is leased for it then.
            when_gone: registers a callback for the moment when the client leaves, so that its poll takes no place.

        Raises:
            Overloaded: too many requests are waiting. Nothing was leased.
            Unavailable: no shard or no store can be reached. Nothing was leased.
            OutcomeUnknown: a job may have been leased; it is requeued when its lease ends.
        """
        jobs = await self._lease_now(queue_types, count, lease_us)
        if jobs or not wait_us or self._is_draining:
            return jobs
        if self.waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} polls are already waiting")
        waiter = Waiter(count, lease_us, is_gone)
        when_gone(waiter.look)
        return await self._park(queue_types, waiter, wait_us)

    @property
    def waiting(self) -> int:
        """The number of parked polls."""
        return self._waiting

    async def give_back(self, jobs: list[LeasedJob]) -> None:
        """Void leases that no client received: the jobs return to their places or go to another waiter."""
        for outcome in await self._dispatch.release(voids(jobs)):
            if isinstance(outcome, SharqError):
                log.warning("give_back_failed code=%s", outcome.code)

    def drain(self) -> None:
        """Answer every parked poll with an empty list, and park none from now on; likewise the waits for jobs."""
        self._is_draining = True
        self.job_waits.drain()
        for lobby in self._lobbies.values():
            for waiter in list(lobby.waiters):
                waiter.expire()

    async def _lease_now(self, queue_types: Sequence[str], count: int, lease_us: int) -> list[LeasedJob]:
        """Return ready jobs, those of the longest due first; raise the first failure if there is no job.

        Hints decide which shards are asked. If those have no job, every shard is asked for the state of its index (I6).
        A shard that fails does not keep the others from answering. If nothing was done and the set of shards has
        changed (one drains, broke, or does not reach its store), the new set is asked once.
        """
        shards = self._directory.shards()
        attempt = await self._attempt(shards, queue_types, count, lease_us)
        for shard in attempt.away:
            self._directory.doubt(shard)
        if attempt.away and attempt.may_be_repeated:
            await self._directory.covered()
        if attempt.may_be_repeated and (others := self._directory.shards()) != shards:
            attempt = await self._attempt(others, queue_types, count, lease_us)
        if attempt.failures and not attempt.jobs:
            raise attempt.failures[0]
        return attempt.jobs

    async def _attempt(
        self, shards: Sequence[ShardPort], queue_types: Sequence[str], count: int, lease_us: int
    ) -> _DequeueAttempt:
        if not shards:
            raise Unavailable("no shard can be reached")
        attempt = _DequeueAttempt(self._hints, count, lease_us)
        places = [(queue_type, shard) for queue_type in queue_types for shard in shards]
        if len(places) == 1:
            await attempt.take_from(places)
            return attempt
        first = self._directory.informed(shards)
        await self._ask(attempt, [place for place in places if place[1] in first])
        if not attempt.jobs and len(first) < len(shards):
            await self._ask(attempt, [place for place in places if place[1] not in first])
        return attempt

    async def _ask(self, attempt: _DequeueAttempt, places: Sequence[Place]) -> None:
        if len(places) == 1:
            await attempt.take_from(places)
            return
        await attempt.peek(self._hints.stale(places))
        await attempt.take_from(self._hints.due(places))
        if not attempt.jobs:
            await attempt.peek(places)
            await attempt.take_from(self._hints.due(places))

    async def _park(self, queue_types: Sequence[str], waiter: Waiter, wait_us: int) -> list[LeasedJob]:
        waiter.lobbies = [self._lobby(queue_type) for queue_type in queue_types]
        timer = asyncio.get_running_loop().call_later(wait_us / 1e6, waiter.expire)
        for lobby in waiter.lobbies:
            lobby.enter(waiter)
        self._waiting += 1
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                await asyncio.shield(self.give_back(waiter.future.result()))
            raise
        finally:
            timer.cancel()
            self._waiting -= 1
            for queue_type, lobby in zip(queue_types, waiter.lobbies, strict=True):
                lobby.leave(waiter)
                if not lobby.waiters and self._lobbies.get(queue_type) is lobby:
                    lobby.close()
                    del self._lobbies[queue_type]

    def _lobby(self, queue_type: str) -> ParkedDequeues:
        """Return the parked polls of a type."""
        lobby = self._lobbies.get(queue_type)
        if lobby is None:
            lobby = self._lobbies[queue_type] = ParkedDequeues(
                queue_type, self._directory, self._clock, self.give_back
            )
        return lobby

    def _follow(self) -> None:
        """Follow a change in the set of shards."""
        self._hints.keep(self._directory.shards())
        for lobby in self._lobbies.values():
            lobby.follow()


class _DequeueAttempt:
    """One dequeue that does not wait.

    Attributes:
        jobs: the leased jobs.
        failures: the errors of shards, in order.
        away: the shards that do not reach their store.
    """

    def __init__(self, hints: Hints, count: int, lease_us: int) -> None:
        self.jobs: list[LeasedJob] = []
        self.failures: list[SharqError] = []
        self.away: set[ShardPort] = set()
        self._failed: set[ShardPort] = set()
        self._size_bytes = 0
        self._hints = hints
        self._count = count
        self._lease_us = lease_us

    @property
    def may_be_repeated(self) -> bool:
        """True if the dequeue failed and certainly leased nothing."""
        return (
            not self.jobs
            and bool(self.failures)
            and not any(failure.perhaps_done for failure in self.failures)
        )

    async def peek(self, places: Sequence[Place]) -> None:
        """Ask shards for the next due time of types in their indexes, and keep it as a hint."""
        await asyncio.gather(*(self._peek_at(*place) for place in places))

    async def take_from(self, places: Sequence[Place]) -> None:
        """Lease from one place after the other until there are enough jobs.

        A shard that failed is not asked again, because it may take its whole timeout to fail.
        """
        for queue_type, shard in places:
            wanted = self._count - len(self.jobs)
            if wanted <= 0 or self._size_bytes >= ENOUGH_BYTES:
                return
            if shard in self._failed:
                continue
            try:
                reply = await shard.call(Dequeue(queue_type, wanted, self._lease_us))
            except SharqError as error:
                self._fail(shard, error)
                self._failed.add(shard)
            else:
                self.jobs += reply.jobs
                self._size_bytes += sum(len(job.payload) for job in reply.jobs)
                self._hints.hear(queue_type, shard, reply.next_due_in_us)

    async def _peek_at(self, queue_type: str, shard: ShardPort) -> None:
        try:
            self._hints.hear(queue_type, shard, await shard.call(Peek(queue_type)))
        except SharqError as error:
            self._fail(shard, error)

    def _fail(self, shard: ShardPort, error: SharqError) -> None:
        self.failures.append(error)
        if error.is_away:
            self.away.add(shard)
