"""Runs the calls about the results and the progress of jobs on a real store."""

from __future__ import annotations

import redis

from sharq_core.models import ExtendJob, FinishJob, JobState, LeaseOutcome, LeaseStatus
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, TYPE
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.outputs import parse_book, parse_results
from tests.scheduler.stored.records import read_raw

RETENTION_US = 5 * MINUTE_US


class Results(JobDriver):
    """One type of a deployment whose results have a bound."""

    def __init__(self, client: redis.Redis, prefix: str, result_bytes: int) -> None:
        super().__init__(client, prefix, retention=Retention(RETENTION_US, DAY_US, result_bytes=result_bytes))

    def finish_all(self, *jobs: FinishJob) -> list[LeaseOutcome]:
        """Finish jobs in one call."""
        call = self.functions.finish(self.partition, self.queue_type, jobs, now_us=self.now_us)
        return self.value(call)

    def done(self, job_id: str, result: bytes) -> bool | None:
        """Enqueue, lease and finish a job; returns whether its result is kept."""
        self.enqueue(job(job_id))
        (outcome,) = self.finish_all(FinishJob(TYPE, "q", job_id, self.lease_one().lease, result=result))
        assert outcome.status is LeaseStatus.DONE
        return outcome.result_kept

    def result(self, job_id: str) -> bytes | None:
        """The result that is shown of a finished job."""
        status = self.status(job_id)
        assert status is not None and status.state is JobState.FINISHED
        return status.result

    def report(self, job_id: str, lease: str, progress: bytes) -> LeaseStatus:
        """Extend a lease with a progress."""
        jobs = [ExtendJob(TYPE, "q", job_id, lease, LEASE_US, progress)]
        return self.value(self.functions.extend(0, TYPE, jobs, now_us=self.now_us))[0].status

    def trim(self, limit: int = 1000) -> None:
        """Drop results that are too old or too many."""
        self.reply(self.functions.results.trim(0, limit=limit, now_us=self.now_us))

    def held(self) -> dict[str, bytes]:
        """All results in the store, by job id; checks that the keys and the count of bytes agree."""
        return {name.rsplit(":", 1)[1]: text for name, text in parse_results(read_raw(self)).items()}

    def book(self) -> tuple[int, int, int]:
        """The bytes, the number of results dropped for their memory, and the time of the oldest (µs)."""
        return parse_book(read_raw(self)["counters"].get(b":results"))
