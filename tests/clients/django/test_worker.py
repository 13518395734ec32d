"""The worker of Django's tasks: how tasks run, end and fail. Time is that of a SHARQ in memory, unless said."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django 6 needs Python 3.12 or newer")

from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connections
from django.tasks import Task, TaskResult, TaskResultStatus, task_backends
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_finished, task_started
from django.test.utils import override_settings

from sharq_client import EnqueueJob
from sharq_client.contrib.django import worker_of
from sharq_client.contrib.django.failures import TaskLost
from sharq_client.testing import FakeSharq
from sharq_client.testing.fake import Delivery
from tests.clients.django import project
from tests.clients.django.test_backend import tasks_of

FAILED = TaskResultStatus.FAILED
READY = TaskResultStatus.READY
SUCCESSFUL = TaskResultStatus.SUCCESSFUL


class Project:
    """A project whose tasks run in memory.

    Attributes:
        told: the signals so far: "started" or "finished", and the status that they told.
    """

    def __init__(self, fake: FakeSharq) -> None:
        self.fake = fake
        self.told: list[tuple[str, TaskResultStatus]] = []

    def run(self, for_s: float | None = None) -> list[Delivery]:
        """Run a worker until nothing is to be done any more, or for a time."""
        return self.fake.run(worker_of(client=self.fake.async_client()), for_s=for_s)

    def result_of(self, task: Task, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue a task, run it to its end, and return what the server knows about it then."""
        result = task.enqueue(*args, **kwargs)
        self.run()
        result.refresh()
        return result

    def on_started(self, task_result: TaskResult, **_: Any) -> None:
        self.told.append(("started", task_result.status))

    def on_finished(self, task_result: TaskResult, **_: Any) -> None:
        self.told.append(("finished", task_result.status))


@pytest.fixture
def shop() -> Iterator[Project]:
    """A project where each customer has a queue with ten tasks a second, and a task has three attempts."""
    fake = FakeSharq()
    shop = Project(fake)
    task_started.connect(shop.on_started)
    task_finished.connect(shop.on_finished)
    with override_settings(TASKS=tasks_of(client=fake.client, job="tests.clients.django.project.job_of")):
        yield shop
    task_started.disconnect(shop.on_started)
    task_finished.disconnect(shop.on_finished)


def test_a_task_ends_with_its_value(shop: Project) -> None:
    result = shop.result_of(project.add, 1, b=2)
    assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 3, 1)
    assert (result.args, result.kwargs, result.errors) == ([1], {"b": 2}, [])
    assert result.started_at is not None
    assert result.finished_at >= result.started_at == result.last_attempted_at
    assert shop.told == [("started", TaskResultStatus.RUNNING), ("finished", SUCCESSFUL)]


def test_an_async_task_runs_on_the_event_loop(shop: Project) -> None:
    assert shop.result_of(project.add_slowly, 1, 2).return_value == 3
    assert shop.told[-1] == ("finished", SUCCESSFUL)


def test_tasks_of_a_customer_keep_the_rate_of_the_customer(shop: Project) -> None:
    for number in range(5):
        project.add.enqueue(number, 1, customer="acme")
        project.add.enqueue(number, 1, customer="globex")
    deliveries = shop.run()
    for customer in ("acme", "globex"):
        times = [time_ms for time_ms, job, _ in deliveries if job.queue_id == customer]
        assert [time_ms - times[0] for time_ms in times] == [0, 100, 200, 300, 400]


def test_a_context_has_the_attempt_and_the_job(shop: Project) -> None:
    result = project.note_attempt.enqueue()
    shop.run(for_s=0.5)
    result.refresh()
    assert (result.status, result.attempts) == (READY, 1)  # it is tried again
    (error,) = result.errors
    assert error.exception_class is project.CarrierDown
    assert shop.told == [("started", TaskResultStatus.RUNNING)]
    shop.run()
    result.refresh()
    job_id = task_backends["default"].ref(result.id).job_id
    assert result.return_value == [2, result.id, job_id]
    assert (result.attempts, result.worker_ids[0]) == (2, "unknown")


