"""Requests that wait for the end of a job: they are parked here until the job is finished, dead, cancelled or expired.

All requests about one job share one watch. The shard that owns the job reports when a call has perhaps ended it; other
ends, such as the timeout of the last lease, are found by reading the job from time to time. Either way the job is read
again before a request is answered.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sized
from contextlib import suppress
from functools import partial
from typing import Protocol

from router.shards.directory import Directory
from router.shards.upgrade import CAMPAIGNS, refusal
from sharq_core.errors import Overloaded, SharqError
from sharq_core.link.job_watches import JobKey
from sharq_core.link.messages import GetJob, ShardPort
from sharq_core.models import JobState, JobStatus, QueueKey
from sharq_core.partitions import partition_of

log = logging.getLogger(__name__)

MAX_WAITING = 20_000
"""Maximum number of requests of one router that wait for the ends of jobs."""

ASK_EVERY_S = 1.0
"""Seconds between two reads of a watched job without news."""

PAUSE_AFTER_FAILURE_S = 0.1
"""Least seconds after a failed read of a job until the next one."""

READS_A_SECOND = 200
"""Reads of watched jobs a second; with more of them than this, each is read less often."""

READS_AT_ONCE = 100
"""Reads of watched jobs in flight. A change of shards lets all jobs be read again; a link takes 10,000 calls at a time,
and those of other requests must have room among them.
"""

TRIES_A_SECOND = 1_000
"""Reads a second of watched jobs whose last read has failed."""

ENDED = frozenset({JobState.FINISHED, JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED})


class Reader(Protocol):
    """The way to a job's status (router/shards/dispatch.py)."""

    async def route(self, call: GetJob, /) -> JobStatus | None:
        """Return the status of a job; None if it is unknown."""
        ...


class JobWaits:
    """The waiting requests of one router."""

    def __init__(self, directory: Directory, reader: Reader) -> None:
        self._directory = directory
        self._reader = reader
        self._watches: dict[JobKey, _JobWatch] = {}
        self._watch_reader = _WatchReader(reader)
        self._waiting = 0
        self._is_draining = False
        directory.on_change(self._follow)

    def __len__(self) -> int:
        """Return the number of jobs that are waited for."""
        return len(self._watches)

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return self._waiting

    async def status(
        self,
        key: QueueKey,
        job_id: str,
        wait_us: int,
        when_gone: Callable[[Callable[[], object]], None] = lambda _: None,
    ) -> JobStatus | None:
        """Return the status of a job as soon as it has ended, or after wait_us; None if it is or becomes unknown.

        Args:
            when_gone: registers a callback for the moment when the client leaves, so that its request takes no place.

        Raises:
            Overloaded: too many requests are waiting.
            Unavailable: the job cannot be read, or a shard is too old to tell of the ends of jobs.
        """
        if self._directory.formats < CAMPAIGNS:
            raise refusal("wait")
        status = await self._reader.route(GetJob(key, job_id, knows_life=True))
        if has_ended(status) or self._is_draining:
            return status
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} requests are already waiting for the ends of jobs")
        waiter = _Waiter()
        when_gone(partial(waiter.answer, status))
        return await self._park(JobKey(key.queue_type, key.queue_id, job_id), waiter, wait_us)

    def drain(self) -> None:
        """Answer every waiting request with the job's present state, and let none wait from now on."""
        self._is_draining = True
        for watch in self._watches.values():
            watch.end_waits()

    async def _park(self, job: JobKey, waiter: _Waiter, wait_us: int) -> JobStatus | None:
        watch = self._watches.get(job)
        if watch is None:
            watch = self._watches[job] = _JobWatch(job, self._directory, self._watch_reader, self._watches)
        watch.waiters[waiter] = None
        timer = asyncio.get_running_loop().call_later(wait_us / 1e6, watch.end_wait, waiter)
        self._waiting += 1
        try:
            return await waiter.future
        finally:
            self._waiting -= 1
            timer.cancel()
            watch.waiters.pop(waiter, None)
            if not watch.waiters and self._watches.get(job) is watch:
                del self._watches[job]
                watch.close()

    def _follow(self) -> None:
        """Follow a change in the set of shards."""
        for watch in list(self._watches.values()):
            watch.follow()


def has_ended(status: JobStatus | None) -> bool:
    """Return True if there is nothing to wait for: the job is over, or unknown."""
    return status is None or status.state in ENDED


