"""Retry policies: when a job comes again after a failed attempt."""

from __future__ import annotations

from statistics import mean, pstdev
from typing import Any

import pytest
import redis

from sharq_core.job_life import MAX_RETRY_MS, OnExpiry, Retry
from sharq_core.limits import QueueSettings, TypeSettings
from sharq_core.models import JobState, LeaseStatus, ReleaseJob
from sharq_core.scheduler.joint import merge
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, SECOND_US, TYPE, execute
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.drivers.types import GATHERED, TypeDriver
from tests.scheduler.stored.records import assert_keys_agree

MS = 1000
EXPONENTIAL = Retry(delay_ms=1000, factor=2, max_ms=5000)
STEADY = Retry(delay_ms=60_000, factor=1)


def waits_us(driver: JobDriver, job_id: str = "1") -> int:
    """Return the time that a job still waits, 0 if it is queued."""
    status = driver.status(job_id)
    assert status is not None
    return 0 if status.delayed_until_us is None else status.delayed_until_us - driver.now_us


def fail_again(driver: JobDriver, **fields: Any) -> int:
    """Let the next attempt of the one job fail; returns how long it waits then."""
    leased = driver.lease_one()
    assert driver.fail(leased.job_id, leased.lease, **fields) is LeaseStatus.DONE
    assert_keys_agree(driver)
    wait_us = waits_us(driver, leased.job_id)
    driver.advance(wait_us)
    return wait_us


def test_the_wait_grows_up_to_the_longest(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL))
    assert [fail_again(jobs) // MS for _ in range(5)] == [1000, 2000, 4000, 5000, 5000]


def test_a_fractional_factor_counts_in_hundredths(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=Retry(1000, 1.25, MAX_RETRY_MS)))
    assert [fail_again(jobs) for _ in range(3)] == [1_000_000, 1_250_000, 1_562_500]


def test_a_delay_beside_the_policy_is_only_for_jobs_without_one(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL))
    assert fail_again(jobs, delay_us=7 * SECOND_US) == 1000 * MS
    assert fail_again(jobs, delay_us=7 * SECOND_US, counts=False) == 7 * SECOND_US
    jobs.finish("1", jobs.lease_one().lease)
    jobs.enqueue(job("2"))
    assert fail_again(jobs, delay_us=7 * SECOND_US) == 7 * SECOND_US


def test_a_delay_of_nothing_waits_for_nothing(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=Retry(0, 10, MAX_RETRY_MS)))
    assert [fail_again(jobs) for _ in range(3)] == [0, 0, 0]


def test_a_wait_after_very_many_attempts_is_the_longest(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=Retry(1, 10, MAX_RETRY_MS)), job("2", retry=Retry(0, 10)))
    for job_id in ("1", "2"):
        field = f"q:{job_id}"
        raw = jobs.client.hget(jobs.key("jobs"), field)
        assert isinstance(raw, bytes)
        jobs.client.hset(jobs.key("jobs"), field, raw[:16] + (2**31).to_bytes(4) + raw[20:])
    for leased in jobs.dequeue():
        jobs.fail(leased.job_id, leased.lease)
    assert (waits_us(jobs, "1"), waits_us(jobs, "2")) == (MAX_RETRY_MS * MS, 0)


def test_a_lease_that_ends_by_time_is_a_failed_attempt(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL))
    jobs.lease_one()
    jobs.advance(LEASE_US)
    assert jobs.dequeue() == [], "the dequeue that ends the lease does not lease the job"
    assert waits_us(jobs) == 1000 * MS
    jobs.advance(SECOND_US)
    jobs.lease_one()
    jobs.advance(LEASE_US)
    jobs.reap()
    assert waits_us(jobs) == 2000 * MS
    assert_keys_agree(jobs)


