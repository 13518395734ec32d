"""The import from Celery: tasks that Celery itself has sent come over whole, and once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from redis import Redis

from sharq_client import Client, LeasedJob
from sharq_client.answers import JobState
from sharq_client.migration import import_celery
from sharq_client.migration.delivery import PERHAPS_MOVED
from tests.support.foreign.dying_import import start_import
from tests.support.foreign.processes import Driver, celery_driver
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer

Send = Callable[..., str]


@pytest.fixture(scope="module")
def producer(source: StoreServer) -> Iterator[Driver]:
    driver = celery_driver(source.url)
    yield driver
    driver.end()


@pytest.fixture
def send(producer: Driver, kind: str) -> Send:
    """send(args=..., kwargs=..., ...): send a task to the Celery queue of the test with apply_async; returns its id."""

    def send_task(**options: object) -> str:
        return producer.ask(repr({"queue": kind, **options})).strip()

    return send_task


def everything(client: Client, queue_type: str) -> list[LeasedJob]:
    jobs: list[LeasedJob] = []
    while leased := client.dequeue(queue_type, 1000):
        client.finish_many(leased)
        jobs += leased
    return jobs


def test_tasks_come_over_in_order_with_arguments(
    client: Client, send: Send, source: StoreServer, kind: str
) -> None:
    ids = [send(args=(number,), kwargs={"to": {"customer": "acme"}}) for number in range(30)]
    summary = import_celery(
        client, source.url, queue=kind, queue_type=kind, queue_id="$.kwargs.to.customer", interval=0
    )
    assert (summary.moved, summary.waiting, summary.refused) == (30, 0, 0)
    jobs = everything(client, kind)
    assert [job.job_id for job in jobs] == ids
    assert {job.queue_id for job in jobs} == {"acme"}
    assert [job.payload for job in jobs] == [
        {"task": "send", "args": [number], "kwargs": {"to": {"customer": "acme"}}} for number in range(30)
    ]
    again = import_celery(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)
    assert again.moved == 0


def test_a_run_ends_although_tasks_keep_coming(
    client: Client, send: Send, source: StoreServer, kind: str
) -> None:
    ids = [send(args=(0,)), send(args=(1,))]
    summary = import_celery(
        client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0,
        on_progress=lambda _: ids.append(send(args=(2,))),
    )  # fmt: skip
    assert (summary.moved, summary.waiting) == (2, 1)
    assert import_celery(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0).moved == 1
    assert [job.job_id for job in everything(client, kind)] == ids


def test_priorities_etas_and_expiries_come_over(
    client: Client, send: Send, source: StoreServer, kind: str
) -> None:
    low = send(args=(1,), priority=9)
    high = send(args=(2,), priority=0)
    before_ms = time.time() * 1000
    later = send(args=(3,), countdown=1.5, expires=3600)
    now_ms = time.time() * 1000
    import_celery(client, source.url, queue=kind, queue_type="$.task", queue_id=kind, interval=0)
    status = client.job("send", kind, later)
    assert status is not None
    assert status.state == "delayed"
    assert status.payload == {"task": "send", "args": [3], "kwargs": {}}
    queue = client.queue("send", kind)
    assert queue is not None
    assert (queue.queued, queue.delayed) == (2, 1)
    (row,) = client.jobs.in_queue("send", kind, state=JobState.DELAYED)
    assert row.expires_at is not None
    assert abs(row.expires_at - now_ms - 3_600_000) < 60_000
    assert row.delayed_until is not None
    assert before_ms - 1 <= row.delayed_until - 1_500 <= now_ms + 1
    assert [job.job_id for job in everything(client, "send") if job.queue_id == kind] == [high, low]
    due = client.dequeue("send", wait_ms=5_000, lease_ms=60_000)
    assert due is not None
    assert due.job_id == later
    assert due.lease_expires_at - 60_000 >= row.delayed_until - 1


def test_tasks_that_cannot_be_moved_stay_with_celery_in_their_order(
    client: Client, send: Send, source: StoreServer, source_redis: Redis, kind: str
) -> None:
    send(args=(1,), serializer="pickle")
    moved = [send(args=(2,))]
    send(chain=True)
    send(args=("x",), kwargs={}, expires=0.001)
    moved.append(send(args=(3,)))
    source_redis.rpush(kind, "no message")
    time.sleep(0.05)
    before = source_redis.lrange(kind, 0, -1)

    dry = import_celery(
        client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0, dry_run=True
    )
    assert source_redis.lrange(kind, 0, -1) == before
    summary = import_celery(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)

    assert (dry.moved, dry.refused) == (summary.moved, summary.refused) == (2, 4)
    assert summary.waiting == 4
    reasons = " ".join(refusal.reason for refusal in summary.refusals)
    for reason in ("not a message", "expected application/json", "only Celery starts", "it expired at"):
        assert reason in reasons
    remaining = source_redis.lrange(kind, 0, -1)
    assert remaining == [message for message in before if not any(task.encode() in message for task in moved)]
    assert [job.job_id for job in everything(client, kind)] == moved


def test_a_task_without_the_field_stays_until_the_mapping_is_right(
    client: Client, send: Send, source: StoreServer, kind: str
) -> None:
    task_id = send(args=(17,))
    wrong = import_celery(
        client, source.url, queue=kind, queue_type=kind, queue_id="$.kwargs.customer", interval=0
    )
    assert (wrong.moved, wrong.refused, wrong.waiting) == (0, 1, 1)
    right = import_celery(client, source.url, queue=kind, queue_type=kind, queue_id="$.args.0", interval=0)
    assert (right.moved, right.waiting) == (1, 0)
    assert [(job.queue_id, job.job_id) for job in everything(client, kind)] == [("17", task_id)]


def test_a_task_goes_to_one_of_both_sides_while_workers_of_celery_run(
    client: Client, send: Send, source: StoreServer, kind: str
) -> None:
    moved = 0
    with closing(celery_driver(source.url, "work", kind)) as worker:
        send(args=(0,))
        while worker.line() != "task 0\n":
            pass
        for number in range(1, 600):
            send(args=(number,))
            if number % 20 == 0:
                moved += import_celery(
                    client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0
                ).moved
        send(args=(-1,))
        by_celery = [int(number) for number in re.findall(r"^task (-?\d+)$", worker.output(), re.MULTILINE)]
    by_us = [int(job.payload["args"][0]) for job in everything(client, kind)]
    assert sorted(by_celery + by_us) == [-1, *range(1, 600)]
    assert moved == len(by_us) > 0
    assert len(by_celery) > 1, "Celery did not work beside the import"


@pytest.mark.parametrize("step", ["claimed, not sent", "sent, not settled"])
def test_an_interrupted_run_is_continued(
    client: Client,
    send: Send,
    source: StoreServer,
    source_redis: Redis,
    server: SharqServer,
    kind: str,
    step: str,
) -> None:
    ids = [send(args=(number,)) for number in range(5)]
    with start_import("celery", server.url, source.url, kind, step, 1) as killed:
        assert killed.wait(60) == -9
    assert source_redis.llen(kind) == 0
    jobs = everything(client, kind)
    assert len(jobs) == (0 if step == "claimed, not sent" else 5)
    summary = import_celery(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)
    assert (summary.moved, summary.duplicates) == (5, len(jobs))
    jobs += everything(client, kind)
    assert [job.job_id for job in jobs] == ids


def test_a_task_that_may_be_forgotten_by_now_is_neither_sent_nor_given_back(
    client: Client, send: Send, source: StoreServer, server: SharqServer, source_redis: Redis, kind: str
) -> None:
    task_id = send(args=(1,))
    with start_import("celery", server.url, source.url, kind, "claimed, not sent", 1) as killed:
        assert killed.wait(60) == -9
    time.sleep(0.1)
    summary = import_celery(
        client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0, remembered_ms=50
    )
    assert [(refusal.job_id, refusal.reason) for refusal in summary.refusals] == [(task_id, PERHAPS_MOVED)]
    assert (summary.moved, source_redis.llen(kind), everything(client, kind)) == (0, 0, [])
    kept = source_redis.lrange(f"sharq-import:celery:{kind}:perhaps", 0, -1)
    assert len(kept) == 2
