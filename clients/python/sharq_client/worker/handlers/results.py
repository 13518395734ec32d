"""Defines what a handler gets, and by what it decides the fate of its job.

A handler gets a RunningJob. It returns a JobResult to have a result kept, or raises Throttled, Retry or Drop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import UNSET, Raw, UnsetType

from sharq_client.answers import LeasedJob
from sharq_client.json_values import check_text, to_text

log = logging.getLogger("sharq.worker")

MAX_RESULT_BYTES = 16 * 1024
"""The longest result that the server takes, in bytes of JSON text."""

MAX_PROGRESS_BYTES = 1024
"""The longest progress that the server takes, in bytes of JSON text."""

MAX_COST = 1_000_000
"""The largest cost that the server takes."""

MAX_HOLD_S = 24 * 3600
"""The longest hold that the server accepts."""

MAX_DELAY_S = 365 * 24 * 3600
"""The longest delay of a release that the server accepts."""


class JobResult:
    """The result of a job. A handler returns it to have it kept with the finished job, or to correct the job's cost.

    Attributes:
        value: any JSON value of at most 16 KiB of JSON text, or msgspec.Raw with the text; UNSET for none.
        cost: the cost that the job turned out to have; None if it is as enqueued.
    """

    def __init__(self, value: object = UNSET, *, cost: int | None = None) -> None:
        """Say what the work gave and what it has cost.

        Raises:
            ValueError: the cost is no whole number from 0 to 1,000,000.
        """
        if cost is not None and not (isinstance(cost, int) and 0 <= cost <= MAX_COST):
            raise ValueError(f"cost: expected a whole number from 0 to {MAX_COST:,}, got {cost}")
        self.value = value
        self.cost = cost


class Throttled(Exception):
    """Raised by a handler whose receiver takes nothing for now, such as after a 429 with a Retry-After.

    The worker releases the job without counting the attempt, and holds its queue for the time.
    """

    def __init__(self, retry_after: float, *, holds_type: bool = False, cap: str | None = None) -> None:
        """Say for how long the receiver takes nothing.

        Args:
            retry_after: seconds from now, 0 or more; more than 24 hours count as 24 hours.
            holds_type: True to hold all queues of the gathered type, not only the job's queue.
            cap: the name of the cap to hold instead, such as that of the account that is throttled: no queue with it
                hands out jobs. If there is no such cap, nothing is held.

        Raises:
            ValueError: retry_after is negative or not a number, or both holds_type and cap are given.
        """
        _check_seconds("retry_after", retry_after)
        if holds_type and cap is not None:
            raise ValueError("holds_type, cap: expected at most one of the two")
        super().__init__(f"retry after {retry_after} s")
        self.hold_ms = min(retry_after, MAX_HOLD_S) * 1000
        self.holds_type = holds_type
        self.cap = cap


class Retry(Exception):
    """Raised by a handler whose job shall be tried again after a time that the handler knows.

    The worker releases the job with that delay. The attempt counts, so that past its requeue limit the job is a dead
    letter. The delay wins over the retry policy of the job. Other jobs of the queue go on.
    """

    def __init__(self, after: float, reason: str = "") -> None:
        """Say when to try again.

        Args:
            after: seconds from now, 0 or more; more than 365 days count as 365 days.
            reason: the error that the server shows with the job. Without one it is that of the exception from which
                this one is raised.

        Raises:
            ValueError: after is negative or not a number.
        """
        _check_seconds("after", after)
        super().__init__(reason or f"retry after {after} s")
        self.delay_ms = min(after, MAX_DELAY_S) * 1000
        self.reason = reason


class PlainFailure(Exception):
    """An error of a handler whose message says all that is known: it is logged without a traceback."""


class Drop(Exception):
    """Raised by a handler whose job shall never be tried again, such as one for a number that does not exist.

    The worker finishes the job and logs the reason. The job does not become a dead letter.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class RunningJob(LeasedJob, frozen=True, kw_only=True):
    """The job that a worker gives to its handler: a LeasedJob that can report how far the work is."""

    report: Callable[[str, Raw], None]

    def progress(self, value: object) -> None:
        """Report how far the work is. The server shows the latest report until the job has ended.

        Any thread may call it, as often as it likes: the worker sends the latest value a few times a second, together
        with an extension of the lease. It returns at once, and a report that cannot be sent is lost.

        Args:
            value: any JSON value of at most 1 KiB of JSON text, or msgspec.Raw with the text.

        Raises:
            ValueError: the value is too long.
            TypeError: the value is no JSON, or would come back as another one, as bytes would.
        """
        text = check_text(value, "progress") if isinstance(value, Raw) else Raw(to_text(value, "progress"))
        if len(memoryview(text)) > MAX_PROGRESS_BYTES:
            raise ValueError(
                f"progress: expected up to {MAX_PROGRESS_BYTES} bytes of JSON, got {len(memoryview(text))}"
            )
        self.report(self.lease, text)


def to_running(job: LeasedJob, report: Callable[[str, Raw], None]) -> RunningJob:
    """Return a leased job in the form in which a handler gets it.

    Args:
        report: takes the lease and the JSON text of each report of progress, from any thread.
    """
    # By name, since `asdict` and `**` cost twice as much; a test compares all fields.
    return RunningJob(
        queue_type=job.queue_type,
        queue_id=job.queue_id,
        job_id=job.job_id,
        lease=job.lease,
        lease_expires_at=job.lease_expires_at,
        enqueued_at=job.enqueued_at,
        attempt=job.attempt,
        requeues_remaining=job.requeues_remaining,
        current_queue_length=job.current_queue_length,
        cost=job.cost,
        priority=job.priority,
        expires_at=job.expires_at,
        traceparent=job.traceparent,
        tracestate=job.tracestate,
        payload_json=job.payload_json,
        report=report,
    )


def result_of(job: LeasedJob, result: JobResult) -> Raw | UnsetType:
    """Return the result to report of a job, as JSON text; UNSET if it cannot be sent.

    The work is done, so a result that cannot be sent is logged and left out: the job is not done again for it.
    """
    try:
        text = _text_of(result.value)
    except (TypeError, ValueError) as error:
        log.error(  # noqa: TRY400 - the message says it all, and results are not logged
            "result_left_out queue_type=%s queue_id=%s job_id=%s error=%s",
            job.queue_type, job.queue_id, job.job_id, error,
        )  # fmt: skip
        return UNSET
    if isinstance(text, Raw) and len(memoryview(text)) > MAX_RESULT_BYTES:
        log.error(
            "result_left_out queue_type=%s queue_id=%s job_id=%s error=it has %d bytes and may have %d",
            job.queue_type, job.queue_id, job.job_id, len(memoryview(text)), MAX_RESULT_BYTES,
        )  # fmt: skip
        return UNSET
    return text


def _text_of(value: object) -> Raw | UnsetType:
    """Return a result as JSON text, UNSET for none."""
    if isinstance(value, UnsetType):
        return value
    return check_text(value, "result") if isinstance(value, Raw) else Raw(to_text(value, "result"))


def _check_seconds(name: str, value: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name}: expected a number of seconds, got {value!r}")  # noqa: TRY004 - as documented
    if not value >= 0:
        raise ValueError(f"{name}: expected 0 seconds or more, got {value}")
