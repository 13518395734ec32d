"""The progress of jobs: reported by extends, shown until the end of the job, and kept beside its error."""

from __future__ import annotations

import pytest
import redis

from sharq_core.models import FinishJob, JobState, LeaseStatus
from tests.scheduler.drivers.driver import LEASE_US, TYPE
from tests.scheduler.drivers.jobs import job
from tests.scheduler.drivers.results import Results
from tests.scheduler.stored.records import assert_keys_agree

DONE, NOT_FOUND, LOST = LeaseStatus.DONE, LeaseStatus.NOT_FOUND, LeaseStatus.LOST


@pytest.fixture
def results(client: redis.Redis, prefix: str) -> Results:
    """An empty deployment."""
    return Results(client, prefix, 1 << 20)


def test_an_extend_reports_progress_that_get_job_and_lists_show(results: Results) -> None:
    results.enqueue(job("1"))
    lease = results.lease_one().lease
    results.advance(5)
    assert results.report("1", lease, b'{"done":10}') is DONE
    at_us = results.now_us
    results.advance(5)
    status = results.status("1")
    assert status is not None
    assert (status.state, status.progress, status.progress_at_us) == (JobState.LEASED, b'{"done":10}', at_us)
    assert [(row.status.progress, row.status.error) for row in results.rows(JobState.LEASED)] == [
        (b'{"done":10}', None)
    ]
    assert results.report("1", lease, b"20") is DONE
    assert results.report("1", lease, b"") is DONE
    status = results.status("1")
    assert status is not None and (status.progress, status.progress_at_us) == (b"20", results.now_us)
    assert results.finish_all(FinishJob(TYPE, "q", "1", lease, result=b'"end"'))[0].result_kept
    status = results.status("1")
    assert status is not None and (status.progress, status.result) == (None, b'"end"')
    assert results.client.exists(results.key("notes")) == 0
    assert_keys_agree(results)


def test_progress_and_error_of_a_job_stand_beside_each_other(results: Results) -> None:
    results.enqueue(job("1", requeue_limit=1))
    first = results.lease_one()
    results.report("1", first.lease, b"1")
    assert results.fail("1", first.lease, "no route") is DONE
    second = results.lease_one()
    status = results.status("1")
    assert status is not None and status.error is not None
    assert (status.progress, status.error.text) == (b"1", "no route")
    results.report("1", second.lease, b"2")
    results.fail("1", second.lease, "busy")
    status = results.status("1")
    assert status is not None and status.error is not None
    assert (status.state, status.progress, status.error.text) == (JobState.DEAD, b"2", "busy")
    assert_keys_agree(results)
    results.redrive("1")
    status = results.status("1")
    assert status is not None and (status.state, status.progress, status.error) == (
        JobState.QUEUED,
        None,
        None,
    )


def test_progress_of_a_lost_lease_changes_nothing(results: Results) -> None:
    results.enqueue(job("1"))
    late = results.lease_one().lease
    results.advance(LEASE_US)
    results.lease_one()
    assert results.report("1", late, b"1") is LOST
    assert results.report("2", late, b"1") is NOT_FOUND
    status = results.status("1")
    assert status is not None and status.progress is None
    assert results.client.exists(results.key("notes")) == 0


def test_a_change_of_a_waiting_job_tells_its_progress(results: Results) -> None:
    results.enqueue(job("1"))
    held = results.lease_one()
    results.report("1", held.lease, b"1")
    results.release("1", held.lease)
    changed = results.change("1", priority=2).status
    assert changed is not None
    job_after = results.change("1", cost=3).job
    assert job_after is not None and job_after.progress == b"1"
