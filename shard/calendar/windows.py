"""Puts the openings of windows into partitions, extends them in time, and has ready times computed anew.

A partition does not know zones: it keeps the openings of the next days as times of the store's clock. The owner of the
partition extends them (shard/calendar/renewals.py). After a change of the openings, or of the partition's time, the
queues that wait for a window have wrong ready times; a walk over them in bounded steps corrects those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfoNotFoundError

from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import NotAfter
from shard.calendar.openings import KnownOpenings, openings_ahead
from sharq_core.campaigns.windows import PutOutcome, StoredWindow
from sharq_core.errors import InvalidRequest, Unavailable
from sharq_core.link.campaigns.window_calls import PutWindow
from sharq_core.scheduler.campaigns.windows import WindowCalls

PAGE = 100
"""Windows that are read and extended at once."""

GO_ON, FROM_START = "", "0"
"""Cursors of a walk: where the partition remembers it, and anew."""

STEP_PAUSE_S = 0.005
"""Pause between two steps, in which the store and this node serve calls about jobs."""


class WindowCalendar:
    """The windows of the partitions that this node serves.

    Args:
        now_us: returns the clock of a partition's server in µs, None if it is unknown.
        not_after_us: returns the time after which a call that changes something must not run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: WindowCalls,
        now_us: Callable[[int], int | None],
        not_after_us: NotAfter,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._now_us = now_us
        self._not_after_us = not_after_us

    async def put(self, call: PutWindow) -> PutOutcome:
        """Put a window with its openings into a partition.

        Raises:
            InvalidRequest: the time zone database of this node does not have the zone. Nothing was done.
            SharqError: the store did not do it, or perhaps did.
        """
        try:
            computed = openings_ahead(call.definition, self._clock(call.partition))
        except ZoneInfoNotFoundError:
            raise InvalidRequest("tz: the time zone database of a shard does not have this zone") from None
        return await self._pipeline.value(
            self._calls.put_window(
                call.partition,
                call.name,
                call.definition,
                call.version,
                computed.until_us,
                computed.openings,
                not_after_us=self._not_after_us(call.partition),
            )
        )

    async def renew(self, partition: int, *, is_corrected: bool = False) -> int | None:
        """Extend the openings of a partition's windows, and correct the ready times of its queues if need be.

        Args:
            is_corrected: the partition's time was, or may have been, corrected, so that all ready times that wait for a
                window are wrong.

        Returns:
            The time in µs up to which the openings of all its windows are known; None if it has no windows.

        Raises:
            SharqError: a call failed; what was done stays.
        """
        scan, until_us, must_rescore = 0, list[int](), False
        while True:
            page = await self._pipeline.value(self._calls.get_windows(partition, scan, PAGE))
            now_us = self._clock(partition)
            wanted: list[KnownOpenings] = []
            for window in page.windows:
                wanted.append(openings_ahead(window.definition, now_us))
                await asyncio.sleep(0)  # one may take 15 ms, if it opens next in a year or never
            extensions = [
                self._extend(partition, window, computed)
                for window, computed in zip(page.windows, wanted, strict=True)
                if not _is_known(window, computed, now_us)
            ]
            must_rescore |= page.must_rescore or any(await asyncio.gather(*extensions))
            must_rescore |= is_corrected and any(window.uses for window in page.windows)
            until_us += [computed.until_us for computed in wanted]
            scan = page.scan
            if not scan:
                break
            await asyncio.sleep(STEP_PAUSE_S)
        if must_rescore:
            await self.rescore(partition, FROM_START if is_corrected else GO_ON)
        return min(until_us, default=None)

    async def rescore(self, partition: int, cursor: str = GO_ON) -> None:
        """Correct the ready times of the queues that wait for a window, in bounded steps.

        Raises:
            SharqError: a call failed; the partition remembers that the walk is not over.
        """
        while True:
            cursor = await self._pipeline.value(
                self._calls.rescore_windows(partition, cursor, not_after_us=self._not_after_us(partition))
            )
            if not cursor:
                return
            await asyncio.sleep(STEP_PAUSE_S)

    async def _extend(self, partition: int, window: StoredWindow, computed: KnownOpenings) -> bool:
        """Put later openings of a window, unless it was changed since it was read; return True if a walk is due."""
        return await self._pipeline.value(
            self._calls.extend_window(
                partition,
                window.name,
                window.version,
                computed.until_us,
                computed.openings,
                not_after_us=self._not_after_us(partition),
            )
        )

    def _clock(self, partition: int) -> int:
        now_us = self._now_us(partition)
        if now_us is None:
            raise Unavailable("the clock of the store is not known yet")
        return now_us


def _is_known(window: StoredWindow, computed: KnownOpenings, now_us: int) -> bool:
    """Return True if a partition has the openings already."""
    to_come = [opening for opening in window.openings if opening[1] > now_us]
    return window.until_us == computed.until_us and to_come == [
        opening for opening in computed.openings if opening[1] > now_us
    ]
