"""The trace of a job: kept as a note from the enqueue on, told by leases and reads, and gone with the job."""

from __future__ import annotations

import pytest
import redis
from msgspec import structs

from sharq_core.models import FinishJob, JobState, LeaseStatus, NewJob
from sharq_core.scheduler import arguments
from tests.scheduler.drivers.driver import LEASE_US, SECOND_US, TYPE, execute
from tests.scheduler.drivers.jobs import job
from tests.scheduler.drivers.results import Results
from tests.scheduler.stored.records import assert_keys_agree

TRACE = bytes(range(1, 25)) + b"\x01"
OTHER = bytes(range(2, 26)) + b"\x00" + b"vendor=1"
LONGEST = bytes(range(1, 25)) + b"\x01" + b"x" * 512


@pytest.fixture
def jobs(client: redis.Redis, prefix: str) -> Results:
    """An empty deployment."""
    return Results(client, prefix, 1 << 20)


def trace_of(jobs: Results, job_id: str) -> bytes:
    """The trace that get_job tells."""
    status = jobs.status(job_id)
    assert status is not None
    return status.trace


def has_notes(jobs: Results) -> bool:
    """The type has a key of notes."""
    return bool(jobs.client.exists(jobs.key("notes")))


@pytest.mark.parametrize("trace", [TRACE, OTHER, LONGEST])
def test_each_lease_and_each_read_tells_the_trace_until_the_job_is_finished(
    jobs: Results, trace: bytes
) -> None:
    jobs.enqueue(job("1", trace=trace))
    assert trace_of(jobs, "1") == trace
    assert [row.status.trace for row in jobs.rows(JobState.QUEUED)] == [trace]
    for attempt in (1, 2):
        leased = jobs.lease_one()
        assert (leased.attempt, leased.trace, leased.cost, leased.priority) == (attempt, trace, 1, 5)
        assert trace_of(jobs, "1") == trace
        jobs.advance(LEASE_US)
    leased = jobs.lease_one()
    jobs.finish_all(FinishJob(TYPE, "q", "1", leased.lease))
    assert trace_of(jobs, "1") == b""
    assert not has_notes(jobs)
    assert_keys_agree(jobs)


def test_jobs_with_and_without_a_trace_stand_side_by_side_in_one_call(jobs: Results) -> None:
    traces = [b"", TRACE, b"", OTHER, TRACE]
    new = [job(str(at), trace=trace) for at, trace in enumerate(traces)]
    new[4] = structs.replace(new[4], priority=9, cost=3, batch="b", expires_us=SECOND_US)
    jobs.enqueue(*new)
    leased = jobs.dequeue(10)
    assert [found.trace for found in leased] == traces
    assert [(found.priority, found.cost) for found in leased] == [*[(5, 1)] * 4, (9, 3)]
    assert_keys_agree(jobs)


def test_error_progress_and_trace_stand_beside_each_other(jobs: Results) -> None:
    jobs.enqueue(job("1", trace=TRACE))
    first = jobs.lease_one()
    assert jobs.report("1", first.lease, b"1") is LeaseStatus.DONE
    assert jobs.fail("1", first.lease, "no route") is LeaseStatus.DONE
    status = jobs.status("1")
    assert status is not None and status.error is not None
    assert (status.progress, status.error.text, status.trace) == (b"1", "no route", TRACE)
    assert jobs.lease_one().trace == TRACE


def test_a_dead_letter_keeps_the_trace_and_a_redriven_job_has_it_again(jobs: Results) -> None:
    jobs.enqueue(job("1", requeue_limit=0, trace=OTHER))
    jobs.fail("1", jobs.lease_one().lease, "busy")
    status = jobs.status("1")
    assert status is not None and (status.state, status.trace) == (JobState.DEAD, OTHER)
    assert not has_notes(jobs)
    jobs.redrive("1")
    status = jobs.status("1")
    assert status is not None and (status.state, status.error, status.trace) == (JobState.QUEUED, None, OTHER)
    leased = jobs.lease_one()
    assert (leased.attempt, leased.trace) == (1, OTHER)
    assert_keys_agree(jobs)


def test_a_duplicate_keeps_the_first_trace_and_a_new_job_of_the_id_has_its_own(jobs: Results) -> None:
    jobs.enqueue(job("1", trace=TRACE))
    jobs.enqueue(job("1", trace=OTHER))
    assert trace_of(jobs, "1") == TRACE
    jobs.delete_queue()
    jobs.enqueue(job("1"))
    assert trace_of(jobs, "1") == b""
    jobs.cancel("1")
    assert not has_notes(jobs)
    jobs.enqueue(job("1", trace=OTHER))
    assert trace_of(jobs, "1") == OTHER
    assert_keys_agree(jobs)


def test_a_delayed_job_and_a_changed_one_keep_their_trace(jobs: Results) -> None:
    jobs.enqueue(job("1", delay_us=SECOND_US, trace=TRACE))
    changed = jobs.change("1", payload=b"2", priority=1)
    assert changed.job is not None and changed.job.trace == TRACE
    jobs.advance(SECOND_US)
    leased = jobs.lease_one()
    assert (leased.payload, leased.priority, leased.trace) == (b"2", 1, TRACE)


def test_an_older_node_reads_jobs_with_a_trace_as_ever(
    jobs: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of revision 7 sends other marks, and must find what it knows at the end of its replies."""
    jobs.enqueue(job("1", trace=TRACE), job("2", trace=TRACE, cost=2))
    monkeypatch.setattr(arguments, "KNOWS_CAPS", 3)
    leased = jobs.dequeue(2)
    assert [(found.trace, found.cost, found.priority) for found in leased] == [(b"", 1, 5), (b"", 2, 5)]
    monkeypatch.setattr(arguments, "TELLS_REASON", "2")
    call = jobs.job_calls.get_job(0, TYPE, "q", "1", knows_life=True, now_us=jobs.now_us)
    _, _, _, _, *values = execute(jobs.client, *call.command.words)
    assert len(values) == 6
    assert trace_of(jobs, "1") == b""


def test_a_header_without_a_trace_is_that_of_revision_7() -> None:
    """An older library reads the header of a job without a trace, and does not look at a trace behind the rest."""
    plain = NewJob(TYPE, "q", "1", b"1", -1, 0)
    assert len(arguments.enqueue_header(plain)) == 33
    full = structs.replace(plain, window="w", batch="b", cost=2)
    with_trace = arguments.enqueue_header(structs.replace(full, trace=TRACE))
    without = arguments.enqueue_header(full)
    assert with_trace[33:].removeprefix(without[33:]) == TRACE + b"\x00\x19"
