"""Cancellations of batches: which jobs they take, in which steps, and how they race with what happens to the jobs."""

from __future__ import annotations

import pytest

from sharq_core.campaigns.batches import BatchCounts
from sharq_core.job_changes import ChangeStatus
from sharq_core.job_life import OnExpiry, RedriveStatus
from sharq_core.limits import QueueSettings
from sharq_core.models import EnqueueStatus, JobState, LeaseStatus, NewJob
from tests.scheduler.drivers.batches import BATCH, cancel, cancel_step, member, redrive
from tests.scheduler.drivers.driver import HOUR_US, LEASE_US, SECOND_US, TYPE
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree


def test_a_cancellation_takes_the_waiting_jobs_of_all_queues(jobs: JobDriver) -> None:
    jobs.enqueue(member("0", "q0"))
    leased = jobs.lease_one()
    for queue in range(30):
        jobs.enqueue(
            member("1", f"q{queue}"), member("2", f"q{queue}", delay_us=HOUR_US), job("other", f"q{queue}")
        )
    assert cancel(jobs) == 60
    assert jobs.get_batch(BATCH) == BatchCounts(leased=1, cancelled=60, is_cancelled=True)
    assert jobs.state("1", "q3") is JobState.CANCELLED
    assert cancel(jobs) == 0
    assert sorted(job.job_id for job in jobs.dequeue(100)) == ["other"] * 30
    assert jobs.finish("0", leased.lease, "q0") is LeaseStatus.DONE
    assert jobs.get_batch(BATCH) == BatchCounts(finished=1, cancelled=60, is_cancelled=True)
    assert_keys_agree(jobs)


def test_a_cancellation_goes_in_bounded_steps(jobs: JobDriver) -> None:
    for first in range(0, 1000, 100):
        jobs.enqueue(
            *(member(str(index), batch=BATCH if index % 2 else None) for index in range(first, first + 100))
        )
    step, steps, counts = cancel_step(jobs), 1, []
    while step.scan:
        counts.append(step.cancelled)
        assert jobs.get_batch(BATCH) == BatchCounts(
            queued=500 - sum(counts), cancelled=sum(counts), is_cancelled=True
        )
        step, steps = cancel_step(jobs, step.scan), steps + 1
    counts.append(step.cancelled)
    assert sum(counts) == 500 and max(counts) == 25 and steps >= 20
    assert jobs.get_queue().queued == 500
    assert_keys_agree(jobs)


def test_a_cancellation_finds_the_queues_of_many_pages(jobs: JobDriver) -> None:
    for first in range(0, 2000, 100):
        jobs.enqueue(*(member("1", f"q{index}") for index in range(first, first + 100)))
    assert cancel(jobs) == 2000
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=2000, is_cancelled=True)
    assert_keys_agree(jobs)


def test_batches_whose_numbers_are_signs_of_patterns_keep_apart(jobs: JobDriver) -> None:
    """The bytes of the numbers 42, 63, 91 and 92 are those of `*`, `?`, `[` and a backslash."""
    for number in range(1, 100):
        jobs.enqueue(member("1", f"q{number}", batch=f"b{number}"))
    for number in (42, 63, 91, 92):
        assert cancel(jobs, f"b{number}") == 1
    assert [jobs.get_batch(f"b{number}") for number in (41, 43, 64, 90, 93)] == [BatchCounts(queued=1)] * 5
    assert_keys_agree(jobs)


