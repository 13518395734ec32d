"""Measures the single steps that clear expired jobs and cancel jobs by prefix, for benchmarks/life/life.py.

The functions are called directly, and each call's CPU time is that of the store's main thread, which other load on the
machine does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures.spread import median
from benchmarks.life.bench import BATCH, PAYLOAD
from benchmarks.processes.servers import Store, store
from shard.dequeuer import CALL_US
from shard.reaper import WALK_US
from sharq_core.job_life import OnExpiry
from sharq_core.logs.plurals import counted
from sharq_core.models import NewJob
from sharq_core.scheduler.campaigns.batch_calls import BatchCalls
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.job_calls import JobCalls
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import ReapReply

T = TypeVar("T")

HOUR_US = 3_600_000_000
_QUEUE = "many"
_PREFIX = "campaign7-"
_BEGIN_US = 1_700_000_000_000_000
_EXPIRED_US = _BEGIN_US + 2 * HOUR_US
_STEP_EVERY_US = 5_000
_PROBES = 50


class Steps(msgspec.Struct, frozen=True):
    """The calls that it took to clear many jobs.

    Attributes:
        jobs: that were cleared.
        longest_ms: CPU time of the call that took most.
        cpu_us: CPU time a job.
    """

    what: str
    jobs: int
    calls: int
    longest_ms: float
    cpu_us: float


def expired_jobs(
    size: int, queue_id: str, queue_type: str, expires_at_us: int, fate: OnExpiry | None = None
) -> Iterator[list[NewJob]]:
    """Yield batches of jobs that expire all at one time, and behind them a live one."""
    for first in range(0, size, BATCH):
        ids = [f"expired-{number}" for number in range(first, min(first + BATCH, size))]
        yield [
            NewJob(
                queue_type,
                queue_id,
                job_id,
                PAYLOAD,
                -1,
                0,
                expires_at_us=expires_at_us,
                on_expiry=fate,
            )
            for job_id in ids
        ]
    yield [NewJob(queue_type, queue_id, "live", PAYLOAD, -1, 0)]


def campaign(size: int, queue_id: str, queue_type: str, prefix: str) -> Iterator[list[NewJob]]:
    """Yield batches of jobs whose ids have a prefix, and one in each batch that has another."""
    for first in range(0, size, BATCH - 1):
        ids = [f"{prefix}{number}" for number in range(first, min(first + BATCH - 1, size))]
        yield [NewJob(queue_type, queue_id, job_id, PAYLOAD, -1, 0) for job_id in [*ids, f"other-{first}"]]


def batch(size: int, queues: int, queue_type: str, name: str) -> Iterator[tuple[str, list[NewJob]]]:
    """Yield the jobs of a batch, an equal part in each queue, as queue ids and calls' worth of jobs."""
    share = size // queues
    for queue in range(queues):
        queue_id = f"q{queue}"
        for first in range(0, share, BATCH):
            ids = map(str, range(first, min(first + BATCH, share)))
            yield (
                queue_id,
                [NewJob(queue_type, queue_id, job_id, PAYLOAD, -1, 0, batch=name) for job_id in ids],
            )


def measure(size: int) -> list[Steps]:
    """Clear `size` jobs in each way, on a store of its own."""
    with store(is_durable=False) as running:
        running.load_library()
        load = _Load(running, size)
        return [
            load.dequeue(),
            load.sweep("the sweep of expired jobs", "swept"),
            load.sweep("the sweep of expired jobs in 1,000 queues", "spread", queues=1_000),
            load.sweep("the sweep of expired jobs that are dropped", "dropped", fate=OnExpiry.DROP),
            load.cancel(),
            *map(load.cancel_batch, (1, 1_000)),
        ]


