"""Deadlines of calls in the partition's time, while the store's clock steps."""

from __future__ import annotations

import pytest

from sharq_core.job_life import DeadRef, RedriveStatus
from sharq_core.models import ExtendJob, LeaseStatus
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import own_deadline
from tests.scheduler.drivers.clock_node import VERBS, make_call, step_and_mend
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

CALENDARS = {"put_window", "drop_window", "rescore_windows", "put_periods", "trim_results"}
"""The functions about what a shard reckons ahead, and those of schedules, go by the store's clock; their own tests try
them with steps of it.
"""


def test_every_function_that_writes_records_of_jobs_is_tried_with_a_deadline() -> None:
    about_nodes = {*library.OF_DATA_SET, library.TOUCH.wire_name, library.SET_CLOCK.wire_name}
    writing = {one.name for one in library.FUNCTIONS if not one.is_read and one.wire_name not in about_nodes}
    assert {name for name in writing - CALENDARS if not name.endswith("_schedule")} == set(VERBS)


@pytest.mark.parametrize("step_us", [3 * DAY_US, HOUR_US, 20 * SECOND_US])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "turn"])
def test_a_deadline_in_the_partitions_time_fits_no_second_step(
    driver: Driver, verb: str, step_us: int
) -> None:
    """A call after a step back raises the shift, and the clock steps ahead again before any node has noticed."""
    driver.enqueue(*(new_job(str(n), interval_us=HOUR_US) for n in range(3)))
    driver.lease_one()
    deadline_us = own_deadline(driver.now_us, 2 * SECOND_US)
    driver.advance(-step_us)
    assert not driver.reply(make_call(driver, verb, deadline_us)).is_expired
    driver.advance(step_us)
    call = driver.functions.dequeue(
        0, TYPE, 1, MINUTE_US, RANDOM, not_after_us=deadline_us, now_us=driver.now_us
    )
    assert driver.reply(call).is_expired
    assert driver.refresh().clock.shift_us == step_us


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("by_us", [-2 * SECOND_US - 1, SECOND_US + 100])
def test_a_call_past_its_deadline_or_long_before_it_was_made_changes_nothing(
    driver: Driver, verb: str, by_us: int
) -> None:
    """The partition's time is ahead of the one that the node knows, or behind it."""
    driver.enqueue(new_job("1"))
    before = {key: driver.client.dump(key) for key in driver.store_keys()}
    driver.advance(SECOND_US)
    call = make_call(driver, verb, own_deadline(driver.now_us + by_us, 2 * SECOND_US))
    if verb in ("finish", "finish_with_results", "extend"):
        assert driver.value(call)[0].status is LeaseStatus.NOT_FOUND
        assert driver.refresh().clock.unseen_us == SECOND_US, "the clock record is left alone"
        return
    assert driver.reply(call).is_expired
    assert {key: driver.client.dump(key) for key in driver.store_keys()} == before


def test_an_extend_in_the_partitions_time_runs_as_of_its_deadline_while_the_clock_is_ahead(
    driver: Driver,
) -> None:
    driver.enqueue(new_job("1"))
    leased = driver.lease_one()
    deadline_us = own_deadline(driver.now_us, 2 * SECOND_US)
    step_and_mend(driver, -HOUR_US)
    driver.advance(DAY_US)
    jobs = [ExtendJob(TYPE, "q", "1", leased.lease, MINUTE_US)]
    call = driver.functions.extend(0, TYPE, jobs, not_after_us=deadline_us, now_us=driver.now_us)
    assert driver.value(call)[0].status is LeaseStatus.DONE
    driver.advance(-DAY_US + MINUTE_US + 2 * SECOND_US - 64)
    assert driver.reap().ended == 0
    driver.advance(2 * 64)
    assert driver.reap().ended == 1


@pytest.mark.parametrize("step_us", [20 * SECOND_US, 6 * SECOND_US])
def test_an_extend_that_comes_first_after_a_step_back_lasts_as_long_as_it_says(
    driver: Driver, step_us: int
) -> None:
    """The partition was idle, so its time is seconds behind until the node sets it right."""
    driver.enqueue(new_job("1"))
    leased, seen_us = driver.lease_one(), driver.now_us
    driver.advance(8 * SECOND_US)
    clock, deadline_us = driver.refresh().clock, own_deadline(driver.now_us, 2 * SECOND_US)
    driver.advance(-step_us)
    jobs = [ExtendJob(TYPE, "q", "1", leased.lease, MINUTE_US)]
    call = driver.functions.extend(0, TYPE, jobs, not_after_us=deadline_us, now_us=driver.now_us)
    (outcome,) = driver.value(call)
    assert abs(outcome.leased_until_us - driver.now_us - MINUTE_US) < 64
    mend = driver.functions.set_clock(0, clock.number, seen_us, step_us, now_us=driver.now_us)
    assert driver.value(mend).shift_us == step_us
    driver.advance(MINUTE_US - 64)
    assert driver.reap().ended == 0
    driver.advance(2 * 64)
    assert driver.reap().ended == 1


def test_calls_of_older_nodes_name_no_deadline_for_a_redrive_and_a_drop_of_dead_letters(
    driver: Driver,
) -> None:
    for number in range(2):
        driver.enqueue(new_job(str(number), interval_us=0, requeue_limit=0))
        job = driver.lease_one()
        driver.release(job.job_id, job.lease)
    refs = [DeadRef(TYPE, "q", "0"), DeadRef(TYPE, "q", "none")]
    redrive = driver.job_calls.redrive(0, TYPE, refs, now_us=driver.now_us)
    assert redrive.command.arguments.pop() == 0
    assert driver.value(redrive) == [RedriveStatus.QUEUED, RedriveStatus.NOT_FOUND]
    drop = driver.job_calls.drop_dead(0, TYPE, 10, now_us=driver.now_us)
    del drop.command.arguments[-2:]
    assert driver.value(drop) == 1
