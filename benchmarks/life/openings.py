"""Measures the dequeues of a type for whose window many jobs wait, on a store alone, for benchmarks/life/campaigns.py.

The functions are called directly, and each call's CPU time is that of the store's main thread, which other load on the
machine changes little.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures.spread import median
from benchmarks.life.bench import BATCH, LEASE_MS, PAYLOAD
from benchmarks.processes.servers import Store, store
from shard.dequeuer import CALL_US
from sharq_core.models import NewJob
from sharq_core.scheduler.campaigns.windows import WindowCalls
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

_WINDOW = "daytime"
_HOUR_US = 3_600_000_000
_BEGIN_US = 1_700_000_000_000_000
_OPENS_US = _BEGIN_US + _HOUR_US
_KNOWN_US = _BEGIN_US + 48 * _HOUR_US
_AT_ONCE = 20
_PROBES = 50


class Calls(msgspec.Struct, frozen=True):
    """The first dequeues of a type, which lease one job of each queue.

    Attributes:
        cpu_ms: CPU time of each call.
        jobs: that the calls leased together. A call that takes too long leases fewer than BATCH.
    """

    window: str | None
    cpu_ms: list[float]
    jobs: int


def measure(size: int, queues: int, interval_us: int) -> list[Calls]:
    """Lease one job of each queue, on a store of its own: of a type without a window, and of one at its opening."""
    with store(is_durable=False) as running:
        running.load_library()
        load = _Load(running, queues, interval_us)
        windows = (None, _WINDOW)
        for window in windows:
            load.fill(window, size)
        return [load.lease(window) for window in windows]


class _Load:
    def __init__(self, running: Store, queues: int, interval_us: int) -> None:
        self._store = running
        self._queues = queues
        self._interval_us = interval_us
        self._functions = Functions(Keys("opening", 1), Retention())
        put = WindowCalls(Keys("opening", 1)).put_window(
            0, _WINDOW, b"{}", 0, _KNOWN_US, [(_OPENS_US, _KNOWN_US)], now_us=_BEGIN_US
        )
        self._store.execute_all([put])
        probes_us = [self._store.cpu_us for _ in range(_PROBES)]
        self._probe_us = median(after - before for before, after in pairwise(probes_us))

    def fill(self, window: str | None, size: int) -> None:
        """Give each queue an equal part of the jobs."""
        step = min(self._queues, BATCH * _AT_ONCE)
        for number in range(size // self._queues):
            for first in range(0, self._queues, step):
                batches = [
                    self._batch(window, f"job-{number}", range(at, at + BATCH))
                    for at in range(first, first + step, BATCH)
                ]
                self._store.execute_all(
                    [self._functions.enqueue(0, _type_of(window), jobs, now_us=_BEGIN_US) for jobs in batches]
                )

    def _batch(self, window: str | None, job_id: str, queues: range) -> list[NewJob]:
        return [
            NewJob(_type_of(window), f"q{queue}", job_id, PAYLOAD, -1, self._interval_us, window=window)
            for queue in queues
        ]

    def lease(self, window: str | None) -> Calls:
        """Lease one job of each queue at the time at which the window opens."""
        call = self._functions.dequeue(
            0, _type_of(window), BATCH, LEASE_MS * 1000, b"\0" * 8, most_us=CALL_US, now_us=_OPENS_US
        )
        cpu_ms: list[float] = []
        leased = 0
        while leased < self._queues:
            before_us = self._store.cpu_us
            (reply,) = self._store.execute_all([call])
            cpu_ms.append((self._store.cpu_us - before_us - self._probe_us) / 1000)
            leased += len(reply.jobs)
            if not reply.jobs:
                raise Spoiled(f"a call brought no job after {leased} of {self._queues}")
        return Calls(window, cpu_ms, leased)


def _type_of(window: str | None) -> str:
    return "windowed" if window else "plain"
