"""Offers the backend for Django's setting TASKS: it enqueues tasks as jobs of SHARQ, and finds their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.core import checks
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import Task, TaskResult
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.json import normalize_json

from sharq_client.contrib.django.options import check_fields, client_of, job_of, problems_of
from sharq_client.contrib.django.records import TaskPayload, id_of, parts_of
from sharq_client.contrib.django.results import new_result, result_of, to_ms
from sharq_client.errors import InvalidRequest
from sharq_client.requests import JobRef
from sharq_client.sync.client import Client

MAX_ID_LENGTH = 63
"""The longest id of a result: Django promises ids under 64 characters."""

JOB_ID_LENGTH = 16
"""The length of a random job id of letters and digits, which nobody guesses."""

PRIORITIES_OF_A_LEVEL = 25
"""The number of priorities of Django, of which there are 201, for each of the nine of SHARQ."""


class SharqBackend(BaseTaskBackend):
    """A backend of Django's tasks whose queues have rates.

        TASKS = {
            "default": {
                "BACKEND": "sharq_client.contrib.django.SharqBackend",
                "QUEUES": ["default", "texts"],
                "OPTIONS": {"url": "http://127.0.0.1:8080", "job": "shop.limits.job_of"},
            }
        }

    The option `job` says the queue and the rate of a task: a mapping with fields of EnqueueJob, such as
    `{"queue_id": "mail", "rate": "50/s"}`, or a function `(task, args, kwargs)` that returns one. The errors of the
    client, such as QueueFull, leave `enqueue` as they are.

    Attributes:
        client: the client of the backend's server, for all that Django's tasks do not have.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self.type_prefix: str = self.options.get("type_prefix", "")
        self.client: Client = client_of(self.options)
        self._job_of = job_of(self.options)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Enqueue a task and return its result, which is READY. The server has the task then.

        Raises:
            InvalidTask: the backend does not take the task, or its queue id is too long. Nothing was sent.
            TypeError, ValueError: an argument is not JSON. Nothing was sent.
            ImproperlyConfigured: the option `job` gives fields that a job does not have. Nothing was sent.
            SharqError: the server did not take the job: QueueFull, InvalidRequest, Unavailable and so on.
        """
        result, job = self._prepare(task, args, kwargs)
        self.client.enqueue(job)
        task_enqueued.send_robust(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Enqueue a task, as `enqueue` does. The event loop goes on meanwhile."""
        # The function of the project may ask the database, which has to be done in the one thread for such things.
        result, job = await sync_to_async(self._prepare)(task, args, kwargs)
        await sync_to_async(self.client.enqueue, thread_sensitive=False)(job)
        await task_enqueued.asend_robust(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result of a task with its present status.

        Raises:
            TaskResultDoesNotExist: there is no such task, it was cancelled, or the server has forgotten it.
            SharqError: the server cannot be asked.
        """
        ref = self.ref(result_id)
        try:
            job = self.client.job(ref.queue_type, ref.queue_id, ref.job_id)
        except InvalidRequest as error:  # an id of a stranger, with characters that no queue has
            raise TaskResultDoesNotExist(result_id) from error
        if job is None:
            raise TaskResultDoesNotExist(result_id)
        return result_of(job, result_id, ref.queue_type.removeprefix(self.type_prefix), self.alias)

    async def aget_result(self, result_id: str) -> TaskResult:
        """Return the result of a task, as `get_result` does. The event loop goes on meanwhile."""
        result: TaskResult = await sync_to_async(self.get_result, thread_sensitive=False)(result_id)
        return result

    def ref(self, result_id: str) -> JobRef:
        """Return the job of a result, for calls of `client` such as `jobs.wait` and `jobs.cancel`.

        Raises:
            TaskResultDoesNotExist: the id is not one of this backend. Nothing was sent.
        """
        parts = parts_of(result_id)
        if parts is None or (self.queues and parts[0] not in self.queues):
            raise TaskResultDoesNotExist(result_id)
        queue_name, job_id, queue_id = parts
        return JobRef(self.queue_type(queue_name), queue_id, job_id)

    def queue_type(self, queue_name: str) -> str:
        """Return the queue type of a queue of Django."""
        return self.type_prefix + queue_name

    def check(self, **_: object) -> Iterator[checks.CheckMessage]:
        """Yield what is wrong with the settings of the backend, for `manage.py check`."""
        for problem in problems_of(self.options, self.queues):
            yield checks.Error(f"TASKS[{self.alias!r}]: {problem}", id="sharq.E001")

    def _prepare(
        self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[TaskResult, dict[str, Any]]:
        """Return the result of a task that is about to be enqueued, and its job."""
        self.validate_task(task)
        payload = TaskPayload(
            task=task.module_path,
            args=normalize_json(args),
            kwargs=normalize_json(kwargs),
            priority=task.priority,
            run_after=None if task.run_after is None else to_ms(task.run_after),
        )
        fields = {"queue_id": "default", **self._job_of(task, payload.args, payload.kwargs)}
        check_fields(fields)
        queue_id = str(fields["queue_id"])  # the key of a row is a number
        job_id = get_random_string(JOB_ID_LENGTH)
        result_id = id_of(task.queue_name, job_id, queue_id)
        if len(result_id) > MAX_ID_LENGTH:
            room = MAX_ID_LENGTH - JOB_ID_LENGTH - 2
            raise InvalidTask(
                f"queue_id: {queue_id!r} is too long; the names of Django's queue and of its own may have "
                f"{room} characters together, because the id of a result has them"
            )
        enqueued_ms = to_ms(timezone.now())
        result = new_result(payload, task, result_id, enqueued_ms=enqueued_ms)
        job = {
            **fields,
            "queue_id": queue_id,
            "queue_type": self.queue_type(task.queue_name),
            "job_id": job_id,
            "payload": payload.to_json(),
            "priority": level_of(task.priority),
            "at": payload.run_after,
        }
        return result, job


def level_of(priority: int) -> int:
    """Return the priority of SHARQ, 1 (first) to 9, of one of Django, 100 (first) to -100; 5 of 0."""
    return 5 - round(priority / PRIORITIES_OF_A_LEVEL)