def test_a_cancelled_batch_takes_no_further_jobs(jobs: JobDriver) -> None:
    jobs.enqueue(member("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease)
    jobs.enqueue(member("2"))
    cancel(jobs)
    (refused, plain) = jobs.enqueue(member("3"), job("4"))
    assert (refused.status, plain.status) == (EnqueueStatus.BATCH_CANCELLED, EnqueueStatus.QUEUED)
    assert redrive(jobs, "1") is RedriveStatus.BATCH_CANCELLED
    (again, repeated) = jobs.enqueue(member("2"), member("2", repeat=True))
    assert (again.status, repeated.status) == (EnqueueStatus.BATCH_CANCELLED, EnqueueStatus.DUPLICATE)
    assert jobs.get_batch(BATCH) == BatchCounts(dead=1, cancelled=1, is_cancelled=True)
    assert_keys_agree(jobs)


def test_a_cancellation_marks_a_batch_that_the_partition_does_not_know(jobs: JobDriver) -> None:
    assert cancel(jobs) == 0
    assert jobs.get_batch(BATCH) == BatchCounts(is_cancelled=True)
    assert jobs.enqueue(member("1"))[0].status is EnqueueStatus.BATCH_CANCELLED
    assert_keys_agree(jobs)


def marked(jobs: JobDriver, *members: NewJob) -> None:
    """Queue jobs of a batch, and mark it as cancelled without the steps that cancel its jobs."""
    jobs.enqueue(*members)
    assert cancel_step(jobs).cancelled == 0


def test_no_waiting_job_of_a_cancelled_batch_is_leased(jobs: JobDriver) -> None:
    marked(jobs, *(member(str(index)) for index in range(70)), job("plain"))
    assert jobs.dequeue_ids(1) == [], "a call removes up to 50 jobs at the heads of queues"
    assert jobs.dequeue_ids(1) == ["plain"]
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=70, is_cancelled=True)
    assert jobs.state("5") is JobState.CANCELLED
    assert_keys_agree(jobs)


def test_a_delayed_job_of_a_cancelled_batch_goes_when_its_delay_ends(jobs: JobDriver) -> None:
    marked(jobs, member("1", delay_us=SECOND_US))
    jobs.advance(SECOND_US)
    jobs.reap()
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=1, is_cancelled=True)
    assert jobs.state("1") is JobState.CANCELLED
    assert_keys_agree(jobs)


@pytest.mark.parametrize("how", ["timeout", "release", "void", "limit"])
def test_a_lease_of_a_cancelled_batch_that_ends_without_a_finish_is_cancelled(
    jobs: JobDriver, how: str
) -> None:
    jobs.enqueue(member("1", requeue_limit=0 if how == "limit" else -1))
    leased = jobs.lease_one()
    cancel(jobs)
    if how in ("timeout", "limit"):
        jobs.advance(LEASE_US)
        jobs.reap()
    else:
        assert jobs.fail("1", leased.lease, is_void=how == "void") is LeaseStatus.DONE
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=1, is_cancelled=True)
    assert jobs.state("1") is JobState.CANCELLED
    if how == "release":
        assert jobs.fail("1", leased.lease) is LeaseStatus.DONE, "a repeated release"
    assert_keys_agree(jobs)


def test_a_late_extend_does_not_take_a_job_of_a_cancelled_batch_again(jobs: JobDriver) -> None:
    jobs.enqueue(member("1"))
    leased = jobs.lease_one()
    jobs.advance(LEASE_US)
    jobs.reap()
    cancel_step(jobs)
    assert jobs.state("1") is JobState.QUEUED
    assert jobs.extend("1", leased.lease, LEASE_US) is LeaseStatus.LOST
    assert jobs.changes("1", priority=1) is ChangeStatus.NOT_WAITING
    assert jobs.finish("1", leased.lease) is LeaseStatus.DONE
    assert_keys_agree(jobs)


def test_an_expired_job_of_a_cancelled_batch_is_cancelled(jobs: JobDriver) -> None:
    marked(
        jobs,
        member("1", expires_us=SECOND_US, on_expiry=OnExpiry.DEAD),
        member("2", expires_us=SECOND_US, on_expiry=OnExpiry.DROP),
    )
    jobs.advance(SECOND_US)
    reaped = jobs.reap()
    assert (reaped.expired, reaped.dropped) == (0, 0)
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=2, is_cancelled=True)
    assert_keys_agree(jobs)


def test_a_new_job_takes_the_id_of_one_whose_batch_was_cancelled(jobs: JobDriver) -> None:
    marked(jobs, member("1"))
    (repeated,) = jobs.enqueue(job("1", repeat=True))
    assert repeated.status is EnqueueStatus.DUPLICATE
    (new,) = jobs.enqueue(job("1"))
    assert new.status is EnqueueStatus.QUEUED
    assert jobs.get_batch(BATCH) == BatchCounts(cancelled=1, is_cancelled=True)
    assert_keys_agree(jobs)


def test_jobs_of_paused_and_held_queues_are_cancelled_too(jobs: JobDriver) -> None:
    jobs.enqueue(member("1"), member("2", "held"))
    jobs.pause(True)
    jobs.value(jobs.limits.set_queue(0, TYPE, "held", QueueSettings(hold_us=HOUR_US), now_us=jobs.now_us))
    assert cancel(jobs) == 2
    assert_keys_agree(jobs)
