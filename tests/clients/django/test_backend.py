"""The backend of Django's tasks: what it sends, and what it finds again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

pytest.importorskip("django", reason="Django 6 needs Python 3.12 or newer")

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.tasks import TaskResult, TaskResultStatus, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist, TaskResultMismatch
from django.tasks.signals import task_enqueued
from django.test.utils import override_settings

import sharq_client
from sharq_client import JobState, QueueFull, Unavailable
from sharq_client.contrib.django import SharqBackend
from sharq_client.contrib.django.backend import level_of
from sharq_client.testing import FakeSharq
from tests.clients.django import project

NOW_MS = 1_795_922_400_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def tasks_of(**options: Any) -> dict[str, Any]:
    """Return the setting TASKS of a project with these options."""
    return {
        "default": {
            "BACKEND": "sharq_client.contrib.django.SharqBackend",
            "QUEUES": ["default", "texts"],
            "OPTIONS": options,
        }
    }


@pytest.fixture
def fake() -> FakeSharq:
    return FakeSharq(now_ms=NOW_MS)


@pytest.fixture
def backend(fake: FakeSharq) -> Iterator[SharqBackend]:
    """A backend in memory, where each customer has a queue with ten tasks a second."""
    with override_settings(TASKS=tasks_of(client=fake.client, job="tests.clients.django.project.job_of")):
        yield task_backends["default"]


def test_it_declares_what_it_supports() -> None:
    assert SharqBackend.supports_defer
    assert SharqBackend.supports_async_task
    assert SharqBackend.supports_get_result
    assert SharqBackend.supports_priority


def test_a_task_waits_in_the_queue_of_its_customer(backend: SharqBackend, fake: FakeSharq) -> None:
    result = project.add.using(queue_name="texts").enqueue(1, b=2, customer="globex")
    (job,) = fake.jobs("texts")
    assert (job.queue_id, job.state, job.priority, job.requeue_limit) == ("globex", JobState.QUEUED, 5, 2)
    assert job.payload["task"] == "tests.clients.django.project.add"
    assert (job.payload["args"], job.payload["kwargs"]) == ([1], {"b": 2, "customer": "globex"})
    queue = backend.client.queue("texts", "globex")
    assert queue is not None
    assert queue.rate == "10/s"
    assert (result.status, result.args, result.backend) == (TaskResultStatus.READY, [1], "default")
    assert result.id == f"texts:{job.job_id}:globex"
    assert len(result.id) < 64


def test_a_result_is_found_by_its_id_alone(backend: SharqBackend) -> None:
    enqueued = project.add.using(priority=50).enqueue(1, 2)
    found = backend.get_result(enqueued.id)
    assert (found.id, found.status, found.task) == (enqueued.id, TaskResultStatus.READY, enqueued.task)
    assert (found.args, found.kwargs, found.attempts, found.errors) == ([1, 2], {}, 0, [])
    assert found.enqueued_at == NOW
    assert project.add.get_result(enqueued.id) == found
    with pytest.raises(TaskResultMismatch):
        project.fail.get_result(enqueued.id)


def test_async_calls_do_the_same(backend: SharqBackend) -> None:
    async def enqueue_and_look() -> tuple[TaskResult, TaskResult]:
        enqueued = await project.add.aenqueue(1, 2)
        await enqueued.arefresh()
        return enqueued, await project.add.aget_result(enqueued.id)

    enqueued, found = async_to_sync(enqueue_and_look)()
    assert (enqueued.id, enqueued.status) == (found.id, TaskResultStatus.READY)


def test_a_deferred_task_waits_until_its_time(backend: SharqBackend, fake: FakeSharq) -> None:
    run_after = NOW + timedelta(hours=1)
    result = project.add.using(run_after=run_after).enqueue(1, 2)
    (job,) = fake.jobs("default")
    assert (job.state, job.delayed_until) == (JobState.DELAYED, NOW_MS + 3_600_000)
    assert backend.get_result(result.id).task.run_after == run_after
    with override_settings(USE_TZ=False), override_settings(TASKS=tasks_of(client=fake.client)):
        naive = datetime(2026, 11, 29, 13, 20)  # noqa: DTZ001 - in Tokyo
        result = project.add.using(run_after=naive).enqueue(3, 4)
        assert fake.jobs("default")[1].delayed_until == NOW_MS + 3_600_000
        assert task_backends["default"].get_result(result.id).task.run_after == naive


@pytest.mark.parametrize(
    ("priority", "level"), [(100, 1), (75, 2), (13, 4), (12, 5), (0, 5), (-12, 5), (-13, 6), (-100, 9)]
)
def test_priorities_become_nine_levels(priority: int, level: int) -> None:
    assert level_of(priority) == level


def test_a_task_of_higher_priority_is_first_in_its_queue(backend: SharqBackend, fake: FakeSharq) -> None:
    project.add.enqueue(1, 1)
    urgent = project.add.using(priority=60).enqueue(2, 2)
    assert [job.priority for job in fake.jobs("default")] == [5, 3]
    leased = backend.client.dequeue("default")
    assert leased is not None
    assert backend.ref(urgent.id).job_id == leased.job_id


def test_the_options_may_say_one_job_for_all(fake: FakeSharq) -> None:
    job = {"queue_id": "mail", "rate": "50/s", "max_queued_length": 1, "retry": {"delay": 5_000}}
    with override_settings(TASKS=tasks_of(client=fake.client, job=job, type_prefix="shop-")):
        project.add.enqueue(1, 2)
        (queued,) = fake.jobs("shop-default")
        assert queued.queue_id == "mail"
        assert queued.retry is not None
        assert queued.retry.delay == 5_000
        with pytest.raises(QueueFull):
            project.add.enqueue(3, 4)


def test_without_options_a_task_has_no_rate(fake: FakeSharq) -> None:
    with override_settings(TASKS=tasks_of(client=fake.client)):
        result = project.add.enqueue(1, 2)
        assert task_backends["default"].ref(result.id).queue_id == "default"
        queue = fake.client().queue("default", "default")
        assert queue is not None
        assert queue.interval == 0


def test_the_key_of_a_row_may_be_a_queue_id(fake: FakeSharq) -> None:
    with override_settings(TASKS=tasks_of(client=fake.client, job={"queue_id": 42, "interval": 0})):
        result = project.add.enqueue(1, 2)
        assert result.id.endswith(":42")
        assert task_backends["default"].get_result(result.id).args == [1, 2]


@pytest.mark.parametrize("queue_id", ["tenant:42", "eu/acme", "a:b/c:d"])
def test_queue_ids_with_colons_and_slashes_are_found_again(backend: SharqBackend, queue_id: str) -> None:
    result = project.add.enqueue(1, 2, customer=queue_id)
    assert backend.ref(result.id).queue_id == queue_id
    assert backend.get_result(result.id).kwargs == {"customer": queue_id}


def test_an_id_stays_under_the_64_characters_of_django(backend: SharqBackend, fake: FakeSharq) -> None:
    assert len(project.add.enqueue(1, 2, customer="c" * 38).id) == 63
    with pytest.raises(InvalidTask, match=r"queue_id: .* may have 45 characters together"):
        project.add.enqueue(1, 2, customer="c" * 39)
    assert len(fake.jobs("default")) == 1


@pytest.mark.parametrize("argument", [{1}, NOW, math.nan])
def test_arguments_are_json(backend: SharqBackend, fake: FakeSharq, argument: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        project.add.enqueue(argument, 2)
    assert fake.jobs("default") == []


def test_arguments_are_normalized_as_by_the_backends_of_django(backend: SharqBackend) -> None:
    result = project.add.enqueue((1, b"two"), b=MappingProxyType({"three": (4,)}))
    found = backend.get_result(result.id)
    assert (found.args, found.kwargs) == (result.args, result.kwargs) == ([[1, "two"]], {"b": {"three": [4]}})


def test_a_long_number_comes_back_as_it_was(backend: SharqBackend) -> None:
    result = project.add.enqueue(2**80, 0.1)
    assert backend.get_result(result.id).args == [2**80, 0.1]


def test_a_queue_that_is_not_in_queues_is_refused(backend: SharqBackend) -> None:
    with pytest.raises(InvalidTask, match="voice"):
        project.add.using(queue_name="voice")


@pytest.mark.parametrize(
    "result_id",
    ["", "default", "default:x", "default::acme", "voice:x:acme", "default:x:acme", "default:x:a/../b c"],
)
def test_unknown_ids_have_no_result(backend: SharqBackend, result_id: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(result_id)


def test_a_cancelled_task_has_no_result_any_more(backend: SharqBackend) -> None:
    result = project.add.enqueue(1, 2)
    ref = backend.ref(result.id)
    assert backend.client.jobs.cancel(ref.queue_type, ref.queue_id, ref.job_id) is JobState.QUEUED
    with pytest.raises(TaskResultDoesNotExist, match="cancelled"):
        result.refresh()


def test_an_outage_leaves_enqueue_as_it_is(backend: SharqBackend, fake: FakeSharq) -> None:
    fake.fail_next(Unavailable, times=3)
    with pytest.raises(Unavailable):
        project.add.enqueue(1, 2)


def test_a_receiver_that_raises_does_not_undo_an_enqueue(backend: SharqBackend, fake: FakeSharq) -> None:
    told = []

    def receive(sender: type[SharqBackend], task_result: TaskResult, **_: Any) -> None:
        told.append((sender, task_result.id))
        raise RuntimeError("a receiver")

    task_enqueued.connect(receive)
    try:
        result = project.add.enqueue(1, 2)
    finally:
        task_enqueued.disconnect(receive)
    assert told == [(SharqBackend, result.id)]
    assert len(fake.jobs("default")) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"job": {"queue": "mail"}}, r"job\.queue: unknown; the fields are queue_id, interval"),
        ({"job": {"payload": 1}}, r"job\.payload: the backend sets it from the task"),
    ],
)
def test_wrong_fields_are_named_at_the_enqueue(
    fake: FakeSharq, options: dict[str, Any], problem: str
) -> None:
    with override_settings(TASKS=tasks_of(client=fake.client, **options)):
        with pytest.raises(ImproperlyConfigured, match=problem):
            project.add.enqueue(1, 2)
        with pytest.raises(SystemCheckError, match=problem):
            call_command("check")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"jobs": {}}, "jobs: unknown option; the options are job, type_prefix, client, url"),
        ({"job": "tests.clients.django.project.absent"}, "job: .*absent"),
        ({"job": 3}, "job: expected a function or its dotted path, got 3"),
        ({"url": "localhost:8080"}, "http://host:port"),
        ({"token": "a b"}, "token: expected visible"),
        ({"timeout_s": 0}, "timeout_s: expected more than 0"),
        ({"ca": "/absent.pem"}, "ca: No such file"),
        (
            {"client": "tests.clients.django.project.not_a_client"},
            "expected a function that returns a Client",
        ),
    ],
)
def test_wrong_settings_are_told_by_the_checks(options: dict[str, Any], problem: str) -> None:
    with (
        override_settings(TASKS=tasks_of(**options)),
        pytest.raises((SystemCheckError, ImproperlyConfigured)) as told,
    ):
        call_command("check")
    assert told.match(problem)


def test_right_settings_pass_the_checks() -> None:
    urls = ["http://router-1:8080", "http://router-2:8080"]
    with override_settings(TASKS=tasks_of(url=urls, job={"rate": "5/s"}, retries=1)):
        call_command("check")
        assert task_backends["default"].client.settings.retries == 1


def test_backends_of_one_project_share_their_connections() -> None:
    with override_settings(TASKS=tasks_of(url="http://127.0.0.1:1")):
        first = task_backends["default"].client
        del task_backends["default"]  # as in another thread, which has a backend of its own
        assert task_backends["default"].client is first


def test_nothing_else_of_the_client_imports_django() -> None:
    package = Path(sharq_client.__file__).parent
    importing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"^\s*(from|import) (django|asgiref)\b", path.read_text(), re.MULTILINE)
    }
    assert importing
    assert {name for name in importing if not name.startswith("contrib/django/")} == set()
