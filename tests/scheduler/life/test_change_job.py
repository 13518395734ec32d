"""Changes of waiting jobs: what they keep, what they refuse, and how they race with leases and expiry."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.job_changes import ChangeStatus, JobChange
from sharq_core.job_life import OnExpiry, Retry
from sharq_core.limits import MAX_COST, QueueSettings
from sharq_core.models import JobState, JobStatus
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, SECOND_US, TYPE
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree

DONE, NOT_FOUND = ChangeStatus.DONE, ChangeStatus.NOT_FOUND
NOT_WAITING, EARLY = ChangeStatus.NOT_WAITING, ChangeStatus.EXPIRES_EARLY


def changed(driver: JobDriver, job_id: str, **fields: Any) -> JobStatus:
    """Change a job; returns its status."""
    answer = driver.change(job_id, **fields)
    assert (answer.status, answer.job) == (DONE, driver.status(job_id))
    assert answer.job is not None
    assert_keys_agree(driver)
    return answer.job


def test_a_change_of_nothing_keeps_everything(jobs: JobDriver) -> None:
    jobs.enqueue(job("0"), job("1", cost=3, priority=2, expires_us=HOUR_US, retry=Retry(5)))
    jobs.advance(SECOND_US)
    before = jobs.status("1")
    assert changed(jobs, "1") == before


def test_a_new_payload_keeps_the_place(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    status = changed(jobs, "1", payload=b'{"b":[2]}')
    assert (status.payload, status.position) == (b'{"b":[2]}', 1)
    assert jobs.dequeue()[0].payload == b'{"b":[2]}'


def test_a_new_cost_counts_at_the_lease(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", interval_us=SECOND_US), job("2", interval_us=SECOND_US))
    assert changed(jobs, "1", cost=7).cost == 7
    jobs.dequeue(lease_us=DAY_US)
    assert jobs.get_queue().next_ready_in_us == 7 * SECOND_US
    assert changed(jobs, "2", cost=MAX_COST).cost == MAX_COST
    assert changed(jobs, "2", cost=1).cost == 1


def test_a_new_cost_is_not_compared_with_what_the_last_lease_took(jobs: JobDriver) -> None:
    """The lease took three slots. A late report of three must not give any back."""
    jobs.enqueue(job("1", interval_us=HOUR_US, cost=3))
    lease = jobs.lease_one().lease
    jobs.advance(LEASE_US)
    jobs.reap()
    changed(jobs, "1", cost=MAX_COST)
    before = jobs.get_queue().next_ready_in_us
    jobs.release("1", lease, cost=3)
    assert jobs.get_queue().next_ready_in_us == before


def test_a_new_priority_keeps_the_order_of_enqueues(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(str(n)) for n in range(4)))
    for job_id in ("3", "2"):
        assert changed(jobs, job_id, priority=1).priority == 1
    changed(jobs, "0", priority=9)
    assert jobs.dequeue_ids() == ["2", "3", "1", "0"]


def test_a_new_delay_gives_a_new_place(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2"))
    status = changed(jobs, "1", delay_us=MINUTE_US)
    assert (status.state, status.delayed_until_us) == (JobState.DELAYED, jobs.now_us + MINUTE_US)
    jobs.enqueue(job("3"))
    assert jobs.dequeue_ids(1) == ["2"]
    changed(jobs, "1", delay_us=0)
    assert jobs.dequeue_ids() == ["3", "1"]


def test_a_time_is_that_of_the_store(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", delay_us=DAY_US))
    at_us = jobs.now_us + HOUR_US
    assert changed(jobs, "1", at_us=at_us).delayed_until_us == at_us
    jobs.advance(HOUR_US)
    assert jobs.dequeue_ids() == ["1"]
    jobs.enqueue(job("2", delay_us=DAY_US))
    assert changed(jobs, "2", at_us=jobs.now_us - DAY_US).state is JobState.QUEUED


def test_a_time_means_the_same_after_a_step_of_the_clock(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    jobs.advance(-DAY_US)
    at_us = jobs.now_us + HOUR_US
    status = changed(jobs, "1", at_us=at_us, expires_at_us=at_us + 1)
    assert (status.delayed_until_us, status.expires_at_us) == (at_us, at_us + 1)
    jobs.advance(HOUR_US - 1)
    assert jobs.dequeue() == []
    jobs.advance(1)
    assert jobs.dequeue_ids() == ["1"]


def test_an_expiry_counts_from_the_change(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"), job("2", expires_us=HOUR_US))
    jobs.advance(MINUTE_US)
    assert changed(jobs, "1", expires_us=SECOND_US).expires_at_us == jobs.now_us + SECOND_US
    assert changed(jobs, "2", expires_at_us=jobs.now_us + 5).expires_at_us == jobs.now_us + 5
    assert changed(jobs, "2", expires_us=None).expires_at_us is None
    jobs.advance(SECOND_US)
    assert jobs.dequeue_ids() == ["2"]
    assert jobs.state("1") is JobState.DEAD
    assert_keys_agree(jobs)


def test_a_shorter_expiry_is_swept_in_time(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", expires_us=DAY_US))
    jobs.pause(True)
    changed(jobs, "1", expires_us=SECOND_US)
    jobs.advance(SECOND_US)
    jobs.reap()
    assert jobs.state("1") is JobState.DEAD
    assert_keys_agree(jobs)


def test_a_first_expiry_has_the_fate_of_the_queue_and_a_later_one_keeps_it(jobs: JobDriver) -> None:
    jobs.set_queue(QueueSettings(on_expiry=OnExpiry.DROP))
    jobs.enqueue(job("1"), job("2", expires_us=HOUR_US, on_expiry=OnExpiry.DEAD))
    assert changed(jobs, "1", expires_us=HOUR_US).on_expiry is OnExpiry.DROP
    assert changed(jobs, "2", expires_us=DAY_US).on_expiry is OnExpiry.DEAD
    assert changed(jobs, "1", expires_us=None).on_expiry is None


@pytest.mark.parametrize(
    "fields",
    [
        {"at_us": "late"},
        {"delay_us": HOUR_US},
        {"expires_us": MINUTE_US, "delay_us": MINUTE_US},
        {"expires_at_us": 5},
        {"expires_at_us": 0},
    ],
)
def test_a_job_that_would_expire_before_it_is_due_stays_as_it_is(
    jobs: JobDriver, fields: dict[str, Any]
) -> None:
    jobs.enqueue(job("1", expires_us=HOUR_US))
    before = jobs.status("1")
    fields = {name: jobs.now_us + HOUR_US if value == "late" else value for name, value in fields.items()}
    assert jobs.changes("1", payload=b"2", **fields) is EARLY
    assert jobs.status("1") == before
    assert_keys_agree(jobs)


def test_an_expiry_before_the_end_of_a_delay_is_refused(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", delay_us=HOUR_US))
    assert jobs.changes("1", expires_us=HOUR_US) is EARLY
    assert jobs.changes("1", expires_us=HOUR_US + 1) is DONE
    assert jobs.changes("1", expires_us=MINUTE_US, delay_us=0) is DONE


def test_only_a_waiting_job_is_changed(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(str(n), requeue_limit=0) for n in range(5)))
    leased = {job.job_id: job.lease for job in jobs.dequeue(2)}
    assert jobs.changes("0", payload=b"2") is NOT_WAITING
    jobs.finish("0", leased["0"])
    jobs.release("1", leased["1"])
    jobs.cancel("2")
    jobs.delete_queue(limit=0)
    found = {job_id: jobs.changes(job_id, payload=b"2") for job_id in ("0", "1", "2", "3", "9")}
    assert found == {"0": NOT_WAITING, "1": NOT_WAITING, "2": NOT_WAITING, "3": NOT_FOUND, "9": NOT_FOUND}
    assert jobs.changes("0", "unknown") is NOT_FOUND
    assert_keys_agree(jobs)


@pytest.mark.parametrize("fate", OnExpiry)
def test_an_expired_job_is_not_waiting_before_and_after_the_sweep(jobs: JobDriver, fate: OnExpiry) -> None:
    jobs.enqueue(job("1", expires_us=SECOND_US, on_expiry=fate))
    jobs.pause(True)
    jobs.advance(SECOND_US)
    for _ in range(2):
        assert jobs.changes("1", expires_us=HOUR_US) is NOT_WAITING
        jobs.reap()
    assert jobs.state("1") is (JobState.DEAD if fate is OnExpiry.DEAD else JobState.EXPIRED)
    assert_keys_agree(jobs)


def test_a_lease_that_ended_still_acts_on_a_changed_job(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    lease = jobs.lease_one().lease
    jobs.advance(LEASE_US)
    jobs.reap()
    status = changed(jobs, "1", payload=b"2", priority=3)
    assert status.attempt == 1
    assert jobs.finish("1", lease) == 0
    assert_keys_agree(jobs)


def test_a_changed_job_keeps_its_error_and_its_token(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", cost=2))
    jobs.fail("1", jobs.lease_one().lease, "no route")
    status = changed(jobs, "1", delay_us=HOUR_US, expires_us=DAY_US, cost=1, payload=b"3")
    assert status.error is not None and status.error.text == "no route"


def test_a_change_makes_a_queue_ready_or_not(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    changed(jobs, "1", delay_us=HOUR_US)
    assert jobs.dequeue() == []
    call = jobs.job_calls.change_job(0, TYPE, "q", "1", JobChange(delay_us=0), now_us=jobs.now_us)
    assert jobs.reply(call).hint.ready_us == jobs.now_us
    assert jobs.dequeue_ids() == ["1"]


def test_a_late_change_does_nothing(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    call = jobs.job_calls.change_job(
        0, TYPE, "q", "1", JobChange(payload=b"2"), not_after_us=jobs.now_us - 1, now_us=jobs.now_us
    )
    assert jobs.reply(call).is_expired
    status = jobs.status("1")
    assert status is not None and status.payload == b'{"a":1}'


def test_a_job_with_every_field_at_its_largest(jobs: JobDriver) -> None:
    """The length of a job's header is one byte; a longer one would wrap silently."""
    at_us = jobs.now_us + 300 * 365 * DAY_US
    retry = Retry(2_592_000_000, 10, 2_592_000_000, 1)
    fields: dict[str, Any] = {
        "cost": MAX_COST,
        "expires_at_us": at_us,
        "on_expiry": OnExpiry.DROP,
        "retry": retry,
    }
    jobs.enqueue(job("1", priority=9, requeue_limit=2**31 - 1, payload=b'"' + b"x" * 70_000 + b'"', **fields))
    jobs.fail("1", jobs.lease_one(lease_us=DAY_US).lease, "é" * 1024)
    status = jobs.status("1")
    assert status is not None and status.payload is not None and status.error is not None
    assert (status.cost, status.expires_at_us, status.on_expiry, status.retry) == tuple(fields.values())
    assert (status.priority, status.requeue_limit, len(status.payload)) == (9, 2**31 - 1, 70_002)
    assert (status.error.text, status.error.attempt) == ("é" * 1024, 1)
    raw = jobs.client.hget(jobs.key("jobs"), "q:1")
    assert isinstance(raw, bytes) and raw[1] == len(raw) - 70_002 == 34 + 16 + 1 + 4 + 7 + 11
    assert_keys_agree(jobs)