class _Load:
    def __init__(self, running: Store, size: int) -> None:
        self._store = running
        self._size = size
        keys = Keys("life", 1)
        self._functions = Functions(keys, Retention())
        self._jobs = JobCalls(keys, Retention())
        self._batches = BatchCalls(keys, Retention())
        probes = [self._spent_us(lambda: None) for _ in range(_PROBES)]
        self._probe_us = median(probes)

    def dequeue(self) -> Steps:
        """Let dequeues meet the expired jobs at the head of their queue, until the live one is leased."""
        self._fill_expired("dequeued")
        call = self._functions.dequeue(
            0, "dequeued", 1, HOUR_US, b"\0" * 8, most_us=CALL_US, now_us=_EXPIRED_US
        )
        return self._clear(
            "a dequeue that meets expired jobs", lambda _: call, lambda reply: bool(reply.jobs)
        )

    def sweep(self, what: str, queue_type: str, queues: int = 1, fate: OnExpiry | None = None) -> Steps:
        """Let timers find them, without a dequeue."""
        self._fill_expired(queue_type, queues, fate)
        waiting = self._size // queues * queues

        def call(number: int) -> FunctionCall[ReapReply]:
            now_us = _EXPIRED_US + number * _STEP_EVERY_US
            return self._functions.reap(0, queue_type, most_us=WALK_US, now_us=now_us)

        def is_done(reply: ReapReply) -> bool:
            nonlocal waiting
            waiting -= reply.expired
            return waiting == 0

        return self._clear(what, call, is_done)

    def cancel(self) -> Steps:
        """Cancel by prefix, step by step."""
        for jobs in campaign(self._size, _QUEUE, "cancelled", _PREFIX):
            self._run(self._functions.enqueue(0, "cancelled", jobs, now_us=_BEGIN_US))
        spent_us: list[float] = []
        scan, cancelled = "", 0
        while True:
            call = self._jobs.cancel_matching(0, "cancelled", _QUEUE, _PREFIX, scan)
            page, us = self._timed(call)
            spent_us.append(us)
            cancelled += page.cancelled
            scan = page.scan
            if not scan:
                break
        if cancelled != self._size:
            raise Spoiled(f"{cancelled} of {self._size} jobs were cancelled")
        return self._steps("a step of a cancellation by prefix", spent_us)

    def cancel_batch(self, queues: int) -> Steps:
        """Cancel a batch in as many queues, step by step."""
        kind, scan, spent_us = f"batch{queues}", "", list[float]()
        for _, jobs in batch(self._size, queues, kind, _PREFIX):
            self._run(self._functions.enqueue(0, kind, jobs, now_us=_BEGIN_US))
        cancelled = 0
        while scan or not spent_us:
            call = self._batches.cancel_batch(0, kind, _PREFIX, scan)
            step, us = self._timed(call)
            spent_us.append(us)
            cancelled, scan = cancelled + step.cancelled, step.scan
        if cancelled != self._size:
            raise Spoiled(f"{cancelled} of {self._size} jobs were cancelled")
        return self._steps(f"a step of a cancellation of a batch in {counted(queues, 'queue')}", spent_us)

    def _fill_expired(self, queue_type: str, queues: int = 1, fate: OnExpiry | None = None) -> None:
        for queue in range(queues):
            share, queue_id = self._size // queues, f"{_QUEUE}{queue}"
            for jobs in expired_jobs(share, queue_id, queue_type, _BEGIN_US + HOUR_US, fate):
                self._run(self._functions.enqueue(0, queue_type, jobs, now_us=_BEGIN_US))

    def _clear(
        self, what: str, call: Callable[[int], FunctionCall[T]], is_done: Callable[[T], bool]
    ) -> Steps:
        spent_us: list[float] = []
        while True:
            reply, us = self._timed(call(len(spent_us)))
            spent_us.append(us)
            if is_done(reply):
                return self._steps(what, spent_us)
            if len(spent_us) > self._size:
                raise Spoiled(f"{what} did not end after {len(spent_us)} calls")

    def _steps(self, what: str, spent_us: list[float]) -> Steps:
        return Steps(what, self._size, len(spent_us), max(spent_us) / 1000, sum(spent_us) / self._size)

    def _timed(self, call: FunctionCall[T]) -> tuple[T, float]:
        found: list[T] = []
        us = self._spent_us(lambda: found.append(self._run(call))) - self._probe_us
        return found[0], us

    def _spent_us(self, act: Callable[[], object]) -> float:
        """CPU time of the store for an act and one look at its CPU time."""
        before_us = self._store.cpu_us
        act()
        return self._store.cpu_us - before_us

    def _run(self, call: FunctionCall[T]) -> T:
        return self._store.execute_all([call])[0]
