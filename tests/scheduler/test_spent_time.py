"""Calls that end early because the store has worked on them for as long as they may take."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from msgspec.structs import replace

from sharq_core.job_life import DeadReason, RedriveStatus, Retry
from tests.scheduler.drivers.batches import cancel_step as cancel_batch_step
from tests.scheduler.drivers.batches import member
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, Driver, new_job
from tests.scheduler.drivers.expiring import mortal
from tests.scheduler.drivers.jobs import JobDriver
from tests.scheduler.drivers.windows import WindowDriver, windowed
from tests.scheduler.stored.records import assert_keys_agree

NO_CLOCK = "Redis 7.0 has no such clock: numbers alone bound a call there"


def has_clock(driver: Driver) -> bool:
    """Return True if the store offers the clock of its CPU time to functions."""
    return "valkey_version" in driver.client.info("server")


@pytest.fixture
def timed(driver: Driver) -> Driver:
    if not has_clock(driver):
        pytest.skip(NO_CLOCK)
    return driver


@pytest.fixture
def timed_jobs(jobs: JobDriver) -> JobDriver:
    if not has_clock(jobs):
        pytest.skip(NO_CLOCK)
    return jobs


@pytest.fixture
def timed_caps(caps: CappedDriver) -> CappedDriver:
    if not has_clock(caps):
        pytest.skip(NO_CLOCK)
    return caps


@pytest.fixture
def timed_windows(windows: WindowDriver) -> WindowDriver:
    if not has_clock(windows):
        pytest.skip(NO_CLOCK)
    return windows


def test_a_step_of_a_walk_ends_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(mortal(str(n)) for n in range(50)), mortal("live", None))
    timed.advance(MINUTE_US)
    first = timed.reap(most_us=0)
    assert (first.expired, first.next_timer_us) == (8, timed.now_us)
    assert first.handled >= 100, "the reaper must learn that more is due"
    assert_keys_agree(timed)
    assert timed.reap(most_us=HOUR_US).expired == 42
    assert timed.totals().dead == 50
    assert_keys_agree(timed)


def test_a_dequeue_leases_fewer_jobs_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(new_job(f"{n:02}", f"q{n:02}", interval_us=0) for n in range(40)))
    first = timed.dequeue_reply(40, most_us=0)
    assert (len(first.jobs), first.is_cut, first.due_after) == (16, True, 24)
    assert_keys_agree(timed)
    second = timed.dequeue_reply(40, most_us=HOUR_US)
    assert (second.is_cut, second.due_after) == (False, 0)
    ids = [job.job_id for job in (*first.jobs, *second.jobs)]
    assert ids == [f"{n:02}" for n in range(40)]


def test_a_dequeue_whose_time_is_over_has_read_few_queues_with_windows_in_vain(
    timed_windows: WindowDriver,
) -> None:
    """A place without a queue goes when a call comes to it."""
    timed_windows.put("w", (timed_windows.now_us, timed_windows.now_us + DAY_US))
    timed_windows.enqueue(*(windowed(f"{n:02}", "w", f"q{n:02}") for n in range(60)))
    ready = timed_windows.key("ready")
    timed_windows.client.zadd(ready, {"q00-": timed_windows.now_us, "q30-": timed_windows.now_us})
    assert len(timed_windows.dequeue_reply(60, most_us=0).jobs) == 12
    assert timed_windows.client.zscore(ready, "q00-") is None
    assert timed_windows.client.zscore(ready, "q30-") is not None
    assert len(timed_windows.dequeue_reply(60, most_us=HOUR_US).jobs) == 48
    assert timed_windows.client.zscore(ready, "q30-") is None
    assert_keys_agree(timed_windows)


def test_a_dequeue_of_queues_with_caps_leases_fewer_jobs_when_its_time_is_over(
    timed_caps: CappedDriver,
) -> None:
    timed_caps.enqueue(*(capped(f"{n:02}", "a", queue_id=f"q{n:02}") for n in range(40)))
    first = timed_caps.capped_reply("a", count=30, most_us=0).dequeue
    assert (len(first.jobs), first.is_cut, first.due_after) == (14, True, 26)
    assert_keys_agree(timed_caps)
    second = timed_caps.capped_reply("a", count=30, most_us=HOUR_US).dequeue
    assert (second.is_cut, second.due_after) == (False, 0)
    ids = [job.job_id for job in (*first.jobs, *second.jobs)]
    assert ids == [f"{n:02}" for n in range(40)]


def test_a_dequeue_removes_fewer_expired_jobs_when_its_time_is_over(timed: Driver) -> None:
    timed.enqueue(*(mortal(str(n)) for n in range(90)), mortal("live", None))
    timed.advance(MINUTE_US)
    first = timed.dequeue_reply(1, most_us=0)
    assert (first.jobs, first.expired, first.due_after) == ([], 9, 1)  # one, and those of one look behind it
    second = timed.dequeue_reply(1, most_us=HOUR_US)
    assert ([job.job_id for job in second.jobs], second.expired) == (["live"], 81)
    assert_keys_agree(timed)


def test_a_step_of_a_cancellation_by_prefix_ends_when_its_time_is_over(timed_jobs: JobDriver) -> None:
    timed_jobs.enqueue(*(new_job(f"{n}") for n in range(60)))
    first = timed_jobs.cancel_step("", most_us=0)
    assert first.cancelled == 8
    assert_keys_agree(timed_jobs)
    last = timed_jobs.cancel_step("", first.scan)
    assert (last.cancelled, last.scan) == (52, "")
    assert timed_jobs.totals().cancelled == 60


def test_a_step_of_a_cancellation_of_a_batch_ends_when_its_time_is_over(timed_jobs: JobDriver) -> None:
    timed_jobs.enqueue(*(member(f"{n}") for n in range(20)))
    step = cancel_batch_step(timed_jobs)
    counts = []
    while step.scan:
        step = cancel_batch_step(timed_jobs, step.scan, most_us=0)
        counts.append(step.cancelled)
    assert counts == [8, 8, 4]
    assert_keys_agree(timed_jobs)


@pytest.mark.parametrize("is_released", [False, True])
@pytest.mark.parametrize(
    "fields", [{}, {"cost": 3}, {"cost": 3, "retry": Retry(1_000)}, {"priority": 2}, {"trace": b"t" * 25}]
)
def test_a_walk_makes_a_dead_letter_that_says_the_same_as_that_of_any_other_call(
    client: redis.Redis, prefix: str, fields: dict[str, Any], is_released: bool
) -> None:
    """A walk keeps the records of most jobs as they waited, so the bytes of the letters differ."""
    found: list[tuple[Any, ...]] = []
    for at in range(2):
        driver = JobDriver(client, prefix, partitions=2, partition=at)
        driver.enqueue(mortal("1", **fields))
        if is_released:
            driver.release("1", driver.lease_one().lease)
        driver.advance(MINUTE_US)
        if at:
            driver.enqueue(mortal("1", **fields))  # this expires the first job of the id
            driver.cancel("1")
        else:
            driver.reap()
        assert_keys_agree(driver)
        letters = driver.list_dead().jobs
        assert [letter.reason for letter in letters] == [DeadReason.EXPIRED]
        assert driver.redrive("1") == [RedriveStatus.QUEUED]
        assert_keys_agree(driver)
        found.append((letters, replace(driver.lease_one(), lease="")))
    assert found[0] == found[1]
