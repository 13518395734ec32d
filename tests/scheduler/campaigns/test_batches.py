"""Batches in one partition: their numbers after every move of a job, and their end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharq_core.campaigns.batches import BatchCounts
from sharq_core.job_life import RedriveStatus
from sharq_core.models import EnqueueStatus, JobState
from sharq_core.scheduler import joint
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.batches import BATCH, cancel, drop, member, redrive
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US, TYPE, execute
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree


def test_a_batch_counts_its_jobs_in_each_state(jobs: JobDriver) -> None:
    jobs.enqueue(
        member("1"), member("2"), member("3", requeue_limit=0), member("4", delay_us=HOUR_US), job("5")
    )
    assert jobs.get_batch(BATCH) == BatchCounts(queued=3, delayed=1)
    first, _, third = jobs.dequeue(3)
    jobs.finish("1", first.lease)
    jobs.fail("3", third.lease)
    jobs.cancel("4")
    assert jobs.get_batch(BATCH) == BatchCounts(leased=1, finished=1, dead=1, cancelled=1)
    assert jobs.get_batch("other") is None
    assert_keys_agree(jobs)


def test_a_job_tells_its_batch(jobs: JobDriver) -> None:
    jobs.enqueue(member("1", requeue_limit=0), job("2"))
    status, plain = jobs.status("1"), jobs.status("2")
    assert status and plain and (status.batch, plain.batch) == (BATCH, None)
    assert [row.status.batch for row in jobs.rows(JobState.QUEUED)] == [BATCH, None]
    (leased,) = jobs.dequeue(1)
    jobs.fail("1", leased.lease)
    dead = jobs.status("1")
    assert dead and (dead.state, dead.batch) == (JobState.DEAD, BATCH)


def test_a_duplicate_or_a_refused_job_counts_for_no_batch(jobs: JobDriver) -> None:
    jobs.enqueue(member("1"))
    refused = jobs.enqueue(
        member("1", batch="b8"),
        member("2", batch="b8", max_queued_length=0),
        member("3", batch="b8", interval_us=None, queue_id="new"),
        member("4", batch="b8", delay_us=HOUR_US, expires_us=SECOND_US),
    )
    statuses = [answer.status for answer in refused]
    assert statuses == [
        EnqueueStatus.DUPLICATE,
        EnqueueStatus.FULL,
        EnqueueStatus.NO_INTERVAL,
        EnqueueStatus.EXPIRES_EARLY,
    ]
    assert jobs.get_batch("b8") is None
    assert_keys_agree(jobs)


def test_a_redrive_takes_a_dead_letter_back_into_its_batch(jobs: JobDriver) -> None:
    jobs.enqueue(member("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease)
    assert jobs.get_batch(BATCH) == BatchCounts(dead=1)
    assert redrive(jobs, "1") is RedriveStatus.QUEUED
    assert jobs.get_batch(BATCH) == BatchCounts(queued=1)
    assert_keys_agree(jobs)


@pytest.mark.parametrize("how", ["all", "one", "cancel", "replaced"])
def test_a_dead_letter_that_is_dropped_counts_as_cancelled(jobs: JobDriver, how: str) -> None:
    jobs.enqueue(member("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease)
    if how == "replaced":
        jobs.enqueue(job("1", requeue_limit=0))
        jobs.fail("1", jobs.lease_one().lease)
    else:
        drops: dict[str, Callable[[], object]] = {
            "all": lambda: jobs.drop_dead(100),
            "one": lambda: jobs.drop_one("1"),
            "cancel": lambda: jobs.cancel("1"),
        }
        drops[how]()
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=1)
    assert_keys_agree(jobs)


def test_old_dead_letters_that_a_reap_drops_count_as_cancelled(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=HOUR_US, dead_us=MINUTE_US)
    jobs.enqueue(member("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease)
    jobs.advance(MINUTE_US)
    jobs.reap()
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=1)
    assert_keys_agree(jobs)


def test_large_dead_letters_of_batches_are_dropped_in_several_calls(jobs: JobDriver) -> None:
    count, payload = 40, b'"' + b"x" * 256_000 + b'"'
    for index in range(count):
        jobs.enqueue(member(str(index), requeue_limit=0, payload=payload))
        jobs.fail(str(index), jobs.lease_one().lease)
    dropped = [jobs.drop_dead(100) for _ in range(4)]
    assert sum(dropped) == count and max(dropped) < count and dropped[-1] == 0
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=count)
    assert_keys_agree(jobs)


def test_jobs_of_a_deleted_queue_are_cancelled_as_their_records_go(jobs: JobDriver) -> None:
    jobs.enqueue(*(member(str(index)) for index in range(5)), member("d", delay_us=HOUR_US))
    jobs.delete_queue("q", limit=2)
    assert jobs.get_batch(BATCH) == BatchCounts(queued=3, delayed=1, cancelled=2)
    jobs.reap()
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=6)
    assert_keys_agree(jobs)


def test_a_batch_has_other_numbers_in_the_partitions_of_a_joint_call(jobs: JobDriver) -> None:
    drivers = [
        JobDriver(jobs.client, f"{jobs.keys.prefix}-joint", partitions=2, partition=at) for at in (0, 1)
    ]
    drivers[0].enqueue(member("0", batch="first"))
    calls = [
        driver.functions.enqueue(driver.partition, TYPE, [member("1"), member("2")], now_us=driver.now_us)
        for driver in drivers
    ]
    (joined,) = joint.merge(calls)
    joined.split_reply(execute(jobs.client, *joined.command.words))
    for driver in drivers:
        assert driver.get_batch(BATCH) == BatchCounts(queued=2)
        assert_keys_agree(driver)
    assert drivers[0].get_batch("first") == BatchCounts(queued=1)


# The end of a batch.


def test_a_batch_is_named_to_a_reap_a_retention_after_its_last_job_and_then_forgotten(
    jobs: JobDriver,
) -> None:
    jobs.functions.retention = Retention(finished_us=MINUTE_US)
    jobs.enqueue(member("1"), member("2"))
    for leased in jobs.dequeue(2):
        jobs.advance(SECOND_US)
        jobs.finish(leased.job_id, leased.lease)
    jobs.advance(MINUTE_US - 1)
    assert (jobs.reap().ended_batches, drop(jobs)) == ((), False)
    jobs.advance(1)
    assert jobs.reap().ended_batches == (BATCH,)
    assert jobs.reap().ended_batches == (), "until another retention has passed"
    assert jobs.get_batch(BATCH) == BatchCounts(finished=2, is_over=True)
    jobs.advance(MINUTE_US)
    assert jobs.reap().ended_batches == (BATCH,)
    assert (drop(jobs), drop(jobs), jobs.get_batch(BATCH)) == (True, False, None)
    assert_keys_agree(jobs)


def test_a_batch_that_gets_jobs_again_lives_on(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=MINUTE_US)
    jobs.enqueue(member("1"))
    jobs.finish("1", jobs.lease_one().lease)
    jobs.advance(SECOND_US)
    jobs.enqueue(member("2"))
    jobs.advance(MINUTE_US)
    assert (jobs.reap().ended_batches, drop(jobs)) == ((), False)
    jobs.finish("2", jobs.lease_one().lease)
    assert jobs.get_batch(BATCH) == BatchCounts(finished=2)
    assert_keys_agree(jobs)


def test_a_dequeue_does_not_use_up_the_timer_of_an_ended_batch(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=MINUTE_US)
    jobs.enqueue(member("1"))
    jobs.finish("1", jobs.lease_one().lease)
    jobs.advance(MINUTE_US)
    assert jobs.dequeue_ids(1) == []
    assert jobs.reap().ended_batches == ()
    jobs.advance(SECOND_US)
    assert jobs.reap().ended_batches == (BATCH,)


def test_nothing_of_a_forgotten_batch_stays(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=MINUTE_US)
    jobs.enqueue(member("1"), member("2", "other"))
    cancel(jobs)
    jobs.advance(HOUR_US)
    jobs.reap()
    assert drop(jobs)
    jobs.advance(HOUR_US)
    jobs.reap()
    assert not jobs.client.exists(jobs.key("notes"), jobs.key("timers"), jobs.key("queues"))
    assert_keys_agree(jobs)


def test_a_dead_letter_outlives_its_batch(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=MINUTE_US)
    jobs.enqueue(member("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease)
    jobs.advance(MINUTE_US)
    assert drop(jobs)
    assert redrive(jobs, "1") is RedriveStatus.QUEUED
    status = jobs.status("1")
    assert status and (status.state, status.batch) == (JobState.QUEUED, None)
    assert jobs.get_batch(BATCH) is None
    assert_keys_agree(jobs)