def test_a_task_reports_its_progress(shop: Project) -> None:
    result = shop.result_of(project.work_by_halves)
    ref = task_backends["default"].ref(result.id)
    job = task_backends["default"].client.job(ref.queue_type, ref.queue_id, ref.job_id)
    assert job.progress == {"half": 3}


@pytest.mark.parametrize("task", [project.fail, project.fail_slowly])
def test_a_task_that_always_fails_is_a_dead_letter_with_its_error(shop: Project, task: Task) -> None:
    result = shop.result_of(task, "the carrier is down")
    assert (result.status, result.attempts) == (FAILED, 3)
    (error,) = result.errors
    assert error.exception_class is project.CarrierDown
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith("CarrierDown: the carrier is down\n")
    assert "contrib/django/handler.py" not in error.traceback
    assert result.finished_at is not None
    assert [kind for kind, _ in shop.told] == ["started", "started", "started", "finished"]
    (letter,) = shop.fake.dead("default")
    text = "TaskFailed: tests.clients.django.project.CarrierDown: the carrier is down\nTraceback"
    assert letter.error is not None
    assert letter.error.startswith(text)


def test_a_long_message_leaves_room_for_the_end_of_the_trace(shop: Project) -> None:
    result = shop.result_of(project.fail, "ä" * 3_000)
    (error,) = result.errors
    assert error.exception_class is project.CarrierDown
    assert error.traceback.endswith("ä\n")


def test_a_task_that_gives_up_is_not_tried_again(shop: Project) -> None:
    result = shop.result_of(project.give_up)
    assert (result.status, result.attempts, shop.fake.dead()) == (FAILED, 1, [])
    assert result.errors[0].traceback.endswith("Drop: unknown number\n")
    assert shop.told[-1] == ("finished", FAILED)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("nan", "ValueError"), ("set", "TypeError"), ("text", "ValueError: return value: the result has 20")],
)
def test_a_value_that_cannot_be_kept_fails_a_task_without_a_second_try(
    shop: Project, kind: str, problem: str
) -> None:
    result = shop.result_of(project.give_back, kind=kind, size=20_000)
    assert (result.status, result.attempts) == (FAILED, 1)
    assert problem in result.errors[0].traceback


def test_a_value_is_normalized_as_by_the_backends_of_django(shop: Project) -> None:
    assert shop.result_of(project.give_back, kind="bytes").return_value == ["a", {"b": [1]}]


def test_arguments_make_room_for_a_value(shop: Project) -> None:
    for length, kept in [(5_000, 5_000), (10_000, 0)]:
        result_id = shop.result_of(project.give_back, "y" * length).id
        found = task_backends["default"].get_result(result_id)
        assert found.return_value == "y" * length
        assert sum(map(len, found.args)) == kept


def test_a_throttled_task_holds_its_queue_and_counts_no_attempt(shop: Project) -> None:
    project.wait_for_carrier.enqueue()
    deliveries = shop.run(for_s=61)
    assert [time_ms - deliveries[0].time_ms for time_ms, _, _ in deliveries] == [0, 30_000, 60_000]
    assert {job.attempt for _, job, _ in deliveries} == {1}
    assert {kind for kind, _ in shop.told} == {"started"}


def test_a_retry_says_when_and_shows_its_cause(shop: Project) -> None:
    result = project.try_later.enqueue()
    shop.run(for_s=6)
    result.refresh()
    assert (result.attempts, result.status) == (2, READY)
    assert result.errors[0].exception_class is project.CarrierDown
    first, second = shop.fake.deliveries
    assert second.time_ms - first.time_ms == 5_000


def test_a_task_that_leaves_fails(shop: Project) -> None:
    assert shop.result_of(project.leave).errors[0].exception_class is SystemExit


