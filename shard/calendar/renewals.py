"""Renews the calendar of this node's partitions before it runs out: the openings of windows.

A partition is renewed when this node takes it over, once an hour, when the store's clock is no longer within that hour,
after a correction of the partition's time, and after a change by another node, which may have stopped before it was
done. A failed renewal is tried again after some seconds. The openings are known two days ahead, so a failure matters
only if it lasts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shard.cluster.ownership import Ownership
from sharq_core.errors import SharqError
from sharq_core.logs.troubles import SharedTrouble
from sharq_core.store.failures import detail_of

log = logging.getLogger(__name__)

EVERY_S = 3_600
"""The time after which a partition is renewed."""

LOOK_S = 1.0
"""The time after which a partition that was taken over, or whose clock has stepped, is noticed."""

RETRY_S = 5.0
"""The time after which a failed renewal is tried again."""

TOUCHED_EVERY_S = 10.0
"""The least time between two renewals of a partition that other nodes change all the time."""

AT_ONCE = 4
"""Partitions that are renewed at the same time."""


class CalendarPart(Protocol):
    """One kind of things that partitions know ahead."""

    async def renew(self, partition: int, *, is_corrected: bool = False) -> int | None:
        """Renew them in a partition; return the time in µs up to which they are known, None if it has none.

        Args:
            is_corrected: the partition's time was, or may have been, corrected since.

        Raises:
            SharqError: it must be tried again.
        """
        ...


class _Renewal(msgspec.Struct, frozen=True):
    """The last renewal of a partition.

    Attributes:
        again_at: the time of the loop, in seconds, at which it is due again.
        now_us: the store's clock at it; None if it was not known.
        clock: the number of the partition's clock at it, which changes with each correction; None if it was not known.
        until_us: the time up to which all parts are known; None if the partition has nothing to know.
    """

    again_at: float
    now_us: int | None
    clock: int | None
    until_us: int | None

    def fits(self, now_us: int | None) -> bool:
        """Return True if the store's clock is in the hour after the renewal, or if that does not matter."""
        if self.until_us is None or self.now_us is None or now_us is None:
            return True
        return -EVERY_S * 500_000 < now_us - self.now_us < (EVERY_S + 60) * 1_000_000

    def is_of(self, clock: int | None) -> bool:
        """Return True if the partition's clock was not corrected since, or if that does not matter."""
        return self.until_us is None or clock is None or self.clock == clock


class Renewals(Collector):
    """The renewals of this node's partitions.

    Args:
        now_us: returns the clock of a partition's server in µs, None if it is unknown.
        clock_of: returns the number of a partition's clock, None if it is unknown.
        parts: what partitions know ahead.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        ownership: Ownership,
        now_us: Callable[[int], int | None],
        clock_of: Callable[[int], int | None],
        parts: Sequence[CalendarPart],
    ) -> None:
        self._ownership = ownership
        self._now_us = now_us
        self._clock_of = clock_of
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._renewals: dict[int, _Renewal] = {}
        self._soon: dict[int, float] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._trouble: SharedTrouble[int] = SharedTrouble(
            log, "calendar_failed", "partition=%d", ": trying on"
        )
        self._failures = Counter(
            "sharq_calendar_failures_total",
            "Failed renewals of what a partition knows ahead, such as the openings of windows",
            registry=registry,
        )
        registry.register(self)

    def note_put(self, partition: int, *, must_rescore: bool) -> None:
        """Note that this node put something to know into a partition, which it need not own.

        Args:
            must_rescore: ready times in it must be corrected.
        """
        renewal = self._renewals.get(partition)
        if must_rescore or renewal is None or renewal.until_us is None:
            self._renew_at(partition, self._loop.time())

    def look_at(self, partition: int) -> None:
        """Note that another node changed something in a partition, perhaps a window whose walk it did not end."""
        renewal = self._renewals.get(partition)
        if renewal is not None:
            self._renew_at(partition, max(self._loop.time(), renewal.again_at - EVERY_S + TOUCHED_EVERY_S))

    async def run(self) -> None:
        """Renew partitions until cancelled."""
        try:
            while True:
                self._begin_due()
                await asyncio.sleep(LOOK_S)
        finally:
            tasks = [*self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def collect(self) -> Iterator[Metric]:
        """Yield the time for which everything is known, if there is anything to know."""
        metric = GaugeMetricFamily(
            "sharq_calendar_known_seconds",
            "Time from now for which the openings of all windows are known to the partitions; absent without windows",
        )
        known_us = [
            renewal.until_us - now_us
            for partition, renewal in self._renewals.items()
            if renewal.until_us is not None and (now_us := self._now_us(partition)) is not None
        ]
        if known_us:
            metric.add_metric([], max(min(known_us), 0) / 1e6)
        yield metric

    def _renew_at(self, partition: int, at: float) -> None:
        """Renew a partition at a time of the loop in seconds, or earlier."""
        self._soon[partition] = min(self._soon.get(partition, at), at)

    def _begin_due(self) -> None:
        cared_for = self._ownership.mine | self._soon.keys() | self._running.keys()
        for gone in self._renewals.keys() - cared_for:
            del self._renewals[gone]
        self._trouble.keep(cared_for.__contains__)
        for partition in cared_for:
            if partition not in self._running and self._is_due(partition):
                self._running[partition] = asyncio.create_task(self._renew(partition))

    def _is_due(self, partition: int) -> bool:
        renewal, now = self._renewals.get(partition), self._loop.time()
        soon_at = self._soon.get(partition)
        if soon_at is not None and (soon_at <= now or not self._ownership.owns(partition)):
            return soon_at <= now
        return (
            renewal is None
            or renewal.again_at <= now
            or not renewal.fits(self._now_us(partition))
            or not renewal.is_of(self._clock_of(partition))
        )

    async def _renew(self, partition: int) -> None:
        try:
            async with self._turns:
                await self._try_renew(partition)
        finally:
            del self._running[partition]

    async def _try_renew(self, partition: int) -> None:
        now_us, clock = self._now_us(partition), self._clock_of(partition)
        before = self._renewals.get(partition)
        # The time of a partition may have been corrected while it had no owner.
        is_corrected = before is None or before.clock != clock
        self._soon.pop(partition, None)
        until_us: list[int] = []
        try:
            for part in self._parts:
                known_us = await part.renew(partition, is_corrected=is_corrected)
                until_us += [] if known_us is None else [known_us]
        except SharqError as error:
            self._fail(partition, before, error.message, detail_of(error))
            return
        except Exception as error:
            log.exception("calendar_failed partition=%d", partition)
            self._fail(partition, before, repr(error))
            return
        if (lasted_s := self._trouble.end(partition)) is not None:
            log.info("calendar_renewed after_s=%.1f", lasted_s)
        again_at = self._loop.time() + EVERY_S
        self._renewals[partition] = _Renewal(again_at, now_us, clock, min(until_us, default=None))

    def _fail(self, partition: int, before: _Renewal | None, reason: str, detail: str | None = None) -> None:
        """Note a failure. The next try knows no more than this one about corrections of the partition's time."""
        self._failures.inc()
        self._trouble.note(partition, reason, detail=detail)
        clock, until_us = (None, None) if before is None else (before.clock, before.until_us)
        again_at = self._loop.time() + RETRY_S
        self._renewals[partition] = _Renewal(again_at, None, clock, until_us)
        # The owner of another node's partition may not know of the change that this node made there.
        if not self._ownership.owns(partition):
            self._renew_at(partition, again_at)