def test_the_newest_lease_still_acts_on_a_job_that_waits_for_its_retry(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=STEADY), job("2", retry=STEADY))
    first, second = jobs.dequeue()
    jobs.advance(LEASE_US)
    jobs.reap()
    assert jobs.state("1") is jobs.state("2") is JobState.DELAYED
    assert jobs.extend("1", first.lease, LEASE_US) is LeaseStatus.DONE
    assert jobs.state("1") is JobState.LEASED
    assert jobs.finish("2", second.lease) is LeaseStatus.DONE
    assert_keys_agree(jobs)


@pytest.mark.parametrize(
    "fields",
    [{"retries": False}, {"counts": False}, {"is_void": True}, {"retries": False, "counts": False}],
    ids=["a-delay-of-0", "not-counted", "void", "both"],
)
def test_no_policy_decides_after_a_release_that(jobs: JobDriver, fields: dict[str, Any]) -> None:
    jobs.enqueue(job("1", retry=STEADY))
    jobs.fail("1", jobs.lease_one().lease, **fields)
    assert jobs.state("1") is JobState.QUEUED


def test_a_delay_wins_over_the_policy(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=STEADY))
    jobs.release("1", jobs.lease_one().lease, SECOND_US)
    assert waits_us(jobs) == SECOND_US


def test_without_a_policy_a_failed_job_is_queued_at_once(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    assert fail_again(jobs) == 0


def test_an_attempt_that_does_not_count_does_not_make_the_wait_grow(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL))
    fail_again(jobs)
    fail_again(jobs, counts=False)
    assert fail_again(jobs) == 2000 * MS


def test_the_requeue_limit_counts_as_ever(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=STEADY, requeue_limit=1))
    fail_again(jobs)
    jobs.fail("1", jobs.lease_one().lease)
    assert jobs.state("1") is JobState.DEAD
    assert_keys_agree(jobs)


def test_a_hold_is_a_floor_beside_the_wait(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL), job("2"))
    leased, _ = jobs.dequeue()
    jobs.fail("1", leased.lease, hold_us=MINUTE_US)
    assert waits_us(jobs) == SECOND_US
    jobs.advance(MINUTE_US - 1)
    assert jobs.dequeue() == []
    jobs.advance(1)
    assert "1" in jobs.dequeue_ids()


def test_the_slot_of_a_failed_attempt_stays_used(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", interval_us=MINUTE_US, retry=EXPONENTIAL))
    jobs.fail("1", jobs.lease_one().lease)
    jobs.advance(MINUTE_US - 1)
    assert jobs.dequeue() == []
    jobs.advance(1)
    assert jobs.dequeue_ids() == ["1"]


def test_a_job_keeps_its_place_and_its_policy(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=EXPONENTIAL, cost=2), job("2"), job("3"))
    leased = jobs.dequeue(1)[0]
    jobs.fail("1", leased.lease)
    jobs.advance(SECOND_US)
    jobs.reap()
    assert jobs.dequeue_ids() == ["1", "2", "3"]
    status = jobs.status("1")
    assert status is not None and (status.retry, status.cost) == (EXPONENTIAL, 2)


def test_a_job_that_expires_during_its_wait_is_swept(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=STEADY, expires_us=LEASE_US + SECOND_US))
    jobs.lease_one()
    jobs.advance(LEASE_US)
    jobs.reap()
    assert jobs.state("1") is JobState.DELAYED
    jobs.advance(SECOND_US)
    jobs.reap()
    assert jobs.state("1") is JobState.DEAD
    assert_keys_agree(jobs)


# Whose policy.


