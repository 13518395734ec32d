"""The share of its limits that a gathered type uses: sampled on a node with a real store."""

from __future__ import annotations

import asyncio
import time

import pytest

from shard.metrics import type_caps
from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.limits import Limit, LimitUnit, Quota, TypeSettings
from sharq_core.link.control_calls import SetType
from sharq_core.partitions import partition_of
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.waits import until

CARRIER = "sms~a"
LEASES = 40


@pytest.fixture(autouse=True)
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type_caps, "EVERY_S", 0.05)


def used(parts: Parts, queue_type: str = CARRIER) -> dict[str, float]:
    """Return cap → share in use, of one type."""
    return {
        sample.labels["cap"]: sample.value
        for metric in parts.registry.collect()
        for sample in metric.samples
        if sample.name == "sharq_type_cap_used_ratio" and sample.labels["queue_type"] == queue_type
    }


async def set_type(parts: Parts, settings: TypeSettings, queue_type: str = CARRIER) -> None:
    partition = partition_of(queue_type, "", parts.node.settings.partitions)
    await parts.dispatch.route(SetType(queue_type, partition, settings))


async def test_each_cap_of_a_type_has_its_share_in_use(parts: Parts) -> None:
    limits = [Limit(LimitUnit.JOB, 50_000), Limit(LimitUnit.COST, 1_000, 100)]
    before_s = time.monotonic()
    await set_type(parts, TypeSettings(limits=limits, max_leased=1000))
    await enqueued(parts, *(job(CARRIER, f"q{n % 3}", f"j{n}", cost=5) for n in range(200)))
    await until(lambda: bool(used(parts)))
    sampled_s = time.monotonic()
    for _ in range(LEASES):
        assert len(await parts.dequeue(CARRIER, wait_us=10_000_000)) == 1
    leased_s = time.monotonic()

    def is_share_of_the_time_since_the_first_sample() -> bool:
        least, most = (
            LEASES / 20 / passed_s for passed_s in (time.monotonic() - before_s, leased_s - sampled_s)
        )
        return least <= used(parts)["20/s"] <= most

    # 20 jobs a second of 20, 100 points a second of 1,000, and 40 leases of 1,000.
    await until(lambda: used(parts)["max_leased"] == LEASES / 1000)
    await until(is_share_of_the_time_since_the_first_sample)
    shares = used(parts)
    assert set(shares) == {"20/s", "1000/s cost", "max_leased"}
    assert 0 < shares["20/s"] <= 1.1
    assert shares["1000/s cost"] == pytest.approx(shares["20/s"] / 10)


async def test_types_without_settings_have_no_share_and_cleared_ones_lose_it(parts: Parts) -> None:
    await enqueued(parts, job(CARRIER, "q", "j"), job("plain", "q", "j"), job("sms~b", "q", "j"))
    await set_type(parts, TypeSettings(max_leased=4))
    await until(lambda: used(parts) == {"max_leased": 0})
    await parts.dequeue(CARRIER)
    await until(lambda: used(parts) == {"max_leased": 0.25})
    assert used(parts, "plain") == used(parts, "sms~b") == {}
    await set_type(parts, TypeSettings(max_leased=None))
    await until(lambda: used(parts) == {})


async def test_each_quota_has_its_share_of_the_present_period(parts: Parts) -> None:
    quotas = [Quota(4, PeriodLength.DAY, "Asia/Tokyo"), Quota(50, PeriodLength.DAY, unit=LimitUnit.COST)]
    await enqueued(parts, *(job(CARRIER, "q", f"j{n}", cost=5) for n in range(9)))
    await set_type(parts, TypeSettings(quotas=quotas))
    await until(lambda: used(parts) == {"4 per day Asia/Tokyo": 0, "50 per day UTC cost": 0})
    await parts.dequeue(CARRIER, 9)
    await until(lambda: used(parts) == {"4 per day Asia/Tokyo": 1, "50 per day UTC cost": 0.4})
    await set_type(parts, TypeSettings(quotas=None))
    await until(lambda: used(parts) == {})


async def test_jobs_that_a_quota_holds_back_do_not_count_as_ready(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def age() -> float:
        found = parts.registry.get_sample_value("sharq_oldest_ready_age_seconds", {"queue_type": CARRIER})
        return found or 0.0

    await enqueued(parts, *(job(CARRIER, "q", f"j{n}") for n in range(3)))
    await until(lambda: age() > 0.5)
    await set_type(parts, TypeSettings(quotas=[Quota(1, PeriodLength.DAY)]))
    await parts.dequeue(CARRIER)
    index = parts.node.parts.index
    await until(lambda: used(parts) == {"1 per day UTC": 1})
    # Half a minute later the index lets workers look again.
    monkeypatch.setattr(index, "overdue_s", lambda _: 30.0)
    assert age() == 0
    await set_type(parts, TypeSettings(quotas=None))
    await until(lambda: age() == 30)


async def test_the_number_of_types_with_a_series_is_bounded(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type_caps, "MAX_TYPES", 3)
    names = [f"sms~{number}" for number in range(6)]
    for name in names:
        await enqueued(parts, job(name, "q", "j"))
        await set_type(parts, TypeSettings(max_leased=4), name)
    await until(lambda: sum(bool(used(parts, name)) for name in names) == 3)
    await asyncio.sleep(0.3)
    assert sum(bool(used(parts, name)) for name in names) == 3
