"""Keeps the partitions of this node supplied with the days and hours by which quotas count.

The store knows no time zones, so a shard computes when the periods of each zone begin and end, from two days ago to
four days ahead, and puts that into the partitions that have quotas. A quota whose period is not known allows no lease,
so the node looks every few seconds whether the store's clock still leaves at least two days. The call that sets quotas
brings their periods itself (shard/call_handlers.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from shard.batching.pipeline import Pipeline
from shard.calendar.periods import period_bounds
from shard.cluster.ownership import Ownership
from sharq_core.campaigns.quotas import Calendar, Zone
from sharq_core.errors import InvalidRequest, SharqError
from sharq_core.limits import TypeSettings
from sharq_core.logs.troubles import SharedTrouble
from sharq_core.scheduler.campaigns.quotas import PeriodCalls

log = logging.getLogger(__name__)

EVERY_S = 5.0
"""Seconds between two checks of what this node knows. A check alone makes no call to the store."""

READ_EVERY_S = 600.0
"""Seconds after which the calendars of a partition are read again, for zones that calls to other nodes brought."""

READ_AT_ONCE = 100

_HOUR_US = 3_600_000_000
BEHIND_US = 48 * _HOUR_US
"""The time before now for which periods are kept, for a store's clock that is set back."""

AHEAD_US = 96 * _HOUR_US

LEAST_AHEAD_US = 48 * _HOUR_US
"""The time ahead that is always known; with less, the periods are computed again."""

LEAST_BEHIND_US = 24 * _HOUR_US


class _Partition(msgspec.Struct):
    """The calendars of one partition, and the time (time.monotonic) at which they were read."""

    calendars: dict[Zone, Calendar]
    read_at: float


class PeriodKeeper:
    """The task that computes periods ahead.

    Args:
        now_us: returns the clock of a partition's server, in µs; None if it is not known.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: PeriodCalls,
        ownership: Ownership,
        now_us: Callable[[int], int | None],
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._ownership = ownership
        self._now_us = now_us
        self._known: dict[int, _Partition] = {}
        self._trouble: SharedTrouble[int] = SharedTrouble(
            log, "periods_failed", "partition=%d", ": trying on"
        )

    def bounds_for(self, partition: int, settings: TypeSettings) -> dict[Zone, tuple[int, ...]]:
        """Return the periods of the quotas that a change sets in a partition.

        Raises:
            InvalidRequest: this node does not know the zone of a quota. Nothing was done.
        """
        quotas = settings.quotas or []
        if not quotas:
            return {}
        now_us = self._now_us(partition) or time.time_ns() // 1000
        zones = dict.fromkeys(Zone(quota.period, quota.tz) for quota in quotas)
        try:
            return {zone: bounds_around(zone, now_us) for zone in zones}
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidRequest(
                "quotas: the time zone database of a shard does not know one of their zones"
            ) from error

    def read_soon(self, partition: int) -> None:
        """Read the calendars of a partition at the next check, because a call may have brought new ones."""
        self._known.pop(partition, None)

    async def run(self) -> None:
        """Keep the calendars of all owned partitions up to date until cancelled."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("periods_failed")
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        """Read the calendars that are unknown or were read long ago, and renew those that do not reach far enough."""
        owned = self._ownership.mine
        self._known = {partition: reading for partition, reading in self._known.items() if partition in owned}
        self._trouble.keep(owned.__contains__)
        oldest = time.monotonic() - READ_EVERY_S
        unread = [p for p in sorted(owned) if p not in self._known or self._known[p].read_at < oldest]
        for at in range(0, len(unread), READ_AT_ONCE):
            some = unread[at : at + READ_AT_ONCE]
            await asyncio.gather(*(self._try(partition, self._read(partition)) for partition in some))
        for partition, reading in list(self._known.items()):
            if reading.calendars:
                await self._try(partition, self._extend(partition, reading))

    async def _try(self, partition: int, work: Awaitable[None]) -> None:
        """Do the work about one partition; a failure holds up no other one, and the next look tries again."""
        try:
            await work
        except SharqError as error:
            # The store's absence is logged where it is noticed.
            if not error.is_away:
                self._trouble.note(partition, error.message)
        else:
            if (lasted_s := self._trouble.end(partition)) is not None:
                log.info("periods_kept partition=%d after_s=%.1f", partition, lasted_s)

    async def _read(self, partition: int) -> None:
        read_at = time.monotonic()
        calendars = await self._pipeline.value(self._calls.get_periods(partition))
        self._known[partition] = _Partition({calendar.zone: calendar for calendar in calendars}, read_at)

    async def _extend(self, partition: int, remembered: _Partition) -> None:
        """Renew the calendars of a partition that end too soon by the store's clock."""
        now_us = self._now_us(partition)
        if now_us is None:
            return
        zones = [zone for zone, calendar in remembered.calendars.items() if _is_short(calendar, now_us)]
        bounds = dict(_known_bounds(zones, now_us))
        if not bounds:
            return
        await self._pipeline.value(self._calls.put_periods(partition, bounds))
        for zone, of_zone in bounds.items():
            remembered.calendars[zone] = Calendar(zone, of_zone[0], of_zone[-1])
        log.debug("periods_put partition=%d zones=%d", partition, len(bounds))


def bounds_around(zone: Zone, now_us: int) -> tuple[int, ...]:
    """Return when the periods of a zone begin and end around a time, in µs since the epoch, in order.

    Raises:
        ZoneInfoNotFoundError, ValueError: the time zone database does not know the zone.
    """
    hour_us = now_us - now_us % _HOUR_US
    return period_bounds(zone.period, zone.tz, hour_us - BEHIND_US, hour_us + AHEAD_US)


def _is_short(calendar: Calendar, now_us: int) -> bool:
    """Return True if a calendar does not know enough of the time around now."""
    return calendar.last_us < now_us + LEAST_AHEAD_US or calendar.first_us > now_us - LEAST_BEHIND_US


def _known_bounds(zones: Iterable[Zone], now_us: int) -> Iterable[tuple[Zone, tuple[int, ...]]]:
    """Yield each zone that this node knows, with its bounds."""
    for zone in zones:
        try:
            yield zone, bounds_around(zone, now_us)
        except (ZoneInfoNotFoundError, ValueError):
            # Another node knew the zone when the quota was set. Its types give no jobs, and the log says why.
            log.warning("zone_unknown tz=%s: quotas of this zone stay closed", zone.tz)
