"""The turns of a type's queues, and the answers about a type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from sharq_core.limits import BlockedBy, Explanation, LimitUnit, QueueSettings, TypeSettings
from sharq_core.models import FinishJob
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US, TYPE, Driver
from tests.scheduler.drivers.types import (
    GATHERED,
    TENTH_US,
    TypeDriver,
    fill,
    job,
    job_limit,
    lease,
    leases_over,
    weigh,
)

# Turns and weights.


def service(driver: TypeDriver, duration_us: int, step_us: int, count: int) -> Iterator[Counter[str]]:
    """Yield what each queue was given so far, after each lease."""
    given: Counter[str] = Counter()
    for _, leased in leases_over(driver, duration_us, step_us, count):
        given[leased.queue_id] += 1
        yield given


@pytest.mark.parametrize("count", [1, 2, 3, 100])
@pytest.mark.parametrize("burst", [1, 2, 3, 7])
def test_queues_take_turns_under_a_limit(sms: TypeDriver, count: int, burst: int) -> None:
    sms.limit(job_limit(TENTH_US, burst=burst))
    for queue in "abcd":
        fill(sms, queue, 60)
        sms.advance(1)
    for given in service(sms, 20 * SECOND_US, burst * TENTH_US, count):
        if sum(given.values()) <= 200:
            assert max(given.values()) - min(given[queue] for queue in "abcd") <= 1


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("burst", [1, 2, 5])
@pytest.mark.parametrize("weights", [{"a": 1, "b": 3}, {"a": 5, "b": 2, "c": 1}, {"a": 100, "b": 1}])
def test_a_queue_gives_as_many_jobs_a_turn_as_its_weight(
    sms: TypeDriver, weights: dict[str, int], burst: int, count: int
) -> None:
    sms.limit(job_limit(TENTH_US, burst=burst))
    for queue, weight in weights.items():
        weigh(sms, queue, weight)
        fill(sms, queue, 40 * weight if weight < 100 else 400)
        sms.advance(1)
    for given in service(sms, 22 * SECOND_US, burst * TENTH_US, count):
        turns = [given[queue] / weight for queue, weight in weights.items()]
        assert max(turns) - min(turns) <= 1


def test_a_turn_goes_on_in_the_next_call(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US))
    weigh(sms, "a", 3)
    fill(sms, "a", 7)
    sms.advance(1)
    fill(sms, "b", 7)
    order = [leased.queue_id for _, leased in leases_over(sms, 8 * TENTH_US, TENTH_US, count=1)]
    assert order == ["a", "a", "a", "b", "a", "a", "a", "b"]


@pytest.mark.parametrize("by", ["correction", "settings"])
def test_a_change_of_a_queue_does_not_end_its_turn(sms: TypeDriver, by: str) -> None:
    sms.limit(job_limit(TENTH_US))
    for queue in "ab":
        weigh(sms, queue, 3 if queue == "a" else 1)
        fill(sms, queue, 9, cost=2)
        sms.advance(1)
    order: list[str] = []
    for _ in range(8):
        (held,) = lease(sms, 1)
        order.append(held.queue_id)
        sms.advance(TENTH_US // 2)
        if by == "correction":
            finish = FinishJob(GATHERED, held.queue_id, held.job_id, held.lease, cost=1)
            sms.value(sms.functions.finish(0, GATHERED, [finish], now_us=sms.now_us))
        else:
            sms.set_queue(QueueSettings(burst=2 + len(order)), held.queue_id)
        sms.advance(TENTH_US // 2)
    assert "".join(order) == "aaabaaab"


def test_a_queue_whose_own_rate_says_no_ends_its_turn(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US))
    sms.enqueue(*(job(str(n), "a", interval_us=2 * TENTH_US) for n in range(5)))
    weigh(sms, "a", 3)
    sms.advance(1)
    fill(sms, "b", 7)
    order = [leased.queue_id for _, leased in leases_over(sms, 6 * TENTH_US, TENTH_US, count=1)]
    assert order == ["a", "b", "b", "a", "b", "b"]


# Reads.


def make_ready(sms: TypeDriver) -> None:
    fill(sms, "a", 1)


def make_delayed(sms: TypeDriver) -> None:
    sms.enqueue(job("1", delay_us=SECOND_US))


def pause_everything(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_type()
    sms.pause_all()


def pause_the_type(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_type()


def pause_the_queue(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause(True, "a")


def hold_the_type(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.set_type(TypeSettings(hold_us=SECOND_US))


def hold_the_queue(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.hold(SECOND_US, "a")


def fill_the_type(sms: TypeDriver) -> None:
    sms.limit(max_leased=1)
    fill(sms, "a", 2)
    lease(sms)


def fill_the_queue(sms: TypeDriver) -> None:
    sms.set_queue(QueueSettings(max_leased=1), "a")
    fill(sms, "a", 2)
    lease(sms)


def use_the_slot_of_the_type(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    fill(sms, "a", 2)
    lease(sms)


def use_the_slot_of_the_queue(sms: TypeDriver) -> None:
    sms.enqueue(*(job(n, "a", interval_us=SECOND_US) for n in "12"))
    lease(sms)


CASES: list[tuple[Callable[[TypeDriver], None], BlockedBy | None, int | None]] = [
    (lambda _: None, BlockedBy.EMPTY, None),
    (make_ready, None, 0),
    (make_delayed, BlockedBy.DELAYED, SECOND_US),
    (pause_everything, BlockedBy.ALL_PAUSED, None),
    (pause_the_type, BlockedBy.TYPE_PAUSED, None),
    (pause_the_queue, BlockedBy.PAUSED, None),
    (hold_the_type, BlockedBy.TYPE_HOLD, SECOND_US),
    (hold_the_queue, BlockedBy.HOLD, SECOND_US),
    (fill_the_type, BlockedBy.TYPE_MAX_LEASED, None),
    (fill_the_queue, BlockedBy.MAX_LEASED, None),
    (use_the_slot_of_the_type, BlockedBy.TYPE_RATE, SECOND_US),
    (use_the_slot_of_the_queue, BlockedBy.RATE, SECOND_US),
]

NOT_IN_THE_COUNTS = (BlockedBy.PAUSED, BlockedBy.HOLD)
"""Reasons that a list of types does not tell of a queue that was ready before: it reads the counts alone."""


@pytest.mark.parametrize(
    ("prepare", "blocked_by", "ready_in_us"), CASES, ids=[case[1] or "ready" for case in CASES]
)
def test_a_type_says_why_it_leases_nothing(
    sms: TypeDriver,
    prepare: Callable[[TypeDriver], object],
    blocked_by: BlockedBy | None,
    ready_in_us: int | None,
) -> None:
    prepare(sms)
    assert sms.explain() == Explanation(blocked_by, ready_in_us)
    stats = sms.type_stats()
    assert (stats.blocked_by, stats.next_ready_in_us) == (blocked_by, ready_in_us)
    summary = sms.type_summaries().get(GATHERED)
    listed = None if blocked_by in NOT_IN_THE_COUNTS else blocked_by
    assert (summary.blocked_by if summary else BlockedBy.EMPTY) == listed
    assert bool(lease(sms)) == (blocked_by is None)


def test_a_type_shows_its_numbers(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US, burst=3), max_leased=9)
    fill(sms, "a", 4)
    fill(sms, "b", 2)
    sms.enqueue(job("9", "c", delay_us=HOUR_US))
    lease(sms)
    stats = sms.type_stats()
    assert (stats.queued, stats.delayed, stats.leased, stats.dead, stats.queues) == (3, 1, 3, 0, 3)
    assert (stats.limits, stats.max_leased, stats.is_paused) == ([job_limit(TENTH_US, burst=3)], 9, False)
    assert stats.limits[0].unit is LimitUnit.JOB


def test_types_are_listed_with_the_counts_of_the_last_full_minute(sms: TypeDriver) -> None:
    sms.now_us -= sms.now_us % MINUTE_US
    fill(sms, "a", 5)
    lease(sms, 2)
    sms.advance(MINUTE_US)
    expected = (3, 0, 2, 0, 5, 2)
    for _ in range(2):
        summary = sms.type_summaries()[GATHERED]
        assert (
            summary.queued,
            summary.delayed,
            summary.leased,
            summary.dead,
            summary.enqueued_in_minute,
            summary.leased_in_minute,
        ) == expected
        fill(sms, "b", 1)
        expected = (4, *expected[1:])
    sms.advance(MINUTE_US)
    summary = sms.type_summaries()[GATHERED]
    assert (summary.enqueued_in_minute, summary.leased_in_minute) == (1, 0)


def test_a_type_that_only_has_settings_is_listed(sms: TypeDriver) -> None:
    sms.pause_type()
    assert sms.type_summaries()[GATHERED].blocked_by is BlockedBy.TYPE_PAUSED
    fill(sms, "a", 1)
    assert sms.type_summaries()[GATHERED].queued == 1


def test_reads_of_an_unknown_type_create_nothing(sms: TypeDriver) -> None:
    sms.explain()
    sms.type_stats()
    sms.type_summaries()
    assert sms.store_keys() == set()


def test_a_driver_of_a_plain_type_sees_no_settings(driver: Driver, prefix: str) -> None:
    types = TypeDriver(driver.client, prefix, queue_type=TYPE)
    assert types.type_stats().limits == []
