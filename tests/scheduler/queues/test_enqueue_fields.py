"""Fields of the jobs of one enqueue: each job has its own, also if its neighbours say the same or nothing."""

from __future__ import annotations

from typing import Any

from sharq_core.job_life import Retry
from sharq_core.limits import QueueSettings
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree

POLICY = Retry(1_000, 1.25, 300_000, 0.2)
FIELDS: dict[str, dict[str, Any]] = {
    "0": {},
    "1": {"retry": POLICY},
    "2": {"retry": POLICY},
    "3": {"retry": POLICY, "cost": 7},
    "4": {"cost": 7},
    "5": {"cost": 7, "retry": Retry(2)},
    "6": {"retry": POLICY, "expires_us": HOUR_US},
    "7": {"retry": POLICY, "expires_us": HOUR_US},
    "8": {"retry": POLICY},
    "9": {},
}


def test_jobs_of_one_call_keep_their_own_fields(jobs: JobDriver) -> None:
    jobs.enqueue(*(job(job_id, interval_us=0, **fields) for job_id, fields in FIELDS.items()))
    for job_id, fields in FIELDS.items():
        status = jobs.status(job_id)
        assert status is not None
        assert (status.retry, status.cost) == (fields.get("retry"), fields.get("cost", 1)), job_id
        expires_at_us = jobs.now_us + HOUR_US if "expires_us" in fields else None
        assert status.expires_at_us == expires_at_us, job_id
    assert_keys_agree(jobs)


def test_jobs_of_one_call_have_the_expiry_of_their_own_queue(jobs: JobDriver) -> None:
    jobs.set_queue(QueueSettings(interval_us=0, expires_us=MINUTE_US), "brief")
    both = [
        job(f"{n}", queue_id, interval_us=0, retry=POLICY) for n in range(3) for queue_id in ("q", "brief")
    ]
    jobs.enqueue(*both)
    for each in both:
        status = jobs.status(each.job_id, each.queue_id)
        assert status is not None
        expires_at_us = jobs.now_us + MINUTE_US if each.queue_id == "brief" else None
        assert (status.retry, status.expires_at_us) == (POLICY, expires_at_us)
    assert_keys_agree(jobs)
