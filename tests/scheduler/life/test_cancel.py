"""Cancellations of single jobs and by prefix: what they remove, what is remembered, and how they race with leases."""

from __future__ import annotations

import pytest
import redis

from sharq_core.job_changes import CancelJob, CancelOutcome, CancelPage, CancelStatus
from sharq_core.models import EnqueueStatus, JobState, LeaseStatus
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, SECOND_US, TYPE
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree

NOT_FOUND = CancelOutcome(CancelStatus.NOT_FOUND)
IS_LEASED = CancelOutcome(CancelStatus.LEASED)


def done(was: JobState) -> CancelOutcome:
    """The answer for a job that is cancelled now."""
    return CancelOutcome(CancelStatus.DONE, was)


def kill(driver: JobDriver, job_id: str, queue_id: str = "q") -> str:
    """Make a job a dead letter; returns its lease."""
    driver.enqueue(job(job_id, queue_id, requeue_limit=0))
    (leased,) = driver.dequeue()
    driver.advance(LEASE_US)
    driver.reap()
    return leased.lease


# One job.


def test_a_waiting_job_is_cancelled_and_remembered(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2", delay_us=HOUR_US), job("3"))
    assert jobs.cancel("1") == done(JobState.QUEUED)
    assert jobs.cancel("2") == done(JobState.DELAYED)
    assert (jobs.state("1"), jobs.state("2")) == (JobState.CANCELLED, JobState.CANCELLED)
    assert jobs.get_job("1") is None, "a node of revision 4 knows no such state"
    assert (jobs.totals().queued, jobs.totals().delayed, jobs.totals().cancelled) == (1, 0, 2)
    assert_keys_agree(jobs)
    assert jobs.dequeue_ids() == ["3"]


def test_a_cancellation_may_be_repeated_within_the_retention(jobs: JobDriver) -> None:
    jobs.functions.retention = Retention(finished_us=HOUR_US)
    jobs.enqueue(job("1"))
    jobs.cancel("1")
    for _ in range(2):
        assert jobs.cancel("1") == done(JobState.CANCELLED)
    assert jobs.totals().cancelled == 1
    jobs.advance(HOUR_US)
    assert (jobs.cancel("1"), jobs.state("1")) == (NOT_FOUND, None)


def test_a_finished_or_unknown_job_is_not_found(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    jobs.finish("1", jobs.lease_one().lease)
    assert (jobs.cancel("1"), jobs.cancel("2"), jobs.cancel("1", "other")) == (NOT_FOUND,) * 3
    assert jobs.state("1") is JobState.FINISHED
    assert_keys_agree(jobs)


def test_a_dead_letter_is_cancelled(jobs: JobDriver) -> None:
    kill(jobs, "1")
    assert jobs.cancel("1") == done(JobState.DEAD)
    assert jobs.list_dead().jobs == []
    assert (jobs.totals().dead, jobs.totals().cancelled) == (0, 1)
    assert jobs.state("1") is JobState.CANCELLED
    assert jobs.get_queue().dead == 0
    assert_keys_agree(jobs)


def test_the_newest_job_of_an_id_is_cancelled(jobs: JobDriver) -> None:
    kill(jobs, "1")
    jobs.enqueue(job("1"))
    assert jobs.cancel("1") == done(JobState.QUEUED)
    assert jobs.cancel("1") == done(JobState.CANCELLED)
    assert [letter.job_id for letter in jobs.list_dead().jobs] == ["1"]
    assert_keys_agree(jobs)


def test_a_leased_job_is_cancelled_only_by_force(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    lease = jobs.lease_one().lease
    assert jobs.cancel("1") == IS_LEASED
    assert jobs.cancel("1", force=True) == done(JobState.LEASED)
    assert jobs.finish("1", lease) is LeaseStatus.LOST
    assert jobs.extend("1", lease, LEASE_US) is LeaseStatus.LOST
    assert jobs.release("1", lease) is LeaseStatus.LOST
    assert jobs.finish("1", None) is LeaseStatus.NOT_FOUND
    assert jobs.totals().leased == 0
    assert_keys_agree(jobs)


def test_a_forced_cancellation_makes_room_under_max_leased_at_once(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", max_leased=1), job("2"))
    jobs.lease_one()
    assert jobs.dequeue() == []
    jobs.cancel("1", force=True)
    assert jobs.dequeue_ids() == ["2"]
    assert_keys_agree(jobs)


def test_the_slot_of_a_cancelled_lease_stays_used(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", interval_us=SECOND_US), job("2", interval_us=SECOND_US))
    jobs.lease_one()
    jobs.cancel("1", force=True)
    assert jobs.dequeue() == []
    jobs.advance(SECOND_US)
    assert jobs.dequeue_ids() == ["2"]


def test_a_lease_that_ended_before_the_cancellation_is_lost(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    lease = jobs.lease_one().lease
    jobs.advance(LEASE_US)
    jobs.reap()
    assert jobs.cancel("1") == done(JobState.QUEUED)
    assert jobs.finish("1", lease) is LeaseStatus.LOST
    assert jobs.release("1", lease) is LeaseStatus.LOST


def test_a_repeated_release_of_a_cancelled_job_is_done(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    lease = jobs.lease_one().lease
    jobs.release("1", lease)
    jobs.cancel("1")
    assert jobs.release("1", lease) is LeaseStatus.DONE
    assert jobs.release("1", "00" * 16) is LeaseStatus.LOST
    assert jobs.finish("1", lease) is LeaseStatus.LOST
    assert_keys_agree(jobs)


def test_a_repeated_release_of_a_cancelled_dead_letter_is_done(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=0))
    lease = jobs.lease_one().lease
    jobs.release("1", lease)
    assert jobs.cancel("1") == done(JobState.DEAD)
    assert jobs.release("1", lease) is LeaseStatus.DONE


def test_a_repeat_of_a_cancelled_job_is_a_duplicate(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    jobs.cancel("1")
    assert jobs.enqueue(job("1", repeat=True))[0].status is EnqueueStatus.DUPLICATE
    assert jobs.enqueue(job("1"))[0].status is EnqueueStatus.QUEUED
    assert jobs.state("1") is JobState.QUEUED


def test_a_job_that_went_with_its_queue_counts_as_cancelled_if_it_was_leased(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    lease = jobs.dequeue(1)[0].lease
    jobs.release("1", lease)
    for limit in (0, 100):
        jobs.delete_queue(limit=limit)
        assert (jobs.state("1"), jobs.state("2")) == (JobState.CANCELLED, None)
        assert (jobs.cancel("1"), jobs.cancel("2")) == (done(JobState.CANCELLED), NOT_FOUND)
        jobs.reap()
    assert_keys_agree(jobs)


def test_a_leased_job_of_a_deleted_queue_is_cancelled_by_force(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    jobs.dequeue(1)
    jobs.delete_queue()
    assert jobs.cancel("1") == IS_LEASED
    assert jobs.cancel("1", force=True) == done(JobState.LEASED)
    assert_keys_agree(jobs)


def test_jobs_of_one_call_are_answered_in_order_and_once(jobs: JobDriver) -> None:
    kill(jobs, "dead")
    jobs.enqueue(job("1"), job("2", "b"), job("3"))
    jobs.pause(True, "b")
    jobs.dequeue(1)
    wanted = [("q", "3"), ("q", "3"), ("b", "2"), ("q", "dead"), ("q", "dead"), ("q", "1"), ("x", "9")]
    found = jobs.cancel_all(*(CancelJob(TYPE, *key) for key in wanted))
    assert found == [
        done(JobState.QUEUED),
        done(JobState.CANCELLED),
        done(JobState.QUEUED),
        done(JobState.DEAD),
        done(JobState.CANCELLED),
        IS_LEASED,
        NOT_FOUND,
    ]
    assert_keys_agree(jobs)


def test_a_late_cancellation_does_nothing(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    call = jobs.job_calls.cancel(
        0, TYPE, [CancelJob(TYPE, "q", "1")], not_after_us=jobs.now_us - 1, now_us=jobs.now_us
    )
    assert jobs.reply(call).is_expired
    assert jobs.state("1") is JobState.QUEUED


def test_cancelled_jobs_stay_remembered_across_a_step_of_the_clock(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    jobs.cancel("1")
    jobs.advance(-DAY_US)
    assert jobs.cancel("1") == done(JobState.CANCELLED)
    assert jobs.cancel("2") == done(JobState.QUEUED)
    assert_keys_agree(jobs)


# By prefix.


def test_a_cancellation_by_prefix_takes_waiting_jobs_of_every_priority(jobs: JobDriver) -> None:
    jobs.enqueue(
        *(job(f"a{n}", priority=n) for n in range(1, 10)),
        job("a-late", delay_us=HOUR_US),
        job("b", delay_us=HOUR_US),
        job("ba"),
        job("a-other", "q2"),
    )
    jobs.enqueue(job("a-leased"))
    jobs.pause(True, "q2")
    (leased,) = jobs.dequeue(1)
    assert leased.job_id == "a1"
    assert jobs.cancel_matching("a") == 10
    assert (jobs.state("a1"), jobs.state("a2"), jobs.state("a-late")) == (
        JobState.LEASED,
        JobState.CANCELLED,
        JobState.CANCELLED,
    )
    assert {job_id for job_id in ("b", "ba") if jobs.state(job_id)} == {"b", "ba"}
    assert jobs.state("a-other", "q2") is JobState.QUEUED
    assert_keys_agree(jobs)


def test_an_empty_prefix_cancels_all_that_waits(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(str(n), delay_us=n % 2 * HOUR_US) for n in range(100)))
    assert jobs.cancel_matching("") == 100
    assert jobs.totals().cancelled == 100
    assert jobs.cancel_matching("") == 0
    assert jobs.cancel_matching("", "unknown") == 0
    assert_keys_agree(jobs)


def test_steps_are_bounded_and_keep_jobs_enqueued_after_the_first(jobs: JobDriver) -> None:
    for first in range(0, 2500, 100):
        jobs.enqueue(
            *(job(f"{'x' if n % 5 else 'y'}{n}", priority=1 + n % 9) for n in range(first, first + 100))
        )
    page = jobs.cancel_step("y")
    total, steps = page.cancelled, 1
    jobs.enqueue(job("y-new", priority=9))
    while page.scan:
        page = jobs.cancel_step("y", page.scan)
        assert page.cancelled <= 100
        total, steps = total + page.cancelled, steps + 1
    assert (total, steps > 4) == (500, True)
    assert jobs.state("y-new") is JobState.QUEUED
    assert jobs.totals().queued == 2001
    assert_keys_agree(jobs)


def test_a_delayed_job_that_becomes_ready_during_the_walk_is_met(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(f"d{n}", delay_us=MINUTE_US) for n in range(100)))
    jobs.enqueue(*(job(f"e{n}", delay_us=MINUTE_US) for n in range(100)))
    page = jobs.cancel_step("")
    assert (page.cancelled, bool(page.scan)) == (100, True)
    jobs.advance(MINUTE_US)
    jobs.reap()
    assert jobs.totals().queued == 100
    while page.scan:
        page = jobs.cancel_step("", page.scan)
    assert jobs.totals().cancelled == 200
    assert_keys_agree(jobs)


def start_walk_between(jobs: JobDriver) -> CancelPage:
    """Begin a cancellation of 300 jobs of priority 2 and 100 of priority 8; returns its first page."""
    for first in range(0, 300, 100):
        jobs.enqueue(*(job(f"early{n}", priority=2) for n in range(first, first + 100)))
    jobs.enqueue(*(job(f"late{n}", priority=8) for n in range(100)))
    page = jobs.cancel_step("")
    assert (page.cancelled, bool(page.scan)) == (100, True)
    return page


def finish_walk(jobs: JobDriver, page: CancelPage) -> int:
    """Take the other steps of a cancellation; returns how many."""
    steps = 0
    while page.scan:
        page = jobs.cancel_step("", page.scan)
        steps += 1
    return steps


@pytest.mark.parametrize("priority", [1, 9])
def test_a_job_whose_priority_changes_during_the_walk_is_met(jobs: JobDriver, priority: int) -> None:
    page = start_walk_between(jobs)
    jobs.change("late99", priority=priority)
    finish_walk(jobs, page)
    assert jobs.state("late99") is JobState.CANCELLED
    assert jobs.totals().cancelled == 400
    assert_keys_agree(jobs)


def test_a_job_that_is_enqueued_during_a_walk_and_moves_ahead_is_kept(jobs: JobDriver) -> None:
    page = start_walk_between(jobs)
    jobs.enqueue(job("new", priority=9))
    jobs.change("new", priority=1)
    finish_walk(jobs, page)
    assert jobs.dequeue_ids() == ["new"]


def test_a_walk_ends_although_jobs_move_ahead_all_the_time(jobs: JobDriver) -> None:
    page = start_walk_between(jobs)
    jobs.enqueue(job("kept", priority=9))
    steps = 0
    while page.scan and steps < 100:
        jobs.change("kept", priority=9)
        jobs.change("kept", priority=1)
        page = jobs.cancel_step("", page.scan)
        steps += 1
    assert steps == 3 + 3, "three further passes of one step each"
    assert jobs.totals().cancelled == 400


def test_a_walk_without_moves_has_one_pass(jobs: JobDriver) -> None:
    jobs.enqueue(job("before", priority=9), job("other", "p", priority=9))
    jobs.change("before", priority=1)
    page = start_walk_between(jobs)
    jobs.change("late99", priority=9)
    assert finish_walk(jobs, page) == 4


def test_a_place_without_a_record_does_not_block_a_cancellation_by_prefix(jobs: JobDriver) -> None:
    """A store that lost a part of its data may have one; a dequeue passes it, too."""
    jobs.enqueue(job("1"), job("2"))
    jobs.client.hdel(jobs.key("jobs"), "q:1")
    page = jobs.cancel_step("")
    assert (page.cancelled, page.scan) == (1, "")


def test_a_cancellation_by_prefix_leaves_the_fence_alone(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(f"old{n}", priority=1 + n % 9, delay_us=n % 3 * HOUR_US) for n in range(90)))
    jobs.delete_queue(limit=10)
    jobs.enqueue(*(job(f"new{n}", priority=1 + n % 9, delay_us=n % 3 * HOUR_US) for n in range(30)))
    assert jobs.cancel_matching("") == 30
    assert jobs.totals().cancelled == 120
    assert_keys_agree(jobs)


def test_a_step_ends_after_some_bytes(jobs: JobDriver) -> None:
    payload = b'"' + b"x" * 100_000 + b'"'
    jobs.enqueue(*(job(str(n), payload=payload) for n in range(9)))
    page = jobs.cancel_step("")
    assert (page.cancelled, bool(page.scan)) == (3, True)
    assert jobs.cancel_matching("") == 6


def test_a_queue_that_is_cancelled_empty_is_not_ready(jobs: JobDriver, lone_client: redis.Redis) -> None:
    jobs.enqueue(job("1"), job("2"))
    jobs.cancel_matching("")
    assert jobs.dequeue() == []
    assert jobs.client.zcard(jobs.key("ready")) == 0
    assert jobs.client.exists(jobs.key("jobs"), jobs.key("queued")) == 0
