"""Lists of the jobs of a queue: their order, their pages, and what each page costs at most."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.errors import InvalidRequest
from sharq_core.job_life import OnExpiry, Retry
from sharq_core.models import JobState
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, execute
from tests.scheduler.drivers.jobs import JobDriver, job

QUEUED, DELAYED, LEASED = JobState.QUEUED, JobState.DELAYED, JobState.LEASED
WAITING = (QUEUED, DELAYED)
LIMITS = [1, 7, 100]


@pytest.mark.parametrize("limit", LIMITS)
def test_queued_jobs_come_in_the_order_in_which_they_leave(jobs: JobDriver, limit: int) -> None:
    jobs.enqueue(*(job(f"{n}", priority=1 + n * 7 % 9) for n in range(90)), job("late", delay_us=HOUR_US))
    jobs.enqueue(job("other", "p"), job("other", "r"))
    found = jobs.ids(QUEUED, limit=limit)
    assert found == sorted(map(str, range(90)), key=lambda name: (int(name) * 7 % 9, int(name)))
    jobs.pause(True, "p")
    jobs.pause(True, "r")
    assert jobs.dequeue_ids() == found


@pytest.mark.parametrize("limit", LIMITS)
def test_delayed_jobs_come_in_the_order_of_their_enqueues(jobs: JobDriver, limit: int) -> None:
    jobs.enqueue(*(job(str(n), delay_us=DAY_US - n, priority=1 + n % 9) for n in range(30)), job("now"))
    assert jobs.ids(DELAYED, limit=limit) == [str(n) for n in range(30)]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("others", [0, 300], ids=["a-small-set-of-timers", "a-large-one"])
def test_leased_jobs_are_all_listed(jobs: JobDriver, limit: int, others: int) -> None:
    jobs.enqueue(*(job(f"{n}") for n in range(40)))
    jobs.dequeue(30)
    for first in range(0, others, 100):
        jobs.enqueue(*(job(f"{n}", "p", delay_us=DAY_US) for n in range(first, first + 100)))
    found = jobs.ids(LEASED, limit=limit)
    assert (len(found), set(found)) == (30, {str(n) for n in range(30)})


def test_a_job_leased_throughout_is_listed_while_others_come_and_go(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(f"stay{n}") for n in range(60)))
    jobs.dequeue(60)
    found: set[str] = set()
    page = jobs.page(LEASED, limit=5)
    for round_number in range(40):
        found.update(row.job_id for row in page.jobs)
        if not page.scan:
            break
        jobs.enqueue(*(job(f"go{round_number}-{n}", "p", delay_us=DAY_US) for n in range(50)))
        page = jobs.page(LEASED, page.scan, limit=5)
    while page.scan:
        page = jobs.page(LEASED, page.scan, limit=5)
        found.update(row.job_id for row in page.jobs)
    assert found == {f"stay{n}" for n in range(60)}


def test_a_prefix_selects_in_every_state(jobs: JobDriver) -> None:
    jobs.enqueue(job("a1"), job("b1"), job("ab"), job("a2", priority=9))
    jobs.enqueue(*(job(f"{name}-late", delay_us=HOUR_US) for name in ("a", "b")))
    assert jobs.ids(QUEUED, prefix="a") == ["a1", "ab", "a2"]
    assert jobs.ids(DELAYED, prefix="a") == ["a-late"]
    jobs.dequeue()
    assert jobs.ids(LEASED, prefix="a") == ["a1", "a2", "ab"]
    assert jobs.ids(LEASED, prefix="*") == []


def test_a_page_looks_at_a_bounded_number_of_jobs(jobs: JobDriver) -> None:
    for first in range(0, 1500, 100):
        jobs.enqueue(*(job(f"{n:04}", delay_us=n % 2) for n in range(first, first + 100)))
    jobs.advance(1)
    jobs.reap(1000)
    page = jobs.page(QUEUED, prefix="14")
    assert (page.jobs, bool(page.scan)) == ([], True)
    assert jobs.ids(QUEUED, prefix="14") == [f"14{n:02}" for n in range(100)]


def test_a_page_of_leased_jobs_looks_at_a_bounded_number_of_timers(jobs: JobDriver) -> None:
    for first in range(0, 3000, 100):
        jobs.enqueue(*(job(f"{n:04}", delay_us=DAY_US) for n in range(first, first + 100)))
    jobs.enqueue(job("9"))
    jobs.dequeue()
    steps = 1
    page = jobs.page(LEASED)
    while page.scan:
        page = jobs.page(LEASED, page.scan)
        steps += 1
    assert 3 <= steps <= 9
    assert jobs.ids(LEASED) == ["9"]


@pytest.mark.parametrize("state", [QUEUED, LEASED])
def test_a_page_ends_after_some_bytes(jobs: JobDriver, state: JobState) -> None:
    payload = b'"' + b"x" * 100_000 + b'"'
    jobs.enqueue(*(job(str(n), payload=payload) for n in range(9)))
    if state is LEASED:
        jobs.dequeue_reply(9, max_bytes=1 << 30)
    assert len(jobs.page(state).jobs) == 3
    assert jobs.ids(state) == [str(n) for n in range(9)]


def test_a_page_of_a_large_set_of_timers_ends_after_some_bytes(jobs: JobDriver) -> None:
    payload = b'"' + b"x" * 100_000 + b'"'
    for first in range(0, 300, 20):
        jobs.enqueue(*(job(str(n), payload=payload) for n in range(first, first + 20)))
        jobs.dequeue_reply(20, max_bytes=1 << 30)
    assert len(jobs.page(LEASED).jobs) < 30
    assert set(jobs.ids(LEASED)) == {str(n) for n in range(300)}


@pytest.mark.parametrize("state", WAITING)
def test_jobs_of_a_deleted_queue_are_not_listed(jobs: JobDriver, state: JobState) -> None:
    delay_us = HOUR_US if state is DELAYED else 0
    jobs.enqueue(*(job(f"old{n}", priority=1 + n % 9, delay_us=delay_us) for n in range(50)))
    jobs.delete_queue(limit=1)
    jobs.enqueue(*(job(f"new{n}", priority=1 + n % 3, delay_us=delay_us) for n in range(6)))
    expected = [f"new{n}" for n in ((0, 3, 1, 4, 2, 5) if state is QUEUED else range(6))]
    for _ in range(2):
        for limit in LIMITS:
            assert jobs.ids(state, limit=limit) == expected
        jobs.reap()


def test_a_row_says_all_that_is_known_of_a_job(jobs: JobDriver) -> None:
    life: dict[str, Any] = {"expires_us": DAY_US, "on_expiry": OnExpiry.DROP, "cost": 3}
    life["retry"] = Retry(5, 1.5, 9, 0.25)
    jobs.enqueue(job("1", priority=2, requeue_limit=4, **life))
    (row,) = jobs.rows(QUEUED)
    status = jobs.status("1")
    assert status is not None
    assert (row.job_id, row.status.position, status.position) == ("1", None, 1)
    assert (row.status.state, row.status.payload, row.status.attempt) == (QUEUED, b'{"a":1}', 0)
    assert (row.status.expires_at_us, row.status.on_expiry) == (jobs.now_us + DAY_US, OnExpiry.DROP)
    assert (row.status.retry, row.status.cost, row.status.priority) == (life["retry"], 3, 2)
    assert row.status.requeue_limit == 4
    jobs.release("1", jobs.lease_one().lease, MINUTE_US)
    (row,) = jobs.rows(DELAYED)
    assert row.status == jobs.status("1")
    assert (row.status.delayed_until_us, row.status.attempt) == (jobs.now_us + MINUTE_US, 1)
    jobs.advance(MINUTE_US)
    jobs.lease_one()
    (row,) = jobs.rows(LEASED)
    assert row.status.lease_expires_at_us == jobs.now_us + LEASE_US
    assert row.status == jobs.status("1")


def test_times_are_those_of_the_store_after_a_step_of_the_clock(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", delay_us=HOUR_US, expires_us=DAY_US))
    jobs.advance(-DAY_US)
    (row,) = jobs.rows(DELAYED)
    assert row.status == jobs.status("1")
    assert row.status.delayed_until_us == jobs.now_us + HOUR_US
    assert row.status.expires_at_us == jobs.now_us + DAY_US


def test_an_unknown_queue_has_no_jobs(jobs: JobDriver) -> None:
    assert [jobs.ids(state, queue_id="unknown") for state in (QUEUED, DELAYED, LEASED)] == [[], [], []]
    assert jobs.store_keys() == set()


@pytest.mark.parametrize("scan", ["1", "128", "0.5", "128.x", "128.٣", "300.1", "-1.1", "٣.1", "0.1"])
def test_a_cursor_of_nobody_is_refused(jobs: JobDriver, scan: str) -> None:
    jobs.enqueue(job("1"))
    for list_or_cancel in (lambda: jobs.page(QUEUED, scan), lambda: jobs.cancel_step("", scan)):
        with pytest.raises(InvalidRequest, match="cursor"):
            list_or_cancel()


@pytest.mark.parametrize(("state", "scan"), [(QUEUED, "255.1"), (DELAYED, "128.1")])
def test_a_cursor_of_another_state_is_refused(jobs: JobDriver, state: JobState, scan: str) -> None:
    jobs.enqueue(job("1"), job("2", delay_us=HOUR_US))
    with pytest.raises(InvalidRequest, match="cursor"):
        jobs.page(state, scan)


@pytest.mark.parametrize("scan", ["1", "x.", "99999999999999999999.", "-1."])
def test_a_cursor_of_leased_jobs_of_nobody_is_refused(jobs: JobDriver, scan: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        jobs.page(LEASED, scan)


def test_a_list_runs_on_a_replica(jobs: JobDriver) -> None:
    jobs.enqueue(job("1"))
    for state in (QUEUED, DELAYED, LEASED):
        call = jobs.job_calls.list_jobs(0, jobs.queue_type, "q", state, 10, "", "")
        assert execute(jobs.client, b"FCALL_RO", *call.command.words[1:])[0] == 0