class _WatchReader:
    """Reads the statuses of watched jobs, a bounded number at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turns = asyncio.Semaphore(READS_AT_ONCE)

    async def route(self, call: GetJob) -> JobStatus | None:
        """Return the status of a job; None if it is unknown."""
        async with self._turns:
            return await self._reader.route(call)


class _Waiter:
    """One waiting request.

    Attributes:
        future: the status to answer with.
        is_over: True if its time is over: it is answered with whatever state is read next.
    """

    def __init__(self) -> None:
        self.future: asyncio.Future[JobStatus | None] = asyncio.get_running_loop().create_future()
        self.is_over = False

    def answer(self, status: JobStatus | None) -> None:
        """End the wait; an ended wait stays as it is."""
        if not self.future.done():
            self.future.set_result(status)

    def fail(self, error: SharqError) -> None:
        """End the wait with an error; an ended wait stays as it is."""
        if not self.future.done():
            self.future.set_exception(error)


class _JobWatch:
    """The requests that wait for the end of one job, and the subscription to it at the shard that owns it.

    Args:
        watches: all watches of the router. The more there are, the less often each one reads.

    Attributes:
        waiters: the waiting requests.
    """

    def __init__(self, job: JobKey, directory: Directory, reader: Reader, watches: Sized) -> None:
        self.waiters: dict[_Waiter, None] = {}
        self._job = job
        self._directory = directory
        self._reader = reader
        self._watches = watches
        self._shard: ShardPort | None = None
        self._news = asyncio.Event()
        self.follow()
        self._task = asyncio.create_task(self._run())

    def follow(self) -> None:
        """Subscribe at the shard that owns the job now; if that is another one, read the job again."""
        shard = self._owner()
        if shard is self._shard:
            return
        self._unsubscribe()
        if shard is not None:
            shard.watch_job(self._job, self._news.set)
        self._shard = shard
        self._news.set()

    def end_wait(self, waiter: _Waiter) -> None:
        """Answer a request whose time is over with the job's present state."""
        waiter.is_over = True
        self._news.set()

    def end_waits(self) -> None:
        """Answer all requests with the job's present state."""
        for waiter in self.waiters:
            self.end_wait(waiter)

    def close(self) -> None:
        """Drop the subscription: no request waits any more."""
        self._task.cancel()
        self._unsubscribe()

    def _owner(self) -> ShardPort | None:
        """Return the shard that tells of the job's end; None if no shard can be reached, or one is too old."""
        if self._directory.formats < CAMPAIGNS:
            return None
        partition = partition_of(self._job.queue_type, self._job.queue_id, self._directory.partitions)
        try:
            return self._directory.owner(partition)
        except SharqError:
            return None

    def _unsubscribe(self) -> None:
        if self._shard is not None:
            self._shard.unwatch_job(self._job, self._news.set)
            self._shard = None

    async def _run(self) -> None:
        """Read the job after each piece of news, and from time to time, until no request waits."""
        call = GetJob(QueueKey(self._job.queue_type, self._job.queue_id), self._job.job_id, knows_life=True)
        has_failed = False
        while True:
            # The job may have ended while it could not be read, so that there is no further news of it.
            pause = (PAUSE_AFTER_FAILURE_S, TRIES_A_SECOND) if has_failed else (ASK_EVERY_S, READS_A_SECOND)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(*pause)):
                    await self._news.wait()
            self._news.clear()
            # The owner may have changed. The new one must watch the job before it is read, or its end may be missed.
            self.follow()
            has_failed = True
            try:
                status = await self._reader.route(call)
            except SharqError as error:
                self._fail(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            except Exception as error:
                log.exception("job_wait_failed")
                self._fail(SharqError(f"the job could not be read: {type(error).__name__}"))
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            else:
                has_failed = False
                self._answer(status)

    def _pause_s(self, least_s: float, reads_a_second: int) -> float:
        """Return the time until the job is read again: by chance, so that the reads of many jobs spread."""
        return max(least_s, len(self._watches) / reads_a_second) * random.uniform(0.75, 1.0)

    def _answer(self, status: JobStatus | None) -> None:
        """Answer the requests whose job or time is over."""
        for waiter in self.waiters:
            if waiter.is_over or has_ended(status):
                waiter.answer(status)

    def _fail(self, error: SharqError) -> None:
        """Fail the requests whose time is over; the others wait for a shard that can read the job."""
        for waiter in self.waiters:
            if waiter.is_over:
                waiter.fail(error)
