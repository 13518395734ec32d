"""Defines how a handler gives the result and the progress of its job to the worker.

Not here: reporting them (outcomes.py, progress.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import UNSET, Raw, UnsetType

from sharq_client.answers import LeasedJob
from sharq_client.bodies import json_text

log = logging.getLogger("sharq.worker")

MAX_RESULT_BYTES = 16 * 1024
"""The longest result that the server takes, in bytes of JSON text."""

MAX_PROGRESS_BYTES = 1024
"""The longest progress that the server takes, in bytes of JSON text."""


class JobResult:
    """The result of a job. A handler returns it to have it kept with the finished job.

    Attributes:
        value: any JSON value of at most 16 KiB of JSON text, or msgspec.Raw with the text.
    """

    def __init__(self, value: object) -> None:
        self.value = value


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
            TypeError: msgspec cannot encode the value.
        """
        text = json_text(value)
        assert not isinstance(text, UnsetType)
        if len(memoryview(text)) > MAX_PROGRESS_BYTES:
            raise ValueError(
                f"progress: expected up to {MAX_PROGRESS_BYTES} bytes of JSON, got {len(memoryview(text))}"
            )
        self.report(self.lease, text)


def result_of(job: LeasedJob, returned: object) -> Raw | UnsetType:
    """Return the result to report of a job whose handler returned a value; UNSET for none.

    The work is done, so a result that cannot be sent is logged and left out: the job is not done again for it.
    """
    if not isinstance(returned, JobResult):
        return UNSET
    try:
        text = json_text(returned.value)
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