def test_a_task_that_expired_has_not_ended(shop: Project) -> None:
    job = {"queue_id": "codes", "rate": "1/min", "expires": 1_000}
    with override_settings(TASKS=tasks_of(client=shop.fake.client, job=job)):
        project.add.enqueue(1, 2)
        late = shop.result_of(project.add, 3, 4)
        assert (late.status, late.attempts) == (FAILED, 0)
        assert late.errors[0].exception_class is TaskLost
        assert late.errors[0].traceback == "the task has not ended: it expired"


def test_a_task_whose_workers_died_has_not_ended(shop: Project) -> None:
    result = project.add.enqueue(1, 2)
    for _ in range(3):
        assert shop.fake.client().dequeue("default", wait_ms=60_000) is not None
        result.refresh()
        assert result.status == TaskResultStatus.RUNNING
        shop.fake.advance(60)
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 3)
    assert result.errors[0].traceback == "the task has not ended: no worker of 3 has reported back"


def test_a_job_of_another_program_is_a_dead_letter(shop: Project) -> None:
    jobs: list[tuple[object, str]] = [
        ({"to": "+15550100"}, "ValueError: payload: it is not that of a task"),
        ({"task": "os.getcwd", "args": [], "kwargs": {}}, "TypeError: os.getcwd: expected a task, got"),
        ({"task": "shop.absent", "args": [], "kwargs": {}}, "ModuleNotFoundError: No module named 'shop'"),
    ]
    for number, (payload, _) in enumerate(jobs):
        job = EnqueueJob(
            queue_type="default", queue_id=f"q{number}", payload=payload, interval=0, requeue_limit=0
        )
        shop.fake.client().enqueue(job)
    shop.run()
    letters = sorted(shop.fake.dead("default"), key=lambda letter: letter.queue_id)
    for letter, (_, problem) in zip(letters, jobs, strict=True):
        assert problem in str(letter.error)


def test_a_finished_job_without_a_result_of_a_task_is_not_found(shop: Project) -> None:
    result = project.add.enqueue(1, 2)
    job = shop.fake.client().dequeue("default")
    assert job is not None
    shop.fake.client().finish(job)
    with pytest.raises(TaskResultDoesNotExist, match="finished"):
        result.refresh()


@pytest.mark.parametrize("task", [project.use_database, project.use_database_slowly])
def test_a_task_leaves_no_connection_to_the_database_open(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "shop.sqlite3"))
    project.connections.clear()
    assert shop.result_of(task).return_value == "a row"
    (used,) = project.connections
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used.cursor()


def test_a_receiver_that_raises_does_not_repeat_a_task(
    shop: Project, caplog: pytest.LogCaptureFixture
) -> None:
    def receive(**_: Any) -> None:
        raise RuntimeError("a receiver")

    task_finished.connect(receive)
    try:
        with caplog.at_level(logging.ERROR, "django.dispatch"):
            result = shop.result_of(project.add, 1, 2)
    finally:
        task_finished.disconnect(receive)
    assert (result.status, result.attempts) == (SUCCESSFUL, 1)
    assert "a receiver" in caplog.text


def test_a_worker_takes_the_queues_of_its_backend(shop: Project) -> None:
    client = shop.fake.async_client()
    assert worker_of(client=client).queue_types == ["default", "texts"]
    assert worker_of(queues=["texts"], client=client).queue_types == ["texts"]
    with pytest.raises(ImproperlyConfigured, match="no queue 'voice' in QUEUES"):
        worker_of(queues=["voice"])


def test_a_worker_says_why_it_cannot_work() -> None:
    immediate = {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}
    sharq = "sharq_client.contrib.django.SharqBackend"
    tasks = {"default": immediate, "all": {"BACKEND": sharq, "QUEUES": []}}
    with override_settings(TASKS=tasks):
        with pytest.raises(CommandError, match="it is no SharqBackend but a ImmediateBackend"):
            call_command("sharq_worker")
        with pytest.raises(CommandError, match="QUEUES is empty, so name the queues"):
            call_command("sharq_worker", backend="all")
        with pytest.raises(CommandError, match="concurrency"):
            call_command("sharq_worker", backend="all", queues=["mail"], concurrency=0)
