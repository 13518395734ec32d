"""A project of Django for tests: its settings, and its tasks. Importing it configures Django for the process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

if not settings.configured:
    settings.configure(
        USE_TZ=True,
        TIME_ZONE="Asia/Tokyo",
        LOGGING_CONFIG=None,
        INSTALLED_APPS=["sharq_client.contrib.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "a test names its file"}},
        TASKS={
            "default": {
                "BACKEND": "sharq_client.contrib.django.SharqBackend",
                "QUEUES": ["default", "texts"],
            }
        },
    )
    django.setup()

from django.db import connection
from django.tasks import Task, TaskContext, task

from sharq_client import Drop, Retry, Throttled
from sharq_client.contrib.django import SharqTaskContext


class CarrierDown(Exception):
    """The error of a carrier."""


def job_of(found: Task, args: list[Any], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Return the queue of the customer, who may send ten texts a second."""
    return {"queue_id": kwargs.get("customer", "nobody"), "rate": "10/s", "requeue_limit": 2}


def not_a_client() -> str:
    return "no client"


@task
def add(a: int, b: int, customer: str = "acme") -> int:
    return a + b


@task
async def add_slowly(a: int, b: int) -> int:
    await asyncio.sleep(0.01)
    return a + b


@task(takes_context=True)
def note_attempt(context: TaskContext, customer: str = "acme") -> list[Any]:
    assert isinstance(context, SharqTaskContext)
    if context.attempt < 2:
        raise CarrierDown("the first attempt fails")
    return [context.attempt, context.task_result.id, context.job.job_id]


@task(takes_context=True)
async def work_by_halves(context: SharqTaskContext) -> None:
    context.job.progress({"half": context.attempt})
    await asyncio.sleep(1)
    raise CarrierDown("after the first half")


@task
def fail(message: str, customer: str = "acme") -> None:
    raise CarrierDown(message)


@task
async def fail_slowly(message: str) -> None:
    await asyncio.sleep(0)
    raise CarrierDown(message)


@task
def give_up(customer: str = "acme") -> None:
    raise Drop("unknown number")


@task
def wait_for_carrier(customer: str = "acme") -> None:
    raise Throttled(30)


@task
def try_later(customer: str = "acme") -> None:
    raise Retry(5) from CarrierDown("busy")


@task
def leave(customer: str = "acme") -> None:
    raise SystemExit(3)


@task
def give_back(value: Any = None, *, size: int = 0, kind: str = "") -> Any:
    values = {"nan": float("nan"), "set": {1}, "text": "x" * size, "bytes": (b"a", {"b": (1,)})}
    return values.get(kind, value)


connections: list[Any] = []
"""The connections to the database that tasks have used."""


@task
def use_database(customer: str = "acme") -> str:
    with connection.cursor() as cursor:
        connections.append(connection.connection)
        cursor.execute("SELECT 'a row'")
        return str(cursor.fetchone()[0])


@task
async def use_database_slowly() -> str:
    value: str = await sync_to_async(use_database.func)()
    return value
