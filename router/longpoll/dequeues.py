"""Dequeues across types and shards: asks by hints, every shard before a 404, and parks long polls.

A parked poll costs nothing but its memory: shards report when a type's next job becomes due, and only then does the
router claim jobs for the waiting polls (router/longpoll/parked.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic

from router.longpoll.alarms import AlarmClock
from router.longpoll.attempts import DequeueAttempt
from router.longpoll.due_hints import Hints, Place
from router.longpoll.hint_refresh import HintRefresh
from router.longpoll.job_waits import JobWaits
from router.longpoll.parked import ParkedDequeues, Waiter
from router.shards.directory import Directory
from router.shards.dispatch import Dispatch
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.link.messages import ShardPort
from sharq_core.link.void_leases import void_releases
from sharq_core.models import LeasedJob

log = logging.getLogger(__name__)

TOLD_WITHIN_US = 100_000
"""A poll that waits at least this long need not ask the shards itself while others of its type wait: by then the shards
have reported a job that was ready when the poll came.
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
        self._refresh = HintRefresh(self._hints, directory.doubt)
        self._clock = AlarmClock()
        self._parked: dict[str, ParkedDequeues] = {}
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
        # If shards have told other polls that nothing is due, asking them again would only cost CPU time.
        may_park = wait_us >= TOLD_WITHIN_US and self._is_none_due(queue_types) and not self._is_draining
        if not may_park:
            jobs = await self._lease_now(queue_types, count, lease_us)
            if jobs or not wait_us or self._is_draining:
                return jobs
        if self.waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} polls are already waiting")
        waiter = Waiter(count, lease_us, is_gone)
        when_gone(waiter.look)
        return await self._park(queue_types, waiter, wait_us, has_looked=not may_park)

    @property
    def waiting(self) -> int:
        """The number of parked polls."""
        return self._waiting

    async def void_leases(self, jobs: list[LeasedJob]) -> None:
        """Void leases that no client received: the jobs return to their places or go to another waiter."""
        for outcome in await self._dispatch.release(void_releases(jobs)):
            if isinstance(outcome, SharqError):
                log.warning("lease_not_given_back code=%s: it ends at its deadline", outcome.code)

    def drain(self) -> None:
        """Answer every parked poll with an empty list, and park none from now on; likewise the waits for jobs."""
        self._is_draining = True
        self.job_waits.drain()
        for parked in self._parked.values():
            for waiter in list(parked.waiters):
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
    ) -> DequeueAttempt:
        if not shards:
            raise Unavailable("no shard can be reached")
        attempt = DequeueAttempt(
            self._hints, self._directory, count, lease_us, has_choice=min(len(queue_types), len(shards)) > 1
        )
        places = [(queue_type, shard) for queue_type in queue_types for shard in shards]
        first = self._directory.informed(shards)
        await self._ask(attempt, [place for place in places if place[1] in first])
        if not attempt.jobs and len(first) < len(shards):
            await self._ask(attempt, [place for place in places if place[1] not in first])
        return attempt

    async def _ask(self, attempt: DequeueAttempt, places: Sequence[Place]) -> None:
        if len(places) == 1:
            await attempt.take_from(places)
            return
        if places[0][0] == places[-1][0]:
            await self._freshen(attempt, places)
        else:
            await attempt.peek(self._hints.stale(places))
        await attempt.take_from(self._hints.due(places))
        if not attempt.jobs:
            await attempt.peek([place for place in places if place not in attempt.peeked])
            await attempt.take_from(self._hints.due(places))

    async def _freshen(self, attempt: DequeueAttempt, places: Sequence[Place]) -> None:
        """Ask the shards whose hints of a type are old.

        The dequeue does not wait for that while a shard with a fresh hint has a job: the answers are for the dequeues
        after it. Without them a shard would starve behind one that always has jobs.
        """
        stale = self._hints.stale(places)
        if not stale:
            return
        refresh = self._refresh.begin(stale)
        if all(place in stale for place in self._hints.due(places)):
            await asyncio.wait(refresh)
            attempt.note_failures(stale, [peek.result() for peek in refresh])

    def _is_none_due(self, queue_types: Sequence[str]) -> bool:
        """Return True if other polls wait for each of the types, and the shards have told them that none is due."""
        return all(
            (parked := self._parked.get(queue_type)) is not None and parked.knows_that_none_is_due()
            for queue_type in queue_types
        )

    async def _park(
        self, queue_types: Sequence[str], waiter: Waiter, wait_us: int, *, has_looked: bool
    ) -> list[LeasedJob]:
        waiter.parked_in = [self._parked_of(queue_type) for queue_type in queue_types]
        if has_looked:
            now = monotonic()
            for parked in waiter.parked_in:
                parked.looked_at = now
        timer = asyncio.get_running_loop().call_later(wait_us / 1e6, waiter.expire)
        for parked in waiter.parked_in:
            parked.enter(waiter)
        self._waiting += 1
        try:
            return await waiter.future
        except asyncio.CancelledError:
            # The client left at the moment at which its poll got jobs.
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                await asyncio.shield(self.void_leases(waiter.future.result()))
            raise
        finally:
            timer.cancel()
            self._waiting -= 1
            for queue_type, parked in zip(queue_types, waiter.parked_in, strict=True):
                parked.leave(waiter)
                # The last poll of a type ends the subscriptions, so that an idle type costs the shards
                # nothing.
                if not parked.waiters and self._parked.get(queue_type) is parked:
                    parked.close()
                    del self._parked[queue_type]

    def _parked_of(self, queue_type: str) -> ParkedDequeues:
        """Return the parked polls of a type."""
        parked = self._parked.get(queue_type)
        if parked is None:
            parked = self._parked[queue_type] = ParkedDequeues(
                queue_type, self._directory, self._clock, self.void_leases
            )
        return parked

    def _follow(self) -> None:
        """Follow a change in the set of shards."""
        self._hints.keep(self._directory.shards())
        for parked in self._parked.values():
            parked.follow()
