"""The time of a partition while the store's clock steps: what waits goes on, nothing ends early, spacing is kept.

A step moves the clock and no real time passes, so each test says what must hold in real time.
"""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.models import ExtendJob, FinishJob, JobState, LeaseStatus
from sharq_core.scheduler.function_call import FunctionCall
from tests.scheduler.drivers.clock_node import step_and_mend
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    RANDOM,
    SECOND_US,
    TYPE,
    Driver,
    new_job,
)

STEPS_US = [HOUR_US, 20 * SECOND_US, 3 * SECOND_US]


@pytest.mark.parametrize("step_us", STEPS_US)
def test_a_queue_goes_on_an_interval_after_its_last_lease_when_the_clock_stepped_back(
    driver: Driver, step_us: int
) -> None:
    driver.enqueue(new_job("1"), new_job("2"), new_job("3"))
    driver.lease_one()
    driver.advance(-step_us)
    assert driver.get_queue().next_ready_in_us == SECOND_US
    assert driver.dequeue() == []
    driver.advance(SECOND_US - 1)
    assert driver.dequeue() == []
    driver.advance(1)
    assert driver.dequeue_ids() == ["2"]
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["3"]


def test_what_an_operator_does_after_a_step_back_keeps_the_spacing(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n)) for n in range(4)))
    driver.lease_one()
    driver.advance(-HOUR_US)
    driver.interval(2 * SECOND_US)
    driver.pause(True)
    driver.pause(False)
    driver.advance(2 * SECOND_US - 1)
    assert driver.dequeue() == []
    driver.advance(1)
    assert driver.dequeue_ids() == ["1"]
    driver.delete_queue(purge=True)
    driver.enqueue(new_job("new", interval_us=SECOND_US))
    driver.advance(SECOND_US - 1)
    assert driver.dequeue() == []
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["new"]


def test_a_queue_without_a_limit_goes_on_at_once_when_the_clock_stepped_back(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0) for n in range(3)))
    assert driver.dequeue_ids(1) == ["0"]
    driver.advance(-HOUR_US)
    assert driver.dequeue_ids() == ["1", "2"]


def test_a_burst_is_neither_lost_nor_given_twice_by_a_step_back(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), burst=3) for n in range(9)))
    assert len(driver.dequeue()) == 3
    driver.advance(-HOUR_US)
    assert driver.dequeue() == []
    driver.advance(2 * SECOND_US)
    assert driver.dequeue_ids() == ["3", "4"]


def test_leases_and_delays_end_in_their_own_time_when_the_clock_stepped_back(driver: Driver) -> None:
    driver.enqueue(new_job("leased", interval_us=0), new_job("late", interval_us=0, delay_us=3 * SECOND_US))
    driver.lease_one(lease_us=2 * SECOND_US)
    step_and_mend(driver, -HOUR_US)
    driver.advance(2 * SECOND_US - 1)
    assert driver.reap().ended == 0
    driver.advance(1)
    assert driver.reap().ended == 1
    driver.advance(SECOND_US)
    driver.reap()
    assert sorted(driver.dequeue_ids()) == ["late", "leased"]


def test_a_lease_taken_after_a_step_back_lasts_as_long_as_it_says(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0), new_job("2", interval_us=0))
    driver.dequeue(1)
    driver.advance(-HOUR_US)
    job = driver.lease_one(lease_us=5 * SECOND_US)
    assert job.leased_until_us == driver.now_us + 5 * SECOND_US
    driver.advance(5 * SECOND_US - 1)
    driver.reap()
    assert driver.finish("2", job.lease) is LeaseStatus.DONE


def test_forth_and_back_leaves_no_trace(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    driver.lease_one()
    step_and_mend(driver, HOUR_US)
    assert driver.dequeue() == []
    driver.advance(SECOND_US)
    step_and_mend(driver, -HOUR_US)
    assert driver.refresh().clock.shift_us == 0
    assert driver.dequeue_ids() == ["2"]


def test_days_ahead_for_seconds_drop_nothing_that_is_kept_for_days(driver: Driver) -> None:
    driver.enqueue(new_job("dead", interval_us=0, requeue_limit=0), new_job("done", interval_us=0))
    for job in driver.dequeue():
        call = driver.release if job.job_id == "dead" else driver.finish
        call(job.job_id, job.lease)
    driver.turn()
    step_and_mend(driver, 30 * DAY_US)
    driver.reap()
    driver.turn()
    driver.advance(SECOND_US)
    step_and_mend(driver, -30 * DAY_US)
    driver.reap()
    driver.turn()
    assert [letter.job_id for letter in driver.list_dead().jobs] == ["dead"]
    done = driver.get_job("done")
    assert done is not None and done.state is JobState.FINISHED


def test_no_lease_ends_and_no_rate_is_forgotten_while_the_clock_is_ahead(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=HOUR_US), new_job("2", interval_us=HOUR_US))
    job = driver.lease_one(lease_us=5 * MINUTE_US)
    step_and_mend(driver, 2 * DAY_US)
    assert driver.reap().ended == 0
    assert driver.dequeue() == []
    assert driver.finish("1", job.lease) is LeaseStatus.DONE
    assert driver.get_queue().next_ready_in_us == HOUR_US


