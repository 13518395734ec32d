"""The import from BullMQ: jobs that BullMQ itself has added come over whole, and once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from sharq_client import Client, LeasedJob
from sharq_client.answers import JobState
from sharq_client.migration import import_bullmq
from tests.support.foreign.dying_import import start_import
from tests.support.foreign.processes import Bullmq
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer


@pytest.fixture
def bullmq(source: StoreServer, kind: str) -> Iterator[Bullmq]:
    """The BullMQ queue of the test, which has the name of its queue type."""
    queue = Bullmq(source.port, kind)
    yield queue
    queue.end()


def everything(client: Client, queue_type: str) -> list[LeasedJob]:
    jobs: list[LeasedJob] = []
    while leased := client.dequeue(queue_type, 1000):
        client.finish_many(leased)
        jobs += leased
    return jobs


def test_waiting_jobs_come_over_in_order_with_names_and_data(
    client: Client, bullmq: Bullmq, source: StoreServer, source_redis: Redis, kind: str
) -> None:
    ids = [bullmq.call("add", "send", {"to": {"customer": "acme"}, "n": number}) for number in range(30)]
    place: dict[str, Any] = {
        "queue": kind,
        "queue_type": kind,
        "queue_id": "$.data.to.customer",
        "interval": 0,
    }
    dry = import_bullmq(client, source.url, dry_run=True, **place)
    assert (dry.moved, bullmq.call("counts")["waiting"]) == (30, 30)
    summary = import_bullmq(client, source.url, **place)
    assert (summary.moved, summary.waiting, summary.refused) == (30, 0, 0)
    jobs = everything(client, kind)
    assert [(job.queue_id, job.job_id) for job in jobs] == [("acme", job_id) for job_id in ids]
    assert [job.payload for job in jobs] == [
        {"name": "send", "data": {"to": {"customer": "acme"}, "n": number}} for number in range(30)
    ]
    assert bullmq.call("counts")["waiting"] == 0
    assert not list(source_redis.scan_iter(f"bull:{kind}:[0-9]*")), "hashes of moved jobs are left"
    assert import_bullmq(client, source.url, **place).moved == 0


def test_priorities_delays_attempts_and_backoffs_come_over(
    client: Client, bullmq: Bullmq, source: StoreServer, kind: str
) -> None:
    low = bullmq.call("add", "send", {}, {"priority": 3})
    high = bullmq.call("add", "send", {}, {"priority": 1})
    first = bullmq.call(
        "add", "send", {}, {"attempts": 4, "backoff": {"type": "exponential", "delay": 2_000}}
    )
    once = bullmq.call("add", "send", {})
    before_ms = time.time() * 1000
    later = bullmq.call("add", "send", {}, {"delay": 1_500, "jobId": "later/1", "deduplication": {"id": "x"}})
    after_ms = time.time() * 1000
    assert later == "later/1"

    summary = import_bullmq(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)

    assert summary.moved == 5
    (delayed,) = client.jobs.in_queue(kind, "1", state=JobState.DELAYED)
    assert delayed.job_id == "later/1"
    assert delayed.delayed_until is not None
    assert before_ms - 1 <= delayed.delayed_until - 1_500 <= after_ms + 1
    leased = client.dequeue(kind, 10)
    assert [job.job_id for job in leased] == [first, once, high, low]
    assert [job.requeues_remaining for job in leased] == [3, 0, 0, 0]
    client.release(leased[0])
    client.release(leased[1])
    retried = client.job(kind, "1", first)
    assert retried is not None
    assert retried.state == "delayed", "its backoff is 2 s"
    dead = client.job(kind, "1", once)
    assert dead is not None
    assert dead.state == "dead", "it had one attempt"
    due = client.dequeue(kind, wait_ms=5_000, lease_ms=60_000)
    assert due is not None
    assert due.job_id == delayed.job_id
    assert due.lease_expires_at - 60_000 >= delayed.delayed_until - 1
    again = bullmq.call(
        "add", "send", {}, {"delay": 60_000, "jobId": "later/1", "deduplication": {"id": "x"}}
    )
    assert again == "later/1"
    assert bullmq.call("counts")["delayed"] == 1, "the deduplication of a moved job is left"


def test_paused_queues_come_over(client: Client, bullmq: Bullmq, source: StoreServer, kind: str) -> None:
    bullmq.call("add", "send", {})
    bullmq.call("pause")
    bullmq.call("add", "send", {})
    summary = import_bullmq(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)
    assert (summary.moved, summary.waiting) == (2, 0)


def test_jobs_of_flows_and_schedulers_stay_and_bullmq_does_them(
    client: Client, bullmq: Bullmq, source: StoreServer, kind: str
) -> None:
    bullmq.call("flow")
    moved = bullmq.call("add", "send", {"customer": "acme"})
    bullmq.call("schedule", 3_600_000)
    summary = import_bullmq(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)
    assert (summary.moved, summary.refused) == (1, 2)
    assert {refusal.reason.partition(";")[0] for refusal in summary.refusals} == {
        "it belongs to a flow, which only BullMQ continues",
        "it belongs to a job scheduler",
    }
    assert [job.job_id for job in everything(client, kind)] == [moved]
    done = bullmq.call("work", 1_000)
    assert len(done) == 3, "the child, then its parent, and the scheduled job"


@pytest.mark.parametrize("step", ["claimed, not sent", "sent, not settled at BullMQ"])
def test_an_interrupted_run_is_continued(
    client: Client, bullmq: Bullmq, source: StoreServer, server: SharqServer, kind: str, step: str
) -> None:
    ids = [bullmq.call("add", "send", {"n": number}) for number in range(5)]
    with start_import("bullmq", server.url, source.url, kind, step, 1) as killed:
        assert killed.wait(60) == -9
    assert bullmq.call("work", 300) == [], "BullMQ has jobs that were perhaps moved"
    jobs = everything(client, kind)
    assert len(jobs) == (0 if step == "claimed, not sent" else 5)
    summary = import_bullmq(client, source.url, queue=kind, queue_type=kind, queue_id="1", interval=0)
    assert (summary.moved, summary.duplicates) == (5, len(jobs))
    jobs += everything(client, kind)
    assert [job.job_id for job in jobs] == ids
