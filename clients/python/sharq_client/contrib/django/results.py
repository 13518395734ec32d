"""Makes the results of tasks, as Django has them, from jobs of the server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.tasks.base import Task, TaskError, TaskResult, TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone
from django.utils.module_loading import import_string

from sharq_client.answers import DeadReason, JobState, JobStatus
from sharq_client.contrib.django import failures
from sharq_client.contrib.django.records import TaskPayload, payload_of, record_of

UNKNOWN_WORKER = "unknown"
"""The worker of an attempt in `worker_ids`. The server counts the attempts, and does not keep who made them."""

_STATUS = {
    JobState.QUEUED: TaskResultStatus.READY,
    JobState.DELAYED: TaskResultStatus.READY,
    JobState.LEASED: TaskResultStatus.RUNNING,
    JobState.DEAD: TaskResultStatus.FAILED,
}
"""The status of a task whose job the server has with its payload."""


def new_result(
    payload: TaskPayload,
    task: Task,
    result_id: str,
    *,
    status: TaskResultStatus = TaskResultStatus.READY,
    enqueued_ms: int | None = None,
    started_ms: int | None = None,
    finished_ms: int | None = None,
    worker_ids: Sequence[str] = (),
    errors: Sequence[TaskError] = (),
) -> TaskResult:
    """Return a result. Times are in ms since the epoch, None if they are not known."""
    return TaskResult(
        task=task,
        id=result_id,
        status=status,
        enqueued_at=_time_of(enqueued_ms),
        started_at=_time_of(started_ms),
        last_attempted_at=_time_of(started_ms),
        finished_at=_time_of(finished_ms),
        args=payload.args,
        kwargs=payload.kwargs,
        backend=task.backend,
        errors=list(errors),
        worker_ids=list(worker_ids),
    )


def result_of(job: JobStatus, result_id: str, queue_name: str, backend: str) -> TaskResult:
    """Return the result of the task of a job.

    Raises:
        TaskResultDoesNotExist: the server does not keep what the task was: it was cancelled, or it has ended and its
            result is forgotten.
        ImportError, TypeError: the program has no such task any more.
    """
    if job.state is JobState.FINISHED and bytes(job.result_json):
        return _ended(job, result_id, queue_name, backend)
    if job.state not in _STATUS:
        raise TaskResultDoesNotExist(f"{result_id}: the task is {job.state}, and no result of it is kept")
    payload = payload_of(bytes(job.payload_json))
    return new_result(
        payload,
        task_of(payload, queue_name, backend),
        result_id,
        status=_STATUS[job.state],
        enqueued_ms=job.enqueued_at,
        finished_ms=job.dead_at,
        worker_ids=[UNKNOWN_WORKER] * job.attempt,
        errors=_errors_of(job),
    )


def task_of(payload: TaskPayload, queue_name: str, backend: str) -> Task:
    """Return the task of a payload, with the priority, the queue and the time with which it was enqueued.

    Raises:
        ImportError: there is no such module or name, as after a change of the program.
        TypeError: the name means something else.
        InvalidTask: the settings of the backend do not allow the task any more.
    """
    task = import_string(payload.task)
    if not isinstance(task, Task):
        raise TypeError(f"{payload.task}: expected a task, got {type(task).__name__}")
    return task.using(
        priority=payload.priority,
        queue_name=queue_name,
        run_after=_time_of(payload.run_after),
        backend=backend,
    )


def to_ms(time: datetime) -> int:
    """Return a time in ms since the epoch. A naive one is in the time zone of the settings."""
    aware = time if timezone.is_aware(time) else timezone.make_aware(time)
    return round(aware.timestamp() * 1000)


def _time_of(time_ms: int | None) -> datetime | None:
    """Return a time as Django has it: an aware one, unless USE_TZ is off."""
    if time_ms is None:
        return None
    aware = datetime.fromtimestamp(time_ms / 1000, UTC)
    return aware if settings.USE_TZ else timezone.make_naive(aware)


def _ended(job: JobStatus, result_id: str, queue_name: str, backend: str) -> TaskResult:
    record = record_of(bytes(job.result_json))
    result = new_result(
        record.payload,
        task_of(record.payload, queue_name, backend),
        result_id,
        status=TaskResultStatus.SUCCESSFUL if record.is_successful else TaskResultStatus.FAILED,
        enqueued_ms=job.enqueued_at,
        started_ms=record.started_at,
        finished_ms=record.finished_at,
        worker_ids=[*[UNKNOWN_WORKER] * (record.attempt - 1), record.worker_id],
        errors=[TaskError(exception_class_path=path, traceback=trace) for path, trace in record.errors],
    )
    set_field(result, "_return_value", record.return_value)
    return result


def set_field(result: TaskResult, name: str, value: object) -> None:
    """Set a field of a result, which is frozen; Django's own backends do it so, too."""
    object.__setattr__(result, name, value)


def _errors_of(job: JobStatus) -> list[TaskError]:
    """Return the error of the latest attempt that has left one, which is all that the server keeps."""
    if job.error is not None:
        return [failures.from_text(job.error)]
    if job.state is not JobState.DEAD:
        return []
    why = (
        "it expired" if job.reason is DeadReason.EXPIRED else f"no worker of {job.attempt} has reported back"
    )
    return [failures.lost(f"the task has not ended: {why}")]
