"""The life of jobs over HTTP beside the plain-Python model: what a person does with single jobs, in any order.

Jobs have priorities, expiries, retry policies and costs. As in test_machine_http.py, no time comes in a test's life.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, precondition, rule, run_state_machine_as_test
from msgspec import UNSET, structs

from sharq_core.job_changes import CancelJob, CancelStatus, ChangeStatus, JobChange
from sharq_core.job_life import DeadRef, OnExpiry, RedriveStatus, Retry
from sharq_core.models import EnqueueStatus, ExtendJob, JobState, JobStatus, LeaseStatus, NewJob, ReleaseJob
from tests.chaos.test_machine_http import JOB_IDS, JOBS, QUEUE, HttpMachine, Lease, server, settings_of_run
from tests.scheduler.drivers.driver import DAY_US, HOUR_US
from tests.support.processes.servers import SharqServer

__all__ = ["server"]

RETRY = Retry(86_400_000, 1, 86_400_000)
LIVES = st.fixed_dictionaries(
    {
        "priority": st.sampled_from([1, 5, 5, 9]),
        "cost": st.sampled_from([1, 1, 3]),
        "expires_us": st.sampled_from([None, 2 * DAY_US]),
        "on_expiry": st.sampled_from([None, OnExpiry.DROP, OnExpiry.DEAD]),
        "retry": st.sampled_from([None, RETRY]),
    }
)
CHANGES = st.builds(
    JobChange,
    payload=st.sampled_from([UNSET, b"2"]),
    priority=st.sampled_from([UNSET, 1, 5, 9]),
    cost=st.sampled_from([UNSET, 1, 3]),
    delay_us=st.sampled_from([UNSET, UNSET, 0, DAY_US]),
    expires_us=st.sampled_from([UNSET, UNSET, None, HOUR_US, 2 * DAY_US]),
).filter(lambda change: change != JobChange())
IDS = st.sampled_from(JOB_IDS)
STATES = (JobState.QUEUED, JobState.DELAYED, JobState.LEASED)

CANCEL_CODES = {CancelStatus.NOT_FOUND: "not_found", CancelStatus.LEASED: "leased"}
CHANGE_CODES = {
    ChangeStatus.DONE: None,
    ChangeStatus.NOT_FOUND: "not_found",
    ChangeStatus.NOT_WAITING: "not_waiting",
    ChangeStatus.EXPIRES_EARLY: "invalid_request",
}
REDRIVE_CODES = {
    RedriveStatus.QUEUED: None,
    RedriveStatus.DUPLICATE: "duplicate",
    RedriveStatus.NOT_FOUND: "not_found",
}


def in_ms(us: int | None) -> int | None:
    return None if us is None else us // 1000


class LifeMachine(HttpMachine):
    """The machine of test_machine_http.py with everything that may become of a single job."""

    refusals = frozenset({400, 404, 409})

    @rule(job=JOBS, life=LIVES)
    def enqueue_with_a_life(self, job: NewJob, life: dict[str, Any]) -> None:
        job = structs.replace(job, **life)
        (wanted,) = self._model().enqueue([job])
        (found,) = self._ask("POST", "/enqueue/", {"jobs": [self._life_body(job)]})["results"]
        codes = {EnqueueStatus.FULL: "queue_full", EnqueueStatus.NO_INTERVAL: "invalid_request"}
        assert found.get("code") == codes.get(wanted.status)
        assert found.get("duplicate", False) == (wanted.status is EnqueueStatus.DUPLICATE)

    @rule(held=st.lists(Bundle("leases"), min_size=1, max_size=3))
    def extend(self, held: list[Lease]) -> None:
        refs = [ExtendJob(self.kind, QUEUE, job_id, token, DAY_US) for job_id, _, token in held]
        jobs = [
            {
                "queue_type": self.kind,
                "queue_id": QUEUE,
                "job_id": job_id,
                "lease": lease,
                "by": in_ms(DAY_US),
            }
            for job_id, lease, _ in held
        ]
        codes = {LeaseStatus.DONE: None, LeaseStatus.NOT_FOUND: "not_found", LeaseStatus.LOST: "lease_lost"}
        results = self._ask("POST", "/extend/", {"jobs": jobs})["results"]
        wanted = [codes[answer.status] for answer in self._model().extend(refs)]
        assert [one.get("code") for one in results] == wanted

    @rule(
        held=Bundle("leases"),
        delay_us=st.sampled_from([None, 0, DAY_US]),
        counts=st.booleans(),
        error=st.sampled_from(["", "busy"]),
    )
    def release_with_a_report(self, held: Lease, delay_us: int | None, counts: bool, error: str) -> None:
        job_id, lease, token = held
        ref = ReleaseJob(
            self.kind,
            QUEUE,
            job_id,
            token,
            delay_us or 0,
            counts=counts,
            error=error,
            retries=delay_us is None,
        )
        body = {"lease": lease, "delay": in_ms(delay_us), "count": counts, "error": error or None}
        body = {name: value for name, value in body.items() if value is not None}
        answer = self._ask("POST", f"/release/{self.kind}/{QUEUE}/{job_id}/", body)
        codes = {LeaseStatus.DONE: None, LeaseStatus.NOT_FOUND: "not_found", LeaseStatus.LOST: "lease_lost"}
        assert answer.get("code") == codes[self._model().release([ref])[0].status]

    @rule(job_id=IDS, force=st.booleans())
    def cancel(self, job_id: str, force: bool) -> None:
        path = f"/job/{self.kind}/{QUEUE}/{job_id}/{'?force=true' if force else ''}"
        answer = self._ask("DELETE", path)
        (wanted,) = self._model().cancel([CancelJob(self.kind, QUEUE, job_id, force)])
        assert answer.get("code") == CANCEL_CODES.get(wanted.status)
        assert answer.get("was") == (wanted.was and wanted.was.value)

    @rule(job_id=IDS, change=CHANGES)
    def change(self, job_id: str, change: JobChange) -> None:
        body = {
            "payload": UNSET if change.payload is UNSET else json.loads(change.payload),
            "priority": change.priority,
            "cost": change.cost,
            "delay": UNSET if change.delay_us is UNSET else in_ms(change.delay_us),
            "expires": UNSET if change.expires_us is UNSET else in_ms(change.expires_us),
        }
        body = {name: value for name, value in body.items() if value is not UNSET}
        answer = self._ask("PATCH", f"/job/{self.kind}/{QUEUE}/{job_id}/", body)
        wanted = self._model().change_job((QUEUE, job_id), change)
        assert answer.get("code") == CHANGE_CODES[wanted.status]
        if wanted.job:
            assert shown(answer) == told(wanted.job)

    @rule(prefix=st.sampled_from(["", "1", "3"]))
    def cancel_matching(self, prefix: str) -> None:
        answer = self._ask("POST", f"/queue/{self.kind}/{QUEUE}/cancel/", {"prefix": prefix})
        assert answer["cancelled"] == self._model().cancel_matching(QUEUE, prefix)

    @precondition(lambda self: self.model.state.letters)
    @rule(job_id=IDS)
    def redrive(self, job_id: str) -> None:
        answer = self._ask("POST", f"/dead/{self.kind}/{QUEUE}/{job_id}/redrive/")
        (wanted,) = self._model().redrive([DeadRef(self.kind, QUEUE, job_id)])
        assert answer.get("code") == REDRIVE_CODES[wanted]

    @precondition(lambda self: self.model.state.letters)
    @rule(job_id=IDS)
    def drop_dead_letter(self, job_id: str) -> None:
        answer = self._ask("DELETE", f"/dead/{self.kind}/{QUEUE}/{job_id}/")
        assert (answer["status"] == "success") == self._model().drop_dead_letter((QUEUE, job_id))

    @invariant()
    def jobs_and_lists_say_what_the_model_says(self) -> None:
        for job_id in JOB_IDS:
            wanted = self.model.get_job((QUEUE, job_id))
            if wanted is not None:
                assert shown(self._ask("GET", f"/job/{self.kind}/{QUEUE}/{job_id}/")) == told(wanted)
        for state in STATES:
            path = f"/queue/{self.kind}/{QUEUE}/jobs/?state={state.value}"
            found = [job["job_id"] for job in self._ask("GET", path)["jobs"]]
            rows = [row.job_id for row in self.model.list_jobs(QUEUE, state, "")]
            assert (sorted if state is JobState.LEASED else list)(found) == (
                sorted(rows) if state is JobState.LEASED else rows
            )
        letters = [letter["job_id"] for letter in self._ask("GET", f"/dead/{self.kind}/")["jobs"]]
        assert letters == [letter.job_id for letter in self.model.list_dead("", 100).jobs]

    def _life_body(self, job: NewJob) -> dict[str, object]:
        retry = job.retry and {
            "delay": job.retry.delay_ms,
            "factor": job.retry.factor,
            "max": job.retry.max_ms,
        }
        life = {
            "priority": job.priority,
            "cost": job.cost,
            "expires": in_ms(job.expires_us),
            "on_expiry": job.on_expiry and job.on_expiry.value,
            "retry": retry,
        }
        return {**self._body(job), **{name: value for name, value in life.items() if value is not None}}


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer says of a job, apart from times."""
    times = ("expires_at", "delayed_until", "lease_expires_at", "dead_at")
    names = (
        "state",
        "attempt",
        "payload",
        "priority",
        "cost",
        "requeue_limit",
        "position",
        "on_expiry",
        "reason",
    )
    errors = ("error", "error_attempt")
    return {
        **{name: answer.get(name) for name in (*names, *errors)},
        **{name: name in answer for name in times},
        "waits_before_retry": answer.get("retry", {}).get("delay"),
    }


