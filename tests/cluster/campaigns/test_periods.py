"""A node keeps the periods of quotas known ahead in its partitions: on a real store, beside a waiting worker."""

from __future__ import annotations

import asyncio
import time

import pytest

from shard.calendar import period_keeper
from shard.calendar.period_keeper import AHEAD_US, BEHIND_US, LEAST_AHEAD_US, bounds_around
from sharq_core.campaigns.quotas import Calendar, PeriodLength, Zone
from sharq_core.errors import InvalidRequest
from sharq_core.limits import Quota, QuotaUse, TypeSettings
from sharq_core.link.control_calls import GetTypeStats, SetType
from sharq_core.partitions import partition_of
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from sharq_core.scheduler.keys import Keys
from tests.scheduler.drivers.driver import Driver
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node
from tests.support.stores.server import StoreServer
from tests.support.waits import until

CARRIER = "sms~a"
TOKYO = Zone(PeriodLength.DAY, "Asia/Tokyo")
SECOND_US = 1_000_000


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period_keeper, "EVERY_S", 0.05)
    monkeypatch.setattr(period_keeper, "READ_EVERY_S", 0.2)


class Store:
    """The calendars of a node's partition, as the store has them."""

    def __init__(self, parts: Parts, server: StoreServer) -> None:
        settings = parts.node.settings
        self.partition = partition_of(CARRIER, "", settings.partitions)
        self._calls = PeriodCalls(Keys(settings.key_prefix, settings.partitions))
        self._driver = Driver(
            server.client(timeout_s=20.0), settings.key_prefix, partitions=settings.partitions
        )

    def calendar(self, zone: Zone = TOKYO) -> Calendar:
        """Return the calendar of a zone."""
        calendars = self._driver.value(self._calls.get_periods(self.partition))
        return next(calendar for calendar in calendars if calendar.zone == zone)

    def shorten(self, bounds: tuple[int, ...], zone: Zone = TOKYO) -> None:
        """Leave only some bounds of a zone, as after a time in which no shard was there."""
        assert self._driver.value(self._calls.put_periods(self.partition, {zone: bounds})) == 1


async def set_quotas(parts: Parts, *quotas: Quota) -> list[QuotaUse]:
    """Set the quotas of the type through a router."""
    partition = partition_of(CARRIER, "", parts.node.settings.partitions)
    return (await parts.dispatch.route(SetType(CARRIER, partition, TypeSettings(quotas=list(quotas))))).quotas


def now_us() -> int:
    return time.time_ns() // 1000


async def test_the_call_that_sets_quotas_brings_their_periods(parts: Parts, store: StoreServer) -> None:
    (use,) = await set_quotas(parts, Quota(2, PeriodLength.DAY, "Asia/Tokyo"))
    assert use.resets_at_us is not None and 0 < use.resets_at_us - now_us() <= 24 * 3600 * SECOND_US
    calendar = Store(parts, store).calendar()
    assert calendar.first_us <= now_us() - BEHIND_US + 3600 * SECOND_US
    assert calendar.last_us >= now_us() + AHEAD_US - 25 * 3600 * SECOND_US


@pytest.mark.parametrize("length", PeriodLength)
async def test_a_calendar_that_runs_out_is_extended_while_nothing_else_happens(
    parts: Parts, store: StoreServer, length: PeriodLength
) -> None:
    zone, kept = Zone(length, "Asia/Kolkata"), Store(parts, store)
    await set_quotas(parts, Quota(2, length, zone.tz))
    whole = bounds_around(zone, now_us())
    short = tuple(bound for bound in whole if bound < now_us() + LEAST_AHEAD_US)
    kept.shorten(short, zone)
    await until(lambda: kept.calendar(zone).last_us >= now_us() + LEAST_AHEAD_US)
    assert kept.calendar(zone).first_us == whole[0]


async def test_a_worker_that_waits_gets_the_job_once_the_period_is_known_again(
    parts: Parts, store: StoreServer
) -> None:
    await set_quotas(parts, Quota(2, PeriodLength.DAY, "Asia/Tokyo"))
    kept = Store(parts, store)
    yesterday_us = now_us() - 24 * 3600 * SECOND_US
    await enqueued(parts, job(CARRIER, "q", "j"))
    kept.shorten((yesterday_us - SECOND_US, yesterday_us))
    (leased,) = await parts.dequeue(CARRIER, wait_us=10 * SECOND_US)
    assert leased.job_id == "j"


async def test_a_broken_partition_holds_up_no_other_one(
    parts: Parts, store: StoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    kept, settings = Store(parts, store), parts.node.settings
    await set_quotas(parts, Quota(2, PeriodLength.DAY, "Asia/Tokyo"))
    broken = (kept.partition + 1) % settings.partitions
    key = Keys(settings.key_prefix, settings.partitions).counters(broken)
    with store.client() as client:
        client.delete(key)
        client.set(key, "of another program")
    await until(lambda: any("periods_failed partition=" in line for line in caplog.messages))
    kept.shorten((now_us() - 24 * 3600 * SECOND_US, now_us() + LEAST_AHEAD_US // 2))
    await until(lambda: kept.calendar().last_us >= now_us() + LEAST_AHEAD_US)


async def test_a_node_that_starts_extends_what_another_one_left(store: StoreServer, parts: Parts) -> None:
    await set_quotas(parts, Quota(2, PeriodLength.DAY, "Asia/Tokyo"))
    await enqueued(parts, *(job(CARRIER, "q", f"j{n}") for n in range(4)))
    assert len(await parts.dequeue(CARRIER, 1)) == 1
    await parts.node.stop()
    kept = Store(parts, store)
    kept.shorten((now_us() - 90 * 3600 * SECOND_US, now_us() - 66 * 3600 * SECOND_US))
    async with running_node(store.url, parts.node.settings, PATIENT_S) as later:
        await until(lambda: kept.calendar().last_us >= now_us() + LEAST_AHEAD_US)
        assert len(await later.dequeue(CARRIER, 9)) == 1, "what the other one leased counts"
        stats = await later.dispatch.route(GetTypeStats(CARRIER, kept.partition))
        assert [use.used for use in stats.quotas] == [2]


async def test_a_zone_that_the_shard_does_not_know_is_refused(parts: Parts) -> None:
    with pytest.raises(InvalidRequest, match="quotas: the time zone database"):
        await set_quotas(parts, Quota(2, PeriodLength.DAY, "Mars/North"))
    partition = partition_of(CARRIER, "", parts.node.settings.partitions)
    assert (await parts.dispatch.route(GetTypeStats(CARRIER, partition))).quotas == []


async def test_a_node_without_quotas_asks_the_store_nothing_between_its_reads(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_keeper, "READ_EVERY_S", 600.0)
    keeper, read = parts.node.parts.calendar._periods, 0
    await until(lambda: len(keeper._known) == parts.node.settings.partitions)
    original = PeriodCalls.get_periods

    def counted(self: PeriodCalls, partition: int) -> object:
        nonlocal read
        read += 1
        return original(self, partition)

    monkeypatch.setattr(PeriodCalls, "get_periods", counted)
    await asyncio.sleep(0.5)
    assert read == 0
