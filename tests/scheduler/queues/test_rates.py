"""The rate of a queue: spacing, bursts, changes, pins, and what a clock that steps back does to it.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

import pytest

from sharq_core.models import EnqueueStatus
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    Driver,
    new_job,
)


def lease_times(driver: Driver, times_us: list[int]) -> list[int]:
    """The times, µs after now, at which a dequeue got a job; one dequeue at each."""
    start_us, leased = driver.now_us, []
    for time_us in times_us:
        driver.now_us = start_us + time_us
        leased += [time_us for _ in driver.dequeue(lease_us=DAY_US)]
    return leased


def test_leases_of_a_queue_are_never_closer_than_its_interval(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=SECOND_US) for n in range(4)))
    wanted = [0, SECOND_US, 2 * SECOND_US, 3_500_000]
    polls = [0, 1, SECOND_US - 1, SECOND_US, 2 * SECOND_US - 1, 2 * SECOND_US, 3_500_000, 4 * SECOND_US]
    assert lease_times(driver, polls) == wanted


def test_a_slow_queue_that_runs_empty_keeps_its_spacing(driver: Driver) -> None:
    """U4: kept until the ready time has passed, however short the lease was, and however it ended."""
    driver.enqueue(new_job("1", interval_us=HOUR_US))
    job = driver.lease_one(lease_us=SECOND_US)
    driver.finish("1", job.lease)
    driver.advance(20 * MINUTE_US)
    driver.reap()
    driver.enqueue(new_job("2", interval_us=HOUR_US))
    assert driver.dequeue() == []
    driver.advance(40 * MINUTE_US)
    assert driver.dequeue_ids() == ["2"]


def test_a_pinned_rate_is_not_undone_by_an_enqueue(driver: Driver) -> None:
    """U5: the original lets the next enqueue undo it."""
    driver.interval(HOUR_US, burst=2, pin=True)
    driver.enqueue(new_job("1", interval_us=0, burst=9))
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst, queue.is_pinned) == (HOUR_US, 2, True)
    driver.interval(SECOND_US, pin=False)
    driver.enqueue(new_job("2", interval_us=5))
    assert driver.get_queue().interval_us == 5


def test_a_pin_outlives_an_idle_year_and_a_purge(driver: Driver) -> None:
    driver.interval(SECOND_US, pin=True)
    driver.enqueue(new_job("1"))
    driver.delete_queue(purge=True)
    driver.advance(365 * DAY_US)
    driver.reap()
    assert driver.get_queue().interval_us == SECOND_US


def test_a_lower_interval_moves_the_waiting_slot_at_once(driver: Driver) -> None:
    """U6: from an hour to 10 ms the next job waits 10 ms, not the hour."""
    driver.enqueue(new_job("1", interval_us=HOUR_US), new_job("2", interval_us=HOUR_US))
    driver.lease_one()
    driver.interval(10_000)
    driver.advance(9_999)
    assert driver.dequeue() == []
    driver.advance(1)
    assert driver.dequeue_ids() == ["2"]


def test_a_higher_interval_counts_from_the_last_lease(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=10), new_job("2", interval_us=10))
    driver.lease_one(lease_us=DAY_US)
    driver.advance(SECOND_US)
    driver.interval(MINUTE_US)
    assert driver.get_queue().next_ready_in_us == 59 * SECOND_US
    driver.advance(59 * SECOND_US - 1)
    assert driver.dequeue_reply().head_us == driver.now_us + 1
    driver.advance(1)
    assert driver.dequeue_ids() == ["2"]


def test_the_interval_of_an_enqueue_moves_the_waiting_slot_too(driver: Driver) -> None:
    """U6: the original does not move the slot."""
    driver.enqueue(new_job("1"), new_job("2"))
    driver.lease_one(lease_us=DAY_US)
    driver.enqueue(new_job("3", interval_us=HOUR_US))
    assert driver.dequeue_reply().head_us == driver.now_us + HOUR_US
    driver.enqueue(new_job("4", interval_us=10_000))
    driver.advance(10_000)
    assert driver.dequeue_ids() == ["2"]


def test_the_interval_of_an_accepted_enqueue_becomes_the_rate_and_a_refused_one_changes_nothing(
    driver: Driver,
) -> None:
    driver.enqueue(new_job("1", interval_us=SECOND_US))
    refused = driver.enqueue(new_job("1", interval_us=5), new_job("2", interval_us=5, max_queued_length=1))
    assert [answer.status for answer in refused] == [EnqueueStatus.DUPLICATE, EnqueueStatus.FULL]
    assert driver.get_queue().interval_us == SECOND_US
    driver.enqueue(new_job("3", interval_us=7), new_job("4", interval_us=None))
    assert driver.get_queue().interval_us == 7


def test_finishing_one_job_does_not_make_the_queue_of_the_others_unlimited(driver: Driver) -> None:
    """U7: the rate belongs to the queue: jobs that come back leave at its rate."""
    driver.enqueue(*(new_job(str(n), interval_us=SECOND_US) for n in range(3)))
    leases = []
    for _ in range(3):
        leases += driver.dequeue()
        driver.advance(SECOND_US)
    driver.finish("0", leases[0].lease)
    driver.advance(MINUTE_US)
    driver.reap()
    assert [driver.dequeue_ids(), driver.dequeue_ids()] == [["1"], []]
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["2"]


@pytest.mark.parametrize(("burst", "wanted"), [(1, 41), (2, 62)])
def test_burst_two_catches_up_a_late_poll_and_burst_one_loses_it(
    driver: Driver, burst: int, wanted: int
) -> None:
    """U13: a minute of polls 1.5 intervals apart: burst 2 gets the 60 intervals and its burst, burst 1 one a poll."""
    driver.enqueue(*(new_job(str(n), interval_us=SECOND_US, burst=burst) for n in range(100)))
    polls = [poll * 1_500_000 for poll in range(41)]
    assert len(lease_times(driver, polls)) == wanted


def test_burst_bounds_what_an_idle_queue_gives_at_once(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=SECOND_US, burst=5) for n in range(20)))
    assert len(driver.dequeue()) == 5
    driver.advance(DAY_US)
    assert len(driver.dequeue()) == 5
    assert driver.get_queue().next_ready_in_us == SECOND_US


def test_a_fraction_of_a_millisecond_is_kept(driver: Driver) -> None:
    """U13: whole microseconds, not milliseconds."""
    driver.enqueue(*(new_job(str(n), interval_us=33_334) for n in range(4)))
    polls = [0, 33_333, 33_334, 66_667, 66_668, 100_001, 100_002]
    assert lease_times(driver, polls) == [0, 33_334, 66_668, 100_002]


def test_interval_zero_is_unlimited(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0) for n in range(30)))
    assert driver.dequeue_ids() == [str(n) for n in range(30)]


def test_a_clock_that_stepped_back_holds_a_queue_one_interval_after_its_last_lease_at_most(
    driver: Driver,
) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.lease_one()
    driver.advance(-5 * SECOND_US)
    assert driver.dequeue() == []
    assert driver.get_queue().next_ready_in_us == SECOND_US
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["2"]


def test_a_new_queue_is_ready_at_once_after_the_clock_stepped_back(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.lease_one()
    driver.advance(-HOUR_US)
    driver.enqueue(new_job("2", "other"))
    assert driver.dequeue_ids() == ["2"]


def test_an_idle_queue_is_forgotten_after_ten_minutes_and_not_before(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.finish("1", driver.lease_one().lease)
    driver.advance(10 * MINUTE_US)
    driver.reap()
    assert driver.get_queue().is_known
    driver.advance(1)
    assert not driver.get_queue().is_known
    assert driver.enqueue(new_job("2", interval_us=None))[0].status is EnqueueStatus.NO_INTERVAL


def test_a_queue_that_is_used_now_and_then_keeps_one_timer_and_is_forgotten_after_the_last_use(
    driver: Driver,
) -> None:
    """Its timer is not moved at every use: the first one looks, and sets itself anew."""
    idle_at_us = driver.now_us
    for number in range(3):
        driver.enqueue(new_job(str(number)))
        driver.finish(str(number), driver.lease_one().lease)
        assert driver.client.zscore(driver.key("timers"), "Qq") == idle_at_us + 10 * MINUTE_US + 1
        driver.advance(4 * MINUTE_US)
    assert driver.reap().handled == 1
    assert driver.get_queue().is_known
    driver.advance(6 * MINUTE_US)
    assert driver.reap().handled == 0
    driver.advance(1)
    assert driver.reap().handled == 1
    assert not driver.client.exists(driver.key("queues"), driver.key("timers"))


def test_forgetting_does_not_give_a_burst_twice(driver: Driver) -> None:
    """I2: a record goes when the whole burst may go again, not when one lease may."""
    driver.enqueue(*(new_job(str(n), interval_us=HOUR_US, burst=5) for n in range(6)))
    leased = driver.dequeue(lease_us=DAY_US)
    assert len(leased) == 5
    driver.delete_queue(purge=True)
    for job in leased:
        driver.finish(job.job_id, job.lease)
    driver.advance(HOUR_US)
    driver.reap()
    driver.enqueue(*(new_job(f"later-{n}", interval_us=HOUR_US, burst=5) for n in range(5)))
    assert len(driver.dequeue()) == 1


def test_purge_forgets_the_rate_once_its_ready_time_has_passed(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.finish("1", driver.lease_one().lease)
    assert driver.delete_queue(purge=True) == 1
    driver.advance(SECOND_US - 1)
    assert driver.get_queue().is_known
    driver.advance(1)
    assert not driver.get_queue().is_known


def test_a_job_after_a_purge_keeps_the_rate(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.finish("1", driver.lease_one().lease)
    driver.delete_queue(purge=True)
    driver.enqueue(new_job("3", interval_us=None))
    driver.advance(SECOND_US)
    driver.finish("3", driver.lease_one().lease)
    driver.advance(MINUTE_US)
    driver.reap()
    assert driver.get_queue().is_known


def test_a_paused_queue_takes_jobs_and_gives_none_and_its_leases_run_on(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    job = driver.lease_one()
    assert driver.pause(True)
    driver.enqueue(new_job("3"))
    driver.advance(LEASE_US)
    assert driver.dequeue() == []
    assert driver.get_queue().next_ready_in_us is None
    assert driver.finish("1", job.lease) == 0
    assert driver.pause(False)
    assert driver.dequeue_ids() == ["2"]


def test_the_largest_values_are_kept_exactly(driver: Driver) -> None:
    year_us = 365 * DAY_US
    driver.enqueue(new_job("1", interval_us=year_us, burst=1_000_000), new_job("2", interval_us=None))
    first = driver.dequeue(lease_us=DAY_US)
    assert [job.leased_until_us for job in first] == [driver.now_us + DAY_US] * 2
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst) == (year_us, 1_000_000)
    driver.interval(year_us, burst=1)
    assert driver.release("1", first[0].lease) == 0
    assert driver.get_queue().next_ready_in_us == year_us
    driver.advance(year_us - 1)
    assert driver.dequeue() == []
    driver.advance(1)
    assert len(driver.dequeue()) == 1


def test_a_burst_does_not_put_a_queue_before_the_others_call_after_call(driver: Driver) -> None:
    """U14: idle time is no precedence; single dequeues go round, too."""
    driver.enqueue(*(new_job(f"a{n}", "a", interval_us=SECOND_US, burst=1000) for n in range(20)))
    driver.enqueue(*(new_job(f"b{n}", "b", interval_us=0) for n in range(20)))
    given = []
    for _ in range(20):
        driver.advance(1)
        given += [job.queue_id for job in driver.dequeue(1)]
    assert (given.count("a"), given.count("b")) == (10, 10)
