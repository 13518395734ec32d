"""The cost of jobs, which counts in slots of their queue's rate, late reports, and bursts with a fraction."""

from __future__ import annotations

from typing import Any

from sharq_core.limits import MAX_COST
from sharq_core.models import LeaseStatus
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    TYPE,
    Driver,
    execute,
    new_job,
)
from tests.scheduler.stored.readiness import ready_in, stored, wait
from tests.scheduler.stored.records import parse_queue

DONE, NOT_FOUND, LOST = LeaseStatus.DONE, LeaseStatus.NOT_FOUND, LeaseStatus.LOST


# Cost.


def test_a_lease_takes_as_many_slots_as_its_job_costs(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=3), new_job("2"), new_job("3"))
    job = driver.lease_one(lease_us=DAY_US)
    assert (job.job_id, job.cost) == ("1", 3)
    assert ready_in(driver) == 3 * SECOND_US
    assert wait(driver, 3 * SECOND_US) == ["2"]
    assert wait(driver, SECOND_US) == ["3"]


def test_a_job_of_any_cost_is_leased_as_soon_as_one_slot_is_free(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2", cost=MAX_COST), new_job("3"))
    driver.dequeue(lease_us=DAY_US)
    assert wait(driver, SECOND_US) == ["2"]
    assert ready_in(driver) == MAX_COST * SECOND_US


def test_costs_of_one_call_add_up_against_the_burst(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), cost=2, burst=5) for n in range(9)))
    assert driver.dequeue_ids() == ["0", "1", "2"]
    assert ready_in(driver) == 2 * SECOND_US


def test_the_cost_stays_with_a_job_that_comes_back(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=2, requeue_limit=1))
    first = driver.lease_one()
    driver.release("1", first.lease, MINUTE_US)
    driver.advance(MINUTE_US)
    assert driver.lease_one().cost == 2
    driver.advance(LEASE_US)
    driver.reap()
    assert driver.redrive("1") == [0]
    assert driver.lease_one().cost == 2


def test_a_cost_that_was_too_high_gives_slots_back_but_keeps_the_distance(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=10), new_job("2"), new_job("3", cost=10), new_job("4"))
    first = driver.lease_one(lease_us=DAY_US)
    assert driver.finish("1", first.lease, cost=4) == DONE
    assert ready_in(driver) == 4 * SECOND_US
    assert wait(driver, 4 * SECOND_US) == ["2"]
    driver.advance(SECOND_US)
    third = driver.lease_one(lease_us=DAY_US)
    assert driver.finish("3", third.lease, cost=0) == DONE
    assert ready_in(driver) == SECOND_US


