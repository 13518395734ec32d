"""Calls that end early because the store has worked on them for as long as they may take."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from sharq_core.job_life import Retry
from tests.scheduler.driver import MINUTE_US, Driver, new_job
from tests.scheduler.expiring import mortal
from tests.scheduler.records import assert_keys_agree

HOURS_US = 1_000_000_000


@pytest.fixture
def timed(driver: Driver) -> Driver:
    """A driver of a store that offers the clock of its CPU time to functions."""
    if "valkey_version" not in driver.client.info("server"):
        pytest.skip("Redis 7.0 has no such clock: numbers alone bound a call there")
    return driver


def test_a_step_of_a_walk_ends_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(mortal(str(n)) for n in range(50)), mortal("live", None))
    timed.advance(MINUTE_US)
    first = timed.reap(most_us=0)
    assert (first.expired, first.next_timer_us) == (8, timed.now_us)
    assert first.handled >= 100, "the reaper must learn that more is due"
    assert_keys_agree(timed)
    assert timed.reap(most_us=HOURS_US).expired == 42
    assert timed.totals().dead == 50
    assert_keys_agree(timed)


def test_a_dequeue_leases_fewer_jobs_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(new_job(f"{n:02}", f"q{n:02}", interval_us=0) for n in range(40)))
    first = timed.dequeue_reply(40, most_us=0)
    assert (len(first.jobs), first.is_cut, first.due_after) == (16, True, 24)
    assert_keys_agree(timed)
    second = timed.dequeue_reply(40, most_us=HOURS_US)
    assert (second.is_cut, second.due_after) == (False, 0)
    ids = [job.job_id for job in (*first.jobs, *second.jobs)]
    assert ids == [f"{n:02}" for n in range(40)]


def test_a_dequeue_removes_fewer_expired_jobs_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(mortal(str(n)) for n in range(90)), mortal("live", None))
    timed.advance(MINUTE_US)
    first = timed.dequeue_reply(1, most_us=0)
    assert (first.jobs, first.expired, first.due_after) == ([], 16, 1)  # a step of the walk, and the dequeue
    second = timed.dequeue_reply(1, most_us=HOURS_US)
    assert ([job.job_id for job in second.jobs], second.expired) == (["live"], 74)
    assert_keys_agree(timed)


@pytest.mark.parametrize("is_released", [False, True])
@pytest.mark.parametrize(
    "fields", [{}, {"cost": 3}, {"cost": 3, "retry": Retry(1_000)}, {"priority": 2}, {"trace": b"t" * 25}]
)
def test_a_walk_makes_the_same_dead_letter_as_any_other_call(
    client: redis.Redis, prefix: str, fields: dict[str, Any], is_released: bool
) -> None:
    """A walk cuts the records of most jobs instead of packing them anew."""
    letters: list[dict[bytes | str, bytes | str]] = []
    for at in range(2):
        driver = Driver(client, prefix, partitions=2, partition=at)
        driver.enqueue(mortal("1", **fields))
        if is_released:
            driver.release("1", driver.lease_one().lease)
        driver.advance(MINUTE_US)
        if at:
            driver.enqueue(mortal("1", **fields))  # this expires the first job of the id
        else:
            driver.reap()
        letters.append(client.hgetall(driver.key("deadjobs")))
        assert_keys_agree(driver)
    assert len(letters[0]) == 1
    assert letters[0] == letters[1]