def test_calls_are_refused_while_the_clock_is_ahead_and_not_mended(driver: Driver) -> None:
    """They name the latest time at which they may run: nothing is leased, dropped or ended meanwhile."""
    functions, late_us = driver.functions, driver.now_us + 2 * SECOND_US
    driver.enqueue(new_job("1"), new_job("2"))
    job = driver.lease_one()
    driver.advance(DAY_US)
    now_us = driver.now_us
    refused: list[FunctionCall[Any]] = [
        functions.dequeue(0, TYPE, 1, SECOND_US, RANDOM, not_after_us=late_us, now_us=now_us),
        functions.enqueue(0, TYPE, [new_job("3")], not_after_us=late_us, now_us=now_us),
        functions.reap(0, TYPE, not_after_us=late_us, now_us=now_us),
        functions.turn(0, not_after_us=late_us, now_us=now_us),
        functions.interval(0, TYPE, "q", 1, not_after_us=late_us, now_us=now_us),
        functions.pause(0, TYPE, "q", is_paused=True, not_after_us=late_us, now_us=now_us),
        functions.delete_queue(0, TYPE, "q", not_after_us=late_us, now_us=now_us),
    ]
    assert all(reply.is_expired for reply in driver.replies(refused))
    finish = functions.finish(
        0, TYPE, [FinishJob(TYPE, "q", "1", job.lease)], not_after_us=late_us, now_us=now_us
    )
    assert driver.value(finish)[0].status is LeaseStatus.DONE
    clock = driver.refresh().clock
    driver.value(functions.set_clock(0, clock.number, 0, clock.shift_us - DAY_US, now_us=now_us))
    assert driver.get_queue().next_ready_in_us == SECOND_US


def test_a_call_of_before_a_step_back_is_not_valid_for_as_long_as_the_step(driver: Driver) -> None:
    late_us = driver.now_us + 2 * SECOND_US
    driver.advance(10 * SECOND_US - HOUR_US)
    call = driver.functions.enqueue(0, TYPE, [new_job("1")], not_after_us=late_us, now_us=driver.now_us)
    assert driver.reply(call).is_expired


@pytest.mark.parametrize("verb", ["finish", "extend"])
def test_a_call_of_before_a_step_back_opens_no_way_for_a_step_ahead(driver: Driver, verb: str) -> None:
    """A node that has not noticed a step back sends deadlines by the clock before it, which the next step makes fit."""
    driver.enqueue(*(new_job(str(n), interval_us=HOUR_US) for n in range(3)))
    leased = driver.lease_one()
    step_and_mend(driver, 3 * DAY_US)
    driver.advance(SECOND_US - 3 * DAY_US)
    deadline_us = driver.now_us + 3 * DAY_US + SECOND_US
    if verb == "finish":
        ended = [FinishJob(TYPE, "q", leased.job_id, leased.lease)]
        call: FunctionCall[Any] = driver.functions.finish(
            0, TYPE, ended, not_after_us=deadline_us, now_us=driver.now_us
        )
    else:
        extended = [ExtendJob(TYPE, "q", leased.job_id, leased.lease, MINUTE_US)]
        call = driver.functions.extend(0, TYPE, extended, not_after_us=deadline_us, now_us=driver.now_us)
    assert driver.value(call)[0].status is LeaseStatus.DONE
    driver.advance(3 * DAY_US)
    call = driver.functions.dequeue(
        0, TYPE, 1, MINUTE_US, RANDOM, not_after_us=deadline_us, now_us=driver.now_us
    )
    assert driver.value(call).jobs == []


@pytest.mark.parametrize("step_us", [-20 * SECOND_US, 20 * SECOND_US])
def test_a_shift_computed_before_another_step_is_not_set(driver: Driver, step_us: int) -> None:
    driver.enqueue(new_job("1"))
    clock, read_us = driver.refresh().clock, driver.now_us
    driver.advance(step_us)
    call = driver.functions.set_clock(
        0,
        clock.number,
        read_us,
        clock.shift_us,
        read_us=read_us,
        not_after_us=read_us + 2 * SECOND_US,
        now_us=driver.now_us,
    )
    assert not driver.value(call).is_set
    driver.advance(-step_us)
    assert driver.refresh().clock == clock