def test_the_narrowest_policy_wins(client: redis.Redis, prefix: str) -> None:
    jobs = JobDriver(client, prefix, queue_type=GATHERED)
    types = TypeDriver(client, prefix)
    types.set_type(TypeSettings(retry=Retry(3000, 1)))
    for queue_id in ("set", "plain"):
        jobs.enqueue(
            job("own", queue_id, queue_type=GATHERED, retry=Retry(1000, 1)),
            job("none", queue_id, queue_type=GATHERED),
        )
    jobs.set_queue(QueueSettings(retry=Retry(2000, 1)), "set")
    for leased in jobs.dequeue():
        assert jobs.fail(leased.job_id, leased.lease, queue_id=leased.queue_id) is LeaseStatus.DONE
    found = {
        (queue_id, job_id): jobs.status(job_id, queue_id)
        for queue_id in ("set", "plain")
        for job_id in ("own", "none")
    }
    waits = {key: (status.delayed_until_us or 0) - jobs.now_us for key, status in found.items() if status}
    assert waits == {
        ("set", "own"): SECOND_US,
        ("set", "none"): 2 * SECOND_US,
        ("plain", "own"): SECOND_US,
        ("plain", "none"): 3 * SECOND_US,
    }
    assert [status.retry for status in found.values() if status] == [Retry(1000, 1), None] * 2
    assert_keys_agree(jobs)


def test_a_policy_of_a_type_counts_for_leases_that_end_by_time(client: redis.Redis, prefix: str) -> None:
    jobs = JobDriver(client, prefix, queue_type=GATHERED)
    TypeDriver(client, prefix).set_type(TypeSettings(retry=STEADY))
    jobs.enqueue(job("1", queue_type=GATHERED))
    jobs.lease_one()
    jobs.advance(LEASE_US)
    assert jobs.dequeue() == []
    assert waits_us(jobs) == MINUTE_US


# Settings.


def test_defaults_of_a_queue_are_set_shown_kept_and_cleared(jobs: JobDriver) -> None:
    policy = Retry(MAX_RETRY_MS, 9.99, MAX_RETRY_MS, 0.01)
    stats = jobs.set_queue(QueueSettings(retry=policy, expires_us=HOUR_US, on_expiry=OnExpiry.DROP))
    assert (stats.retry, stats.expires_us, stats.on_expiry) == (policy, HOUR_US, OnExpiry.DROP)
    assert stats == jobs.get_queue() == jobs.list_queue_stats()["q"]
    jobs.advance(DAY_US)
    jobs.reap()
    assert jobs.get_queue().retry == policy, "no idle time ends a setting"
    stats = jobs.set_queue(QueueSettings(weight=3, expires_us=None))
    assert (stats.retry, stats.expires_us, stats.on_expiry) == (policy, None, OnExpiry.DROP)
    stats = jobs.set_queue(QueueSettings(retry=None, on_expiry=OnExpiry.DEAD))
    assert (stats.retry, stats.on_expiry, stats.weight) == (None, OnExpiry.DEAD, 3)
    jobs.set_queue(QueueSettings(on_expiry=None, weight=None))
    assert_keys_agree(jobs)
    jobs.advance(DAY_US)
    jobs.reap()
    assert jobs.store_keys() == {jobs.key("counters")}, "a queue without settings is forgotten"


def test_defaults_of_a_type_are_set_shown_kept_and_cleared(sms: TypeDriver) -> None:
    policy = Retry(1, 1, 2, 1)
    stats = sms.set_type(TypeSettings(retry=policy, expires_us=DAY_US, on_expiry=OnExpiry.DEAD))
    assert (stats.retry, stats.expires_us, stats.on_expiry) == (policy, DAY_US, OnExpiry.DEAD)
    sms.advance(DAY_US)
    assert sms.set_type(TypeSettings(max_leased=5)) == sms.type_stats()
    stats = sms.set_type(TypeSettings(expires_us=None))
    assert (stats.retry, stats.expires_us, stats.max_leased) == (policy, None, 5)
    stats = sms.set_type(TypeSettings(retry=None, max_leased=None, on_expiry=None))
    assert (stats.retry, stats.expires_us, stats.on_expiry) == (None, None, None)
    assert not sms.client.hexists(sms.key("counters"), f":s{GATHERED}")


