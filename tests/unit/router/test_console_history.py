"""Rates of the console: what counts while processes begin again, types come and partitions move."""

from __future__ import annotations

from typing import cast

import pytest

from router.console import history
from router.console.history import EVERYTHING, History, Rates, ShardLoads
from sharq_core.link.messages import ShardPort
from sharq_core.link.node_load import READY_DELAYS_S, NodeLoad, TypeLoad, delay_s

BUCKETS = len(READY_DELAYS_S) + 1
ONE, OTHER = cast("ShardPort", object()), cast("ShardPort", object())


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(history, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def load(*types: TypeLoad, died: int = 0, delays: int = 0, total: int | None = None) -> NodeLoad:
    sums = [
        sum(getattr(part, name) for part in types) for name in ("enqueued", "finished", "leases", "failed")
    ]
    whole = TypeLoad("", sums[0], 0, 0, 0, sums[1], 0, sums[2], sums[3])
    return NodeLoad(list(types), whole, len(types) if total is None else total, died, [delays] * BUCKETS)


def sms(enqueued: int, leases: int = 0, failed: int = 0, finished: int = 0, name: str = "sms") -> TypeLoad:
    return TypeLoad(name, enqueued, 0, 0, 0, finished, 0, leases, failed)


def note(rates: History, loads: dict[ShardPort, NodeLoad], version: int = 1) -> None:
    rates.note(version, ShardLoads(loads, []))


def test_nothing_is_known_at_the_first_point(clock: Clock) -> None:
    rates = History()
    note(rates, {ONE: load(sms(10))})
    assert rates.rates("sms") == Rates()
    assert (rates.failed("sms"), rates.died(), rates.delay_ms(0.5)) == (None, None, None)


def test_rates_are_those_of_all_shards_over_ten_seconds(clock: Clock) -> None:
    rates = History()
    for step in range(20):
        note(
            rates, {ONE: load(sms(100 + 20 * step, 4 * step)), OTHER: load(sms(20 * step, 4 * step, 0, step))}
        )
        clock.now_s += 2
    assert rates.rates("sms") == Rates(enqueued=20.0, finished=0.5, leased=4.0)
    assert rates.rates(EVERYTHING) == rates.rates("sms")
    assert rates.rates("mail") == Rates()


def test_a_new_process_counts_from_zero_and_not_backwards(clock: Clock) -> None:
    rates = History()
    note(rates, {ONE: load(sms(0, leases=500, failed=50), died=9)})
    clock.now_s += 2
    note(rates, {ONE: load(sms(0, leases=6, failed=2), died=1)})
    assert rates.rates("sms").leased == 3.0
    assert (rates.failed("sms"), rates.died()) == (2, 1)


def test_a_new_type_counts_from_its_first_job(clock: Clock) -> None:
    rates = History()
    note(rates, {ONE: load()})
    clock.now_s += 2
    note(rates, {ONE: load(sms(10, leases=4, failed=1))})
    assert rates.rates("sms") == Rates(enqueued=5.0, finished=0.0, leased=2.0)
    assert rates.failed("sms") == 1


def test_a_type_that_was_left_out_before_is_not_taken_for_a_new_one(clock: Clock) -> None:
    rates = History()
    note(rates, {ONE: load(sms(1, name="mail"), total=2000)})
    clock.now_s += 2
    note(rates, {ONE: load(sms(1_000_000, leases=900, failed=7), total=2000)})
    assert rates.rates("sms") == Rates()
    assert rates.failed("sms") == 0


def test_jobs_that_move_with_their_partition_are_not_new_ones(clock: Clock) -> None:
    rates = History()
    note(rates, {ONE: load(sms(1000)), OTHER: load(sms(1000))})
    clock.now_s += 2
    note(rates, {ONE: load(sms(2000)), OTHER: load(sms(1000))}, version=2)
    assert rates.rates("sms") == Rates(), "the counts are taken again from the new ring on"
    clock.now_s += 2
    note(rates, {ONE: load(sms(2010))}, version=2)
    clock.now_s += 2
    note(rates, {ONE: load(sms(2020))}, version=2)
    assert rates.rates("sms").enqueued == 5.0


def test_leases_are_not_known_if_a_shard_does_not_count_the_type(clock: Clock) -> None:
    rates = History()
    for step in range(3):
        note(rates, {ONE: load(sms(step, leases=-1)), OTHER: load(sms(step, leases=step))})
        clock.now_s += 2
    assert rates.rates("sms") == Rates(enqueued=1.0, finished=0.0, leased=None)


def test_failures_and_delays_are_those_of_the_last_minute(clock: Clock) -> None:
    rates = History()
    for step in range(60):
        note(rates, {ONE: load(sms(0, failed=step), died=step, delays=step)})
        clock.now_s += 2
    assert (rates.failed("sms"), rates.died()) == (30, 30)
    assert rates.delay_ms(0.5) == delay_s([1] * BUCKETS, 0.5) * 1000  # type: ignore[operator]


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ([0] * BUCKETS, 0.5, None),
        ([4, *[0] * (BUCKETS - 1)], 0.5, 0.0005),
        ([0, 10, *[0] * (BUCKETS - 2)], 1.0, 0.0025),
        ([*[0] * (BUCKETS - 1), 3], 0.5, 60.0),
    ],
)
def test_a_delay_lies_in_the_bucket_of_its_share(
    counts: list[int], share: float, seconds: float | None
) -> None:
    assert delay_s(counts, share) == seconds
