"""Errors that workers give when they release jobs: kept with the job, shown, and gone together with it."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from sharq_core.job_life import DeadReason, JobError, OnExpiry, RedriveStatus
from sharq_core.models import JobState, LeaseStatus, ReleaseJob
from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, SECOND_US, TYPE, execute
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree

LONGEST = "ö" * 1024


def error_of(driver: JobDriver, job_id: str = "1") -> JobError | None:
    """The error of a job."""
    status = driver.status(job_id)
    assert status is not None
    return status.error


def has_notes(driver: JobDriver) -> bool:
    """Any note is in the store."""
    return driver.client.exists(driver.key("notes")) == 1


def fail_one(driver: JobDriver, error: str, **fields: Any) -> str:
    """Lease the one ready job and let it fail; returns its lease."""
    leased = driver.lease_one()
    assert driver.fail(leased.job_id, leased.lease, error, **fields) is LeaseStatus.DONE
    assert_keys_agree(driver)
    return leased.lease


def test_the_last_error_is_kept_with_its_attempt_and_time(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    assert error_of(jobs) is None
    for attempt, text in enumerate(("no route", LONGEST, "", "x"), start=1):
        before = error_of(jobs)
        fail_one(jobs, text)
        assert error_of(jobs) == (JobError(text, attempt, jobs.now_us) if text else before)
        jobs.advance(SECOND_US)
    jobs.lease_one()
    assert error_of(jobs) == JobError("x", 4, jobs.now_us - SECOND_US)
    assert [row.status.error for row in jobs.rows(JobState.LEASED)] == [error_of(jobs)]


def test_an_error_goes_beside_the_other_things_that_a_release_reports(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", interval_us=SECOND_US), job("2", interval_us=SECOND_US))
    fail_one(jobs, "busy", cost=5, hold_us=MINUTE_US, counts=False)
    assert error_of(jobs) == JobError("busy", 1, jobs.now_us)
    status = jobs.status("1")
    assert status is not None and status.attempt == 0
    assert jobs.get_queue().held_until_us == jobs.now_us + MINUTE_US


def test_jobs_without_errors_have_no_notes(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    for leased in jobs.dequeue():
        jobs.fail(leased.job_id, leased.lease)
    assert not has_notes(jobs)


def test_some_jobs_of_a_call_have_errors(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(str(n)) for n in range(4)))
    released = [
        ReleaseJob(TYPE, "q", leased.job_id, leased.lease, error=f"{leased.job_id}!" * (n % 2))
        for n, leased in enumerate(jobs.dequeue())
    ]
    jobs.value(jobs.functions.release(0, TYPE, released, now_us=jobs.now_us))
    found = [error_of(jobs, str(n)) for n in range(4)]
    assert found == [None, JobError("1!", 1, jobs.now_us), None, JobError("3!", 1, jobs.now_us)]
    assert_keys_agree(jobs)


def delete_while_leased(driver: JobDriver) -> int:
    """Delete the queue of the one job while it is leased, and wait until the lease ends."""
    driver.lease_one()
    driver.enqueue(job("2"))
    dropped = driver.delete_queue()
    driver.advance(LEASE_US)
    return dropped


@pytest.mark.parametrize(
    "end",
    [
        lambda jobs: jobs.finish("1", jobs.lease_one().lease),
        lambda jobs: jobs.cancel("1"),
        lambda jobs: jobs.cancel_matching(""),
        lambda jobs: jobs.delete_queue(),
        lambda jobs: (jobs.delete_queue(limit=0), jobs.reap()),
        lambda jobs: (jobs.delete_queue(limit=0), jobs.enqueue(job("1"))),
        lambda jobs: (delete_while_leased(jobs), jobs.reap()),
        lambda jobs: (jobs.advance(MINUTE_US), jobs.dequeue()),
        lambda jobs: (jobs.pause(True), jobs.advance(MINUTE_US), jobs.reap()),
    ],
    ids=[
        "finished",
        "cancelled",
        "cancelled-by-prefix",
        "deleted",
        "swept",
        "deleted-and-enqueued-again",
        "deleted-while-leased",
        "expired-at-the-head",
        "expired-in-the-sweep",
    ],
)
def test_an_error_goes_with_its_job(jobs: JobDriver, end: Any) -> None:
    jobs.enqueue(job("1", expires_us=MINUTE_US, on_expiry=OnExpiry.DROP))
    fail_one(jobs, "no route")
    assert has_notes(jobs)
    end(jobs)
    assert not has_notes(jobs)
    status = jobs.status("1")
    assert status is None or status.error is None
    assert_keys_agree(jobs)


def test_a_dead_letter_keeps_its_error(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=0, max_leased=3, burst=1.25), job("2", requeue_limit=0))
    for leased in jobs.dequeue():
        assert jobs.fail(leased.job_id, leased.lease, "late" if leased.job_id == "1" else "") == 0
    assert not has_notes(jobs)
    letters = {letter.job_id: letter for letter in jobs.list_dead().jobs}
    assert letters["1"].error == JobError("late", 1, jobs.now_us) == error_of(jobs)
    assert letters["2"].error is None
    assert {letter.reason for letter in letters.values()} == {DeadReason.LIMIT}
    status = jobs.status("1")
    assert status is not None
    assert (status.state, status.reason, status.dead_at_us) == (JobState.DEAD, DeadReason.LIMIT, jobs.now_us)
    assert_keys_agree(jobs)


def test_an_error_of_an_earlier_attempt_moves_into_the_dead_letter(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=1))
    fail_one(jobs, "no route")
    failed_us = jobs.now_us
    jobs.advance(SECOND_US)
    jobs.lease_one()
    jobs.advance(LEASE_US)
    jobs.reap()
    (letter,) = jobs.list_dead().jobs
    assert letter.error == JobError("no route", 1, failed_us)
    assert (letter.attempt, letter.reason) == (2, DeadReason.LIMIT)
    assert_keys_agree(jobs)


def test_an_expired_job_keeps_its_error_and_says_why_it_died(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", expires_us=MINUTE_US, requeue_limit=9))
    fail_one(jobs, "no route")
    jobs.advance(MINUTE_US)
    jobs.reap()
    (letter,) = jobs.list_dead().jobs
    status = jobs.status("1")
    assert status is not None
    assert letter.reason is status.reason is DeadReason.EXPIRED
    assert letter.error is not None and letter.error == status.error
    assert_keys_agree(jobs)


def test_a_redrive_drops_error_and_reason(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=0, cost=3))
    jobs.fail("1", jobs.lease_one().lease, LONGEST)
    assert jobs.redrive("1") == [RedriveStatus.QUEUED]
    status = jobs.status("1")
    assert status is not None
    assert (status.error, status.reason, status.dead_at_us, status.cost) == (None, None, None, 3)
    assert not has_notes(jobs)
    assert_keys_agree(jobs)
    fail_one_dead = jobs.lease_one()
    jobs.fail("1", fail_one_dead.lease)
    assert [letter.error for letter in jobs.list_dead().jobs] == [None]


def test_a_late_release_keeps_its_error_once(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    lease = jobs.lease_one().lease
    jobs.advance(LEASE_US)
    jobs.reap()
    assert jobs.fail("1", lease, "too slow") is LeaseStatus.DONE
    assert error_of(jobs) == JobError("too slow", 1, jobs.now_us)
    assert jobs.fail("1", lease, "again") is LeaseStatus.DONE
    assert error_of(jobs) == JobError("too slow", 1, jobs.now_us)
    assert_keys_agree(jobs)


def test_a_release_that_is_lost_or_repeated_keeps_no_error(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    old = fail_one(jobs, "first")
    assert jobs.fail("1", old, "repeated") is LeaseStatus.DONE
    new = jobs.lease_one().lease
    assert jobs.fail("1", old, "lost") is LeaseStatus.LOST
    assert jobs.fail("9", new, "unknown") is LeaseStatus.NOT_FOUND
    assert error_of(jobs) == JobError("first", 1, jobs.now_us)


def test_an_undelivered_lease_leaves_the_error_as_it_was(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    fail_one(jobs, "first")
    jobs.release("1", jobs.lease_one().lease, is_void=True)
    assert error_of(jobs) == JobError("first", 1, jobs.now_us)
    assert_keys_agree(jobs)


def test_the_time_of_an_error_is_that_of_the_store_after_a_step_of_the_clock(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=1))
    fail_one(jobs, "first")
    jobs.advance(-DAY_US)
    jobs.reap()
    error = error_of(jobs)
    assert error is not None and error.at_us == jobs.now_us
    jobs.fail("1", jobs.lease_one().lease, "second")
    (letter,) = jobs.list_dead().jobs
    assert letter.error == JobError("second", 2, jobs.now_us)


def test_a_node_that_does_not_declare_the_notes_ends_them(jobs: JobDriver) -> None:
    """Nodes of revision 4 run beside newer ones during an upgrade."""
    jobs.enqueue(job("1"), job("2", requeue_limit=1))
    leases: dict[str, str] = {}
    for _ in range(2):
        for leased in jobs.dequeue():
            leases[leased.job_id] = leased.lease
            if leased.attempt == 1:
                jobs.fail(leased.job_id, leased.lease, "no route")
    finish: list[Any] = jobs.functions.finish(0, TYPE, [], now_us=jobs.now_us).command.words
    assert (finish[2], finish[12]) == (12, jobs.key("notes"))
    words = [*finish[:2], 9, *finish[3:12], *finish[15:], "q", "q:1", bytes.fromhex(leases["1"])]
    assert execute(jobs.client, *words)[4] == 0
    jobs.advance(LEASE_US)
    reap: list[Any] = jobs.functions.reap(0, TYPE, now_us=jobs.now_us).command.words
    assert (reap[2], reap[14]) == (14, jobs.key("notes"))
    execute(jobs.client, *reap[:2], 11, *reap[3:14], *reap[17:])
    assert not has_notes(jobs)
    assert [letter.error for letter in jobs.list_dead().jobs] == [
        JobError("no route", 1, jobs.now_us - LEASE_US)
    ]
    assert_keys_agree(jobs)


def test_a_node_that_knows_no_reasons_gets_dead_letters_as_before(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=0))
    jobs.fail("1", jobs.lease_one().lease, "no route")
    words: list[Any] = jobs.job_calls.list_dead(0, TYPE, "", 10, now_us=jobs.now_us).command.words
    found = execute(jobs.client, *words[:-1])
    assert found[4:] == [0, b"q", b"1", b'{"a":1}', 1, jobs.now_us, jobs.now_us]
    words = jobs.job_calls.get_job(0, TYPE, "q", "1", now_us=jobs.now_us).command.words
    assert execute(jobs.client, *words)[4:] == [4, 1, jobs.now_us, jobs.now_us, 0, b'{"a":1}']


# Dead letters of one queue, and single ones.


def bury(driver: JobDriver, *fields: str) -> None:
    """Make dead letters in this order, each at its own time."""
    for field in fields:
        queue_id, job_id = field.split(":")
        driver.enqueue(job(job_id, queue_id, requeue_limit=0))
        leased = driver.lease_one()
        driver.release(job_id, leased.lease, queue_id=queue_id)
        driver.advance(1)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_dead_letters_of_one_queue_are_listed(jobs: JobDriver, limit: int) -> None:
    bury(jobs, "q:1", "qq:2", "q:3", "p:4", "q:5", "p:6")
    found, scan = [], ""
    while True:
        page = jobs.dead_of("q", scan, limit)
        assert len(page.jobs) <= limit
        found += [letter.job_id for letter in page.jobs]
        scan = page.scan
        if not scan:
            break
    assert found == ["1", "3", "5"]
    assert jobs.dead_of("unknown").jobs == []


def test_a_page_of_one_queue_looks_at_a_bounded_number_of_dead_letters(jobs: JobDriver) -> None:
    for first in range(0, 1500, 100):
        jobs.enqueue(*(job(str(n), "many", requeue_limit=0) for n in range(first, first + 100)))
        released = [ReleaseJob(TYPE, "many", leased.job_id, leased.lease) for leased in jobs.dequeue()]
        jobs.value(jobs.functions.release(0, TYPE, released, now_us=jobs.now_us))
        jobs.advance(1)
    bury(jobs, "q:1")
    page = jobs.dead_of("q")
    assert (page.jobs, bool(page.scan)) == ([], True)
    assert [letter.job_id for letter in jobs.dead_of("q", page.scan).jobs] == ["1"]
    found: set[str] = set()
    scan = ""
    for _ in range(100):
        page = jobs.dead_of("many", scan)
        found.update(letter.job_id for letter in page.jobs)
        scan = page.scan
        if not scan:
            break
    assert len(found) == 1500


def test_one_dead_letter_is_dropped(jobs: JobDriver) -> None:
    bury(jobs, "q:1", "q:2")
    assert (jobs.drop_one("1"), jobs.drop_one("1"), jobs.drop_one("9")) == (True, False, False)
    assert [letter.job_id for letter in jobs.list_dead().jobs] == ["2"]
    assert (jobs.totals().dead, jobs.totals().cancelled) == (1, 1)
    assert jobs.state("1") is None
    assert_keys_agree(jobs)


def test_a_dropped_dead_letter_leaves_a_live_job_of_its_id_alone(jobs: JobDriver) -> None:
    bury(jobs, "q:1")
    jobs.enqueue(job("1"))
    assert jobs.redrive("1") == [RedriveStatus.DUPLICATE]
    assert jobs.drop_one("1")
    assert jobs.state("1") is JobState.QUEUED
    assert_keys_agree(jobs)


def test_a_late_drop_does_nothing(jobs: JobDriver) -> None:
    bury(jobs, "q:1")
    call = jobs.job_calls.drop_dead_letter(
        0, TYPE, "q", "1", not_after_us=jobs.now_us - 1, now_us=jobs.now_us
    )
    assert jobs.reply(call).is_expired
    assert jobs.state("1") is JobState.DEAD


def test_joint_cancellations_are_those_of_each_partition(client: redis.Redis, prefix: str) -> None:
    """The notes of a partition are named by its own keys, too."""
    drivers = [JobDriver(client, prefix, partitions=2, partition=at) for at in range(2)]
    for driver in drivers:
        driver.enqueue(job("1"))
        fail_one(driver, "no route")
    drivers[0].cancel("1")
    assert (has_notes(drivers[0]), has_notes(drivers[1])) == (False, True)
