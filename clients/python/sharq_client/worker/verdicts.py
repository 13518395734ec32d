"""Decides the outcome of a job from what its handler returned or raised, and logs and counts it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sharq_client.worker.handlers.kinds import Unfit
from sharq_client.worker.handlers.results import (
    Drop,
    JobResult,
    PlainFailure,
    Retry,
    RunningJob,
    Throttled,
    result_of,
)
from sharq_client.worker.outcomes import Outcomes

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

log = logging.getLogger("sharq.worker")

_RAISABLE = (Retry, Throttled, Drop)


class Verdicts:
    """The judge of the handlers of one run of a worker."""

    def __init__(
        self, outcomes: Outcomes, metrics: WorkerMetrics | None, on_unfit: Callable[[Unfit], None]
    ) -> None:
        """Configure the judge.

        Args:
            outcomes: takes the outcome of each job.
            on_unfit: called with the error of a handler that can never handle a job.
        """
        self._outcomes = outcomes
        self._metrics = metrics
        self._on_unfit = on_unfit

    def returned(self, job: RunningJob, value: object) -> None:
        """Finish a job whose handler returned. A returned Retry, Throttled or Drop counts as if it were raised."""
        if value is not None and isinstance(value, _RAISABLE):
            self.raised([job], value)
            return
        if isinstance(value, JobResult):
            self._outcomes.add_finished(job, result_of(job, value), value.cost)
        else:
            self._outcomes.add_finished(job)
        if self._metrics is not None:
            self._metrics.count(job.queue_type, "finished")

    def returned_batch(self, jobs: Sequence[RunningJob], value: object) -> None:
        """Give each job of a batch its outcome. A returned exception counts as if its job alone had raised it."""
        if isinstance(value, JobResult) or (isinstance(value, list | tuple) and len(value) != len(jobs)):
            got = "a JobResult" if isinstance(value, JobResult) else f"a list of {len(value)}"
            expected = f"expected None, or a list with the outcome of each of the {len(jobs)} jobs"
            self.raised(jobs, TypeError(f"batch handler: {expected}, got {got}"))
            return
        values = value if isinstance(value, list | tuple) else [None] * len(jobs)
        for job, each in zip(jobs, values, strict=True):
            if isinstance(each, BaseException):
                self.raised([job], each)
            else:
                self.returned(job, each)

    def raised(self, jobs: Sequence[RunningJob], error: BaseException) -> None:
        """Decide the outcome of the jobs of a call that raised an error."""
        if isinstance(error, Unfit):
            self._on_unfit(error)
        for index, job in enumerate(jobs):
            if isinstance(error, Throttled):
                self._throttle(job, error)
            elif isinstance(error, Retry):
                self._retry(job, error)
            elif isinstance(error, Drop):
                self._drop(job, error)
            else:
                self._fail(job, error, shows_trace=index == 0 and not isinstance(error, PlainFailure))

    def cancelled(self, jobs: Sequence[RunningJob]) -> None:
        """Release jobs whose handler was cancelled by others than the worker."""
        self.raised(jobs, asyncio.CancelledError("the handler was cancelled"))

    def stopped(self, jobs: Sequence[RunningJob]) -> None:
        """Release jobs whose handler was cancelled by the stop of the worker. The error of an earlier attempt stays."""
        for job in jobs:
            log.warning("job_cancelled job_id=%s", job.job_id)
            self._outcomes.add_failed(job, None)
            self._count(job, "stopped")

    def abandoned(self, jobs: Sequence[RunningJob]) -> None:
        """Leave jobs to their leases, because a thread still works on them.

        If they were released, another worker could start them while the thread still runs.
        """
        for job in jobs:
            log.warning(
                "job_abandoned job_id=%s: its thread still runs, and its lease will expire", job.job_id
            )
            self._count(job, "abandoned")

    def _throttle(self, job: RunningJob, throttled: Throttled) -> None:
        log.info(
            "job_throttled queue_type=%s queue_id=%s job_id=%s hold_s=%.1f",
            job.queue_type, job.queue_id, job.job_id, throttled.hold_ms / 1000,
        )  # fmt: skip
        self._outcomes.add_throttled(job, throttled)
        self._count(job, "throttled")

    def _retry(self, job: RunningJob, retry: Retry) -> None:
        log.info(
            "job_retried queue_type=%s queue_id=%s job_id=%s attempt=%d requeues_remaining=%d after_s=%.1f error=%s",
            job.queue_type, job.queue_id, job.job_id, job.attempt, job.requeues_remaining,
            retry.delay_ms / 1000, retry,
        )  # fmt: skip
        self._outcomes.add_retry(job, retry)
        self._count(job, "retried")

    def _drop(self, job: RunningJob, drop: Drop) -> None:
        log.warning(
            "job_dropped queue_type=%s queue_id=%s job_id=%s attempt=%d reason=%s",
            job.queue_type, job.queue_id, job.job_id, job.attempt, drop.reason,
        )  # fmt: skip
        self._outcomes.add_finished(job)
        self._count(job, "dropped")

    def _fail(self, job: RunningJob, error: BaseException, *, shows_trace: bool) -> None:
        log.error(
            "job_failed queue_type=%s queue_id=%s job_id=%s attempt=%d requeues_remaining=%d%s",
            job.queue_type, job.queue_id, job.job_id, job.attempt, job.requeues_remaining,
            f" error={str(error)!r}" if isinstance(error, PlainFailure) else "",
            exc_info=error if shows_trace else None,
        )  # fmt: skip
        self._outcomes.add_failed(job, error)
        self._count(job, "failed")

    def _count(self, job: RunningJob, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.count(job.queue_type, outcome)