def test_a_cost_that_was_too_low_is_paid_by_later_leases(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    first = driver.lease_one(lease_us=DAY_US)
    assert driver.release("1", first.lease, HOUR_US, cost=7) == DONE
    assert ready_in(driver) == 7 * SECOND_US


def test_a_lease_corrects_its_cost_once(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    lease = driver.lease_one(lease_us=DAY_US).lease
    for _ in range(2):
        assert driver.release("1", lease, HOUR_US, cost=7) == DONE
        assert ready_in(driver) == 7 * SECOND_US
    assert driver.extend("1", lease, DAY_US) == DONE
    assert driver.release("1", lease, HOUR_US, cost=9) == DONE
    assert driver.finish("1", lease, cost=1) == DONE
    assert ready_in(driver) == 7 * SECOND_US
    assert driver.finish("1", lease, cost=1) == DONE
    assert ready_in(driver) == 7 * SECOND_US


def test_the_next_lease_of_a_job_may_correct_its_cost_again(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.release("1", driver.lease_one().lease, cost=2)
    driver.advance(2 * SECOND_US)
    assert driver.release("1", driver.lease_one().lease, cost=5) == DONE
    assert ready_in(driver) == 5 * SECOND_US


def test_a_lease_that_is_lost_or_unknown_corrects_and_holds_nothing(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    old = driver.lease_one().lease
    driver.advance(LEASE_US)
    driver.lease_one()
    before = stored(driver)
    assert driver.finish("1", old, cost=9, hold_us=HOUR_US) == LOST
    assert driver.release("1", old, cost=9, hold_us=HOUR_US) == LOST
    assert driver.finish("9", old, cost=9, hold_us=HOUR_US) == NOT_FOUND
    assert stored(driver) == before


def test_a_finish_under_any_lease_corrects_too(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.lease_one()
    assert driver.finish("1", None, cost=5) == DONE
    assert ready_in(driver) == 5 * SECOND_US


def test_a_rate_change_scales_what_a_large_job_took(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=100), new_job("2"))
    driver.lease_one(lease_us=DAY_US)
    driver.interval(3 * SECOND_US)
    assert ready_in(driver) == 300 * SECOND_US
    driver.advance(10 * SECOND_US)
    driver.interval(SECOND_US // 3)
    assert ready_in(driver) == 100 * (SECOND_US // 3) - 10 * SECOND_US


def test_an_overdraft_outlives_a_clock_that_stepped_back(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=100), new_job("2"))
    driver.lease_one(lease_us=DAY_US)
    driver.advance(-HOUR_US)
    assert ready_in(driver) == 100 * SECOND_US


def test_a_record_from_the_future_keeps_its_overdraft_and_its_hold(driver: Driver) -> None:
    """A time that was taken back: the queue continues as if its last lease had been now."""
    driver.enqueue(new_job("1", cost=100), new_job("2"))
    driver.finish("1", driver.lease_one().lease, hold_us=MINUTE_US)
    driver.client.delete(driver.key("counters"))
    driver.now_us -= HOUR_US
    assert driver.get_queue().next_ready_in_us == 100 * SECOND_US
    assert driver.get_queue().held_until_us == driver.now_us + MINUTE_US


def test_a_caller_that_does_not_know_costs_gets_replies_as_before(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=3), new_job("2", "other"))
    call = driver.functions.dequeue(0, TYPE, 2, LEASE_US, b"12345678", now_us=driver.now_us)
    words: list[Any] = call.command.words
    words[-1] = words[-1][:-1]
    found = execute(driver.client, *words)
    assert [len(found[index]) for index in (12, 16)] == [52, 52]


# Fractional bursts.


def test_a_burst_of_a_tenth_makes_up_that_much_lateness(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), burst=1.1) for n in range(9)))
    start_us = driver.now_us
    for at_us in (0, 1_090_000, 2_000_000, 3_090_000, 3_990_000):
        driver.now_us = start_us + at_us
        assert len(driver.dequeue(lease_us=DAY_US)) == 1
    assert ready_in(driver) == SECOND_US
    driver.advance(10 * SECOND_US)
    assert len(driver.dequeue(lease_us=DAY_US)) == 1
    assert ready_in(driver) == 900_000
    assert driver.get_queue().burst == 1.1


def test_every_burst_of_two_decimals_is_kept_exactly(driver: Driver) -> None:
    bursts = [100, 101, 115, 129, 199, 229, 435, 829, 100_000_000, 99_999_999]
    for hundredths in bursts:
        burst = hundredths / 100
        driver.interval(100, burst=burst, pin=True)
        assert driver.get_queue().burst == burst
        record = parse_queue(stored(driver))
        assert 100 * record.burst + record.hundredths == hundredths


def test_a_burst_without_a_fraction_takes_the_fraction_away(driver: Driver) -> None:
    driver.enqueue(new_job("1", burst=2.5))
    driver.enqueue(new_job("2", burst=None))
    assert driver.get_queue().burst == 2.5
    driver.enqueue(new_job("3", burst=2))
    assert driver.get_queue().burst == 2
    assert len(stored(driver)) == 72  # no limits


def test_a_late_release_still_reports(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=SECOND_US, cost=3, requeue_limit=1))
    lease = driver.dequeue(1, lease_us=SECOND_US)[0].lease
    driver.advance(SECOND_US)
    driver.reap()
    for _ in range(2):
        assert driver.release("1", lease, cost=9, hold_us=MINUTE_US, counts=False) == DONE
        assert driver.get_queue().held_until_us == driver.now_us + MINUTE_US
    assert driver.interval(0) and driver.pause(False)
    job = driver.lease_one()
    assert (job.job_id, job.attempt, job.requeues_remaining) == ("1", 1, 1)


def test_a_late_release_corrects_the_cost(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=SECOND_US, cost=3))
    lease = driver.dequeue(1, lease_us=SECOND_US)[0].lease
    driver.advance(SECOND_US)
    driver.reap()
    for _ in range(2):
        assert driver.release("1", lease, cost=9) == DONE
        assert ready_in(driver) == 8 * SECOND_US
    assert driver.finish("1", lease, cost=1) == DONE
    driver.enqueue(new_job("2"))
    assert ready_in(driver) == 8 * SECOND_US
