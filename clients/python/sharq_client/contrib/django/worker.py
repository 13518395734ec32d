"""Makes the worker that runs the tasks of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, task_backends

from sharq_client.aio.client import AsyncClient
from sharq_client.contrib.django.backend import SharqBackend
from sharq_client.contrib.django.handler import TaskHandler
from sharq_client.worker.worker import Worker


def worker_of(
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    *,
    queues: Sequence[str] = (),
    client: AsyncClient | None = None,
    **options: Any,
) -> Worker:
    """Return a worker for the tasks of a backend. The app registry of Django must be ready, as in a command of it.

    Args:
        backend: the alias of the backend in the setting TASKS.
        queues: the queues of Django to work on, up to 16; none for all QUEUES of the backend.
        client: the client of the worker; None for one with the options of the backend. A test hands in that of its
            FakeSharq.
        options: more options of Worker, such as concurrency.

    Raises:
        ImproperlyConfigured: the backend is no SharqBackend, it has no such queue, or QUEUES is empty, which allows all
            names, and none is given.
        TypeError, ValueError, ModuleNotFoundError: as Worker.
    """
    task_backend = task_backends[backend]
    if not isinstance(task_backend, SharqBackend):
        raise ImproperlyConfigured(
            f"TASKS[{backend!r}]: it is no SharqBackend but a {type(task_backend).__name__}"
        )
    names = sorted(queues or task_backend.queues)
    unknown = [name for name in names if task_backend.queues and name not in task_backend.queues]
    if unknown or not names:
        problem = f"no queue {unknown[0]!r} in QUEUES" if unknown else "QUEUES is empty, so name the queues"
        raise ImproperlyConfigured(f"TASKS[{backend!r}]: {problem}")
    types = [task_backend.queue_type(name) for name in names]
    return Worker(client or task_backend.client, types, TaskHandler(task_backend).handle, **options)
