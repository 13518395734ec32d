"""Runs the tasks of leased jobs: a plain function in a thread of the worker, an `async def` one on its event loop."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections, reset_queries
from django.tasks.base import TaskContext, TaskResultStatus
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json

from sharq_client.contrib.django import failures
from sharq_client.contrib.django.backend import SharqBackend
from sharq_client.contrib.django.records import TaskRecord, id_of, payload_of
from sharq_client.contrib.django.results import UNKNOWN_WORKER, new_result, set_field, task_of
from sharq_client.worker.handlers.results import Drop, JobResult, Retry, RunningJob, Throttled


@dataclass(frozen=True, slots=True, kw_only=True)
class SharqTaskContext(TaskContext):
    """The context of a task that takes one.

    Attributes:
        job: the job, whose `progress` says how far the task is, and whose `requeues_remaining` counts its tries.
    """

    job: RunningJob


class TaskHandler:
    """The handler of a worker for the tasks of a backend."""

    def __init__(self, backend: SharqBackend) -> None:
        self._backend = backend
        self._worker_id = f"{socket.gethostname()}-{os.getpid()}"

    def handle(self, job: RunningJob) -> object:
        """Run the task of a job, in a thread. Return its JobResult, or an awaitable of it for an async task.

        Raises:
            TaskFailed: the task failed, or cannot be started; its job is released.
            Retry, Throttled: the task raised it.
        """
        _renew_connections()
        try:
            attempt = self._begin(job)
            if iscoroutinefunction(attempt.function):
                return attempt.run_async()
            return attempt.run()
        finally:
            close_old_connections()

    def _begin(self, job: RunningJob) -> Attempt:
        try:
            return Attempt(self._backend, job, self._worker_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server shall keep it
            raise failures.TaskFailed(failures.message_of(error)) from None


class Attempt:
    """One run of a task.

    Attributes:
        function: the function of the task.
    """

    def __init__(self, backend: SharqBackend, job: RunningJob, worker_id: str) -> None:
        """Find the task of a job, and tell that it starts.

        Raises:
            ValueError: the payload is not that of a task.
            ImportError, TypeError, InvalidTask: the program has no such task.
        """
        self._payload = payload_of(job.payload_bytes)
        queue_name = job.queue_type.removeprefix(backend.type_prefix)
        task = task_of(self._payload, queue_name, backend.alias)
        self.function = task.func
        self._backend = type(backend)
        self._job = job
        self._worker_id = worker_id
        self._started_ms = _now_ms()
        self._result = new_result(
            self._payload,
            task,
            id_of(queue_name, job.job_id, job.queue_id),
            status=TaskResultStatus.RUNNING,
            enqueued_ms=job.enqueued_at,
            started_ms=self._started_ms,
            worker_ids=[*[UNKNOWN_WORKER] * (job.attempt - 1), worker_id],
        )
        task_started.send_robust(self._backend, task_result=self._result)

    def run(self) -> JobResult:
        """Run the task, and tell how it ended.

        Raises:
            TaskFailed, Retry, Throttled: the job is to be released.
        """
        try:
            value = self.function(*self._args(), **self._result.kwargs)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a task may raise anything
            verdict: JobResult | Exception = self._raised(error)
            self._tell()  # here, because its log shows the error at hand
            return _given(verdict)
        verdict = self._returned(value)
        self._tell()
        return _given(verdict)

    async def run_async(self) -> JobResult:
        """Run an async task, and tell how it ended, as `run` does."""
        try:
            return await self._run_async()
        finally:
            await sync_to_async(close_old_connections)()

    async def _run_async(self) -> JobResult:
        try:
            value = await self.function(*self._args(), **self._result.kwargs)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a task may raise anything
            verdict: JobResult | Exception = self._raised(error)
        else:
            verdict = self._returned(value)
        if self._result.is_finished:
            await task_finished.asend_robust(self._backend, task_result=self._result)
        return _given(verdict)

    def _args(self) -> list[Any]:
        args: list[Any] = self._result.args
        if self._result.task.takes_context:
            return [SharqTaskContext(task_result=self._result, job=self._job), *args]
        return args

    def _tell(self) -> None:
        if self._result.is_finished:
            task_finished.send_robust(self._backend, task_result=self._result)

    def _returned(self, value: object) -> JobResult:
        """Return what the server keeps of a task that has returned a value."""
        try:
            record = self._record(is_successful=True, return_value=normalize_json(value))
            text = record.to_json()
        except (TypeError, ValueError) as error:  # the work is done, so it is not done again for this
            return self._given_up(error)
        set_field(self._result, "_return_value", record.return_value)
        self._end(TaskResultStatus.SUCCESSFUL)
        return JobResult(text)

    def _raised(self, error: BaseException) -> JobResult | Exception:
        """Return what the server keeps of a task that gives up, or the exception that releases its job."""
        if isinstance(error, Drop):
            return self._given_up(error)
        if isinstance(error, Throttled):
            set_field(self._result, "status", TaskResultStatus.READY)
            return error
        shown = error.__cause__ or error if isinstance(error, Retry) and not error.reason else error
        self._result.errors.append(failures.to_task_error(shown))
        if self._job.requeues_remaining == 0:
            self._end(TaskResultStatus.FAILED)
        else:
            set_field(self._result, "status", TaskResultStatus.READY)
        if isinstance(error, Retry):
            return Retry(error.delay_ms / 1000, failures.text_of(shown))
        return failures.TaskFailed(failures.message_of(error))

    def _given_up(self, error: BaseException) -> JobResult:
        """Return what the server keeps of a task that failed and is not tried again."""
        self._result.errors.append(failures.to_task_error(error))
        self._end(TaskResultStatus.FAILED)
        return JobResult(self._record(is_successful=False).to_json())

    def _record(self, *, is_successful: bool, return_value: object = None) -> TaskRecord:
        return TaskRecord(
            payload=self._payload,
            is_successful=is_successful,
            attempt=self._job.attempt,
            worker_id=self._worker_id,
            started_at=self._started_ms,
            finished_at=_now_ms(),
            return_value=return_value,
            errors=tuple((error.exception_class_path, error.traceback) for error in self._result.errors),
        )

    def _end(self, status: TaskResultStatus) -> None:
        set_field(self._result, "status", status)
        set_field(self._result, "finished_at", timezone.now())


def _given(verdict: JobResult | Exception) -> JobResult:
    """Return a result for the worker, or raise an exception for it."""
    if isinstance(verdict, Exception):
        raise verdict from None  # its message has the trace of its cause, which a log would show twice
    return verdict


def _now_ms() -> int:
    return round(time.time() * 1000)


def _renew_connections() -> None:
    """Do what Django does at the start of a request: forget the log of queries, and close connections that are old."""
    reset_queries()
    close_old_connections()
