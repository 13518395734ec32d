"""Runs the calls about single jobs on a real store, beside those of their queues (driver.py)."""

from __future__ import annotations

from typing import Any

import msgspec

from sharq_core.job_changes import (
    CancelJob,
    CancelOutcome,
    CancelPage,
    ChangedJob,
    ChangeStatus,
    JobChange,
    JobPage,
    JobRow,
)
from sharq_core.job_life import DeadPage
from sharq_core.models import JobState, JobStatus, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import MAX_BATCH
from tests.scheduler.drivers.driver import HOUR_US, TYPE, Driver, new_job


def job(job_id: str, queue_id: str = "q", *, queue_type: str = TYPE, **life: Any) -> NewJob:
    """A job of a queue without a rate, with some fields of its life."""
    return msgspec.structs.replace(new_job(job_id, queue_id, queue_type=queue_type, interval_us=0), **life)


class JobDriver(Driver):
    """One (partition, type), at a clock that only the test moves."""

    def status(self, job_id: str, queue_id: str = "q") -> JobStatus | None:
        """All that is known of a job."""
        return self.reply(
            self.job_calls.get_job(
                self.partition, self.queue_type, queue_id, job_id, knows_life=True, now_us=self.now_us
            )
        ).value

    def state(self, job_id: str, queue_id: str = "q") -> JobState | None:
        """The state of a job."""
        status = self.status(job_id, queue_id)
        return status.state if status else None

    def cancel_all(self, *jobs: CancelJob) -> list[CancelOutcome]:
        """Cancel jobs in one call."""
        return self.value(self.job_calls.cancel(self.partition, self.queue_type, jobs, now_us=self.now_us))

    def cancel(self, job_id: str, queue_id: str = "q", *, force: bool = False) -> CancelOutcome:
        """Cancel one job."""
        return self.cancel_all(CancelJob(self.queue_type, queue_id, job_id, force))[0]

    def cancel_step(
        self, prefix: str, scan: str = "", queue_id: str = "q", most_us: int = HOUR_US
    ) -> CancelPage:
        """Run one step of a cancellation by prefix."""
        return self.value(
            self.job_calls.cancel_matching(
                self.partition, self.queue_type, queue_id, prefix, scan, most_us=most_us, now_us=self.now_us
            )
        )

    def cancel_matching(self, prefix: str, queue_id: str = "q") -> int:
        """Cancel all waiting jobs whose ids begin with a prefix."""
        page = self.cancel_step(prefix, queue_id=queue_id)
        count = page.cancelled
        while page.scan:
            page = self.cancel_step(prefix, page.scan, queue_id)
            count += page.cancelled
        return count

    def change(self, job_id: str, queue_id: str = "q", **fields: Any) -> ChangedJob:
        """Change one job."""
        return self.value(
            self.job_calls.change_job(
                self.partition,
                self.queue_type,
                queue_id,
                job_id,
                JobChange(**fields),
                now_us=self.now_us,
            )
        )

    def changes(self, job_id: str, queue_id: str = "q", **fields: Any) -> ChangeStatus:
        """Change one job; returns only the outcome."""
        return self.change(job_id, queue_id, **fields).status

    def page(
        self,
        state: JobState,
        scan: str = "",
        *,
        limit: int = MAX_BATCH,
        prefix: str = "",
        queue_id: str = "q",
    ) -> JobPage:
        """A page of a queue's jobs."""
        return self.value(
            self.job_calls.list_jobs(
                self.partition, self.queue_type, queue_id, state, limit, prefix, scan, now_us=self.now_us
            )
        )

    def rows(
        self, state: JobState, *, limit: int = MAX_BATCH, prefix: str = "", queue_id: str = "q"
    ) -> list[JobRow]:
        """All of a queue's jobs in a state."""
        page = self.page(state, limit=limit, prefix=prefix, queue_id=queue_id)
        rows = page.jobs
        while page.scan:
            page = self.page(state, page.scan, limit=limit, prefix=prefix, queue_id=queue_id)
            rows = [*rows, *page.jobs]
        return rows

    def ids(
        self, state: JobState, *, limit: int = MAX_BATCH, prefix: str = "", queue_id: str = "q"
    ) -> list[str]:
        """Their ids."""
        return [row.job_id for row in self.rows(state, limit=limit, prefix=prefix, queue_id=queue_id)]

    def drop_one(self, job_id: str, queue_id: str = "q") -> bool:
        """Drop one dead letter."""
        return self.value(
            self.job_calls.drop_dead_letter(
                self.partition, self.queue_type, queue_id, job_id, now_us=self.now_us
            )
        )

    def dead_of(self, queue_id: str, scan: str = "", limit: int = MAX_BATCH) -> DeadPage:
        """A page of the dead letters of one queue."""
        return self.value(
            self.job_calls.list_dead(
                self.partition, self.queue_type, scan, limit, queue_id, now_us=self.now_us
            )
        )

    def fail(self, job_id: str, lease: str, error: str = "", **fields: Any) -> LeaseStatus:
        """Release a job after a failed attempt, so that its retry policy decides when it comes again."""
        released = ReleaseJob(
            self.queue_type, fields.pop("queue_id", "q"), job_id, lease, error=error, retries=True
        )
        jobs = [msgspec.structs.replace(released, **fields)]
        call = self.functions.release(self.partition, self.queue_type, jobs, now_us=self.now_us)
        return self.value(call)[0].status