def test_nodes_of_revision_4_get_the_replies_that_they_know(jobs: JobDriver) -> None:
    jobs.set_queue(QueueSettings(retry=STEADY, expires_us=HOUR_US))
    calls = {
        "get_queue": jobs.functions.get_queue(0, TYPE, "q", now_us=jobs.now_us).command.words,
        "list": jobs.limits.list_queue_stats(0, TYPE, 0, 10, now_us=jobs.now_us).command.words,
        "set": jobs.limits.set_queue(0, TYPE, "q", QueueSettings(weight=2), now_us=jobs.now_us).command.words,
    }
    assert len(execute(jobs.client, *calls["get_queue"][:-1], "1")) == 4 + 16
    without_later = calls["list"][:-4]  # the lives of jobs and windows, the ages of heads, and the search
    assert len(execute(jobs.client, *without_later)[6]) == 16
    assert len(execute(jobs.client, *calls["set"][:-2])) == 4 + 16


def test_nodes_of_revision_4_keep_the_defaults_of_a_type(sms: TypeDriver) -> None:
    sms.set_type(TypeSettings(retry=STEADY, expires_us=HOUR_US))
    words: list[Any] = sms.types.set_type(
        0, GATHERED, TypeSettings(max_leased=3), now_us=sms.now_us
    ).command.words
    change = words[-2]
    assert change[8] == 128 + 64 + 2
    assert len(execute(sms.client, *words[:-2], change[:8] + b"\x02" + change[9:22])) == 14
    assert (sms.type_stats().retry, sms.type_stats().max_leased) == (STEADY, 3)
    words = sms.types.get_type_stats(0, GATHERED, now_us=sms.now_us).command.words
    assert len(execute(sms.client, *words[:-1])) == 14


# Chance.


def test_jitter_takes_off_up_to_its_share_evenly(jobs: JobDriver) -> None:
    retry = Retry(1000, 1, 1000, 0.5)
    waits: list[int] = []
    for first in range(0, 400, 100):
        jobs.enqueue(*(job(str(n), retry=retry) for n in range(first, first + 100)))
        for leased in jobs.dequeue():
            jobs.fail(leased.job_id, leased.lease)
            waits.append(waits_us(jobs, leased.job_id))
    assert all(500 * MS < wait <= 1000 * MS for wait in waits)
    assert abs(mean(waits) - 750 * MS) < 5 * MS
    assert abs(pstdev(waits) - 500 * MS / 12**0.5) < 5 * MS


def test_jobs_of_one_call_do_not_come_back_together(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(str(n), retry=Retry(1000, 1, 1000, 1)) for n in range(100)))
    jobs.dequeue()
    jobs.advance(LEASE_US)
    jobs.reap()
    waits = {waits_us(jobs, str(n)) for n in range(100)}
    assert len(waits) == 100


# Joint calls and the clock.


def test_joint_releases_use_the_policy_of_each_partition(client: redis.Redis, prefix: str) -> None:
    drivers = [JobDriver(client, prefix, partitions=2, partition=at) for at in range(2)]
    calls = []
    for driver, delay_ms in zip(drivers, (1000, 2000), strict=True):
        driver.set_queue(QueueSettings(retry=Retry(delay_ms, 1)))
        driver.enqueue(job("1"))
        lease = driver.lease_one().lease
        released = ReleaseJob(TYPE, "q", "1", lease, retries=True, error=f"waits {delay_ms}")
        calls.append(driver.functions.release(driver.partition, TYPE, [released], now_us=driver.now_us))
    (joint,) = merge(calls)
    execute(client, *joint.command.words)
    for driver, delay_ms in zip(drivers, (1000, 2000), strict=True):
        assert waits_us(driver) == delay_ms * MS
        status = driver.status("1")
        assert status is not None and status.error is not None
        assert status.error.text == f"waits {delay_ms}"
        assert_keys_agree(driver)


def test_a_wait_lasts_as_long_across_a_step_of_the_clock(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", retry=STEADY))
    jobs.fail("1", jobs.lease_one().lease)
    jobs.advance(-DAY_US)
    assert jobs.dequeue() == []
    assert waits_us(jobs) == MINUTE_US
    jobs.advance(MINUTE_US)
    assert jobs.dequeue_ids() == ["1"]