def told(status: JobStatus) -> dict[str, Any]:
    """Return the same of the model's job. A job that is only remembered has no more than its state and attempts."""
    is_remembered = status.payload is None
    error = status.error
    return {
        "state": status.state.value,
        "attempt": status.attempt,
        "payload": None if status.payload is None else json.loads(status.payload),
        "priority": None if is_remembered else status.priority,
        "cost": None if is_remembered else status.cost,
        "requeue_limit": None if is_remembered else status.requeue_limit,
        "position": status.position,
        "on_expiry": status.on_expiry and status.on_expiry.value,
        "reason": status.reason and status.reason.value,
        "error": error and error.text,
        "error_attempt": error and error.attempt,
        "expires_at": status.expires_at_us is not None,
        "delayed_until": status.delayed_until_us is not None,
        "lease_expires_at": status.lease_expires_at_us is not None,
        "dead_at": status.dead_at_us is not None,
        "waits_before_retry": status.retry and status.retry.delay_ms,
    }


@pytest.mark.timeout(600)
def test_the_whole_server_lets_jobs_live_as_the_model(server: SharqServer) -> None:
    numbers = itertools.count()

    class Machine(LifeMachine):
        """Each example has a queue type of its own."""

        def __init__(self) -> None:
            super().__init__(server.url, f"l{next(numbers)}")

    run_state_machine_as_test(
        Machine,
        settings=settings_of_run(quick_examples=40),
    )