def test_two_nodes_that_mend_the_same_step_do_not_mend_it_twice(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    clock = driver.refresh().clock
    driver.advance(HOUR_US)
    calls = [
        driver.functions.set_clock(0, clock.number, 0, shift_us, now_us=driver.now_us)
        for shift_us in (-HOUR_US, -HOUR_US - 5)
    ]
    first, second = (driver.value(call) for call in calls)
    assert (first.shift_us, second.shift_us) == (-HOUR_US, -HOUR_US)


def test_a_node_that_was_away_cannot_set_a_partition_in_use_back(driver: Driver) -> None:
    """A suspended machine takes the time that it has missed for a step ahead."""
    driver.enqueue(new_job("0", interval_us=0))
    for number in range(1, 30):
        driver.advance(2 * SECOND_US)
        driver.enqueue(new_job(str(number), interval_us=0))
    clock = driver.refresh().clock
    call = driver.functions.set_clock(0, clock.number, 0, -MINUTE_US // 2, now_us=driver.now_us)
    driver.value(call)
    assert driver.refresh().clock.shift_us == 0


def test_a_partition_that_nobody_used_keeps_no_time(driver: Driver) -> None:
    step_and_mend(driver, HOUR_US)
    driver.get_queue()
    driver.dequeue()
    assert driver.store_keys() == set()


def test_what_the_next_call_is_told_goes_by_the_stores_clock(driver: Driver) -> None:
    """Times in answers and hints are of the clock that the caller sees, whatever the partition's time is."""
    driver.enqueue(new_job("1", requeue_limit=0), new_job("2"))
    driver.lease_one(lease_us=MINUTE_US)
    driver.advance(-HOUR_US)
    driver.dequeue()
    now_us = driver.now_us
    status = driver.get_job("1")
    assert status is not None and status.lease_expires_at_us == now_us + MINUTE_US
    assert driver.refresh().ready_us[TYPE] == now_us + SECOND_US
    assert driver.dequeue_reply().head_us == now_us + SECOND_US
    assert driver.reap().next_timer_us == now_us + MINUTE_US
    driver.advance(MINUTE_US)
    driver.reap()
    (letter,) = driver.list_dead().jobs
    assert letter.dead_at_us == driver.now_us
    assert letter.enqueued_at_us == now_us


def test_a_time_is_mended_exactly_when_the_last_call_came_just_before_the_step(driver: Driver) -> None:
    """The node has not read the partition since that call; `seen` itself says that no call came after the step."""
    driver.enqueue(new_job("1", interval_us=0))
    clock = driver.refresh().clock
    seen_us = driver.now_us - clock.unseen_us
    driver.advance(500_000)
    driver.lease_one(lease_us=2 * SECOND_US)
    driver.advance(400_000 - HOUR_US)
    call = driver.functions.set_clock(0, clock.number, seen_us, HOUR_US, now_us=driver.now_us)
    assert driver.value(call).shift_us == HOUR_US
    driver.advance(2 * SECOND_US - 400_001)
    assert driver.reap().ended == 0
    driver.advance(1)
    assert driver.reap().ended == 1


def test_a_call_that_came_after_a_step_back_keeps_its_lease_when_the_time_is_mended(driver: Driver) -> None:
    """The partition was idle for longer than the step: the call does not see it, and the node comes too late."""
    driver.enqueue(new_job("1", interval_us=0))
    driver.advance(MINUTE_US)
    clock = driver.refresh().clock
    seen_us = driver.now_us - clock.unseen_us
    driver.advance(-20 * SECOND_US)
    job = driver.lease_one(lease_us=5 * SECOND_US)
    call = driver.functions.set_clock(0, clock.number, seen_us, 20 * SECOND_US, now_us=driver.now_us)
    assert driver.value(call).shift_us == 0
    driver.advance(5 * SECOND_US - 1)
    assert driver.reap().ended == 0
    assert driver.finish("1", job.lease) is LeaseStatus.DONE


def test_a_time_that_was_raised_holds_when_the_store_s_clock_comes_again_to_where_it_was(
    driver: Driver,
) -> None:
    """The values that a call kept of the record before the step are not used again."""
    driver.enqueue(new_job("1", interval_us=0))
    driver.dequeue(lease_us=DAY_US)
    driver.advance(-SECOND_US)
    driver.enqueue(new_job("2", interval_us=0, delay_us=500_000))
    driver.advance(SECOND_US + 100_000)
    driver.reap()
    status = driver.get_job("2")
    assert status is not None
    assert status.state is JobState.QUEUED
