"""The fake server of sharq_client.testing: its clock, planned failures, and what a test asks it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sharq_client import (
    AsyncClient,
    JobState,
    QueueSettings,
    Quota,
    TypeSettings,
    Window,
    errors,
)
from sharq_client.campaigns.windows import OpenRange
from sharq_client.testing import FakeSharq
from tests.clients.testing.fake import START_MS, no_test_waits, put, sharq

__all__ = ["no_test_waits", "sharq"]


def test_a_sync_long_poll_moves_the_clock_to_the_job(sharq: FakeSharq) -> None:
    put(sharq, "a", delay=4_000)
    job = sharq.client().dequeue("sms", wait_ms=10_000)
    assert job is not None and job.job_id == "a"
    assert sharq.now_ms == START_MS + 4_000
    assert sharq.client().dequeue("sms", wait_ms=10_000) is None
    assert sharq.now_ms == START_MS + 14_000


async def test_an_async_long_poll_sees_what_another_task_enqueues(sharq: FakeSharq) -> None:
    client = sharq.async_client()
    poll = asyncio.create_task(client.dequeue("sms", wait_ms=10_000))
    await asyncio.sleep(0)
    put(sharq, "a")
    job = await poll
    assert job is not None and sharq.now_ms == START_MS


def test_a_wait_for_a_job_passes_in_the_time_of_the_fake(sharq: FakeSharq) -> None:
    put(sharq, "a", delay=90_000, expires=120_000)
    status = sharq.client().jobs.wait("sms", "acme", "a", timeout_s=100)
    assert status is not None and status.state is JobState.QUEUED
    assert sharq.now_ms == START_MS + 100_000
    status = sharq.client().jobs.wait("sms", "acme", "a")
    assert status is not None and status.state is JobState.DEAD
    assert sharq.now_ms == START_MS + 120_000


def test_the_clock_moves_forward_only(sharq: FakeSharq) -> None:
    sharq.advance(0.25)
    assert sharq.now_ms == START_MS + 250
    with pytest.raises(ValueError, match="seconds"):
        sharq.advance(-1)


def test_retries_follow_the_clock_of_the_fake(sharq: FakeSharq) -> None:
    sharq.fail_next(errors.Unavailable, times=2)
    put(sharq, "a")
    assert START_MS + 2_000 < sharq.now_ms < START_MS + 6_000


@pytest.mark.parametrize(
    "error", [errors.Unavailable, errors.StoreFull, errors.Overloaded, errors.Unauthorized, errors.QueueFull]
)
def test_a_planned_error_is_raised_and_nothing_is_done(
    sharq: FakeSharq, error: type[errors.SharqError]
) -> None:
    sharq.fail_next(error)
    client = sharq.client(retries=0)
    with pytest.raises(error):
        client.enqueue({"queue_type": "sms", "queue_id": "acme", "payload": 1, "interval": 0})
    assert sharq.jobs("sms") == []
    client.enqueue({"queue_type": "sms", "queue_id": "acme", "payload": 1, "interval": 0})
    assert len(sharq.jobs("sms")) == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_an_unknown_outcome_is_done_or_not(sharq: FakeSharq, is_done: bool) -> None:
    sharq.fail_next(errors.OutcomeUnknown, is_done=is_done)
    with pytest.raises(errors.OutcomeUnknown):
        sharq.client(retries=0).enqueue(
            {"queue_type": "sms", "queue_id": "acme", "payload": 1, "interval": 0}
        )
    assert len(sharq.jobs("sms")) == is_done


def test_a_planned_failure_waits_for_its_verb(sharq: FakeSharq) -> None:
    sharq.fail_next(errors.OutcomeUnknown, verb="finish")
    put(sharq, "a")
    job = sharq.client().dequeue("sms")
    assert job is not None
    with pytest.raises(errors.OutcomeUnknown):
        sharq.client(retries=0).finish(job)


def test_a_plan_that_contradicts_itself_is_refused(sharq: FakeSharq) -> None:
    with pytest.raises(ValueError, match="is_done: Unavailable says that nothing was done"):
        sharq.fail_next(errors.Unavailable, is_done=True)
    with pytest.raises(ValueError, match="times"):
        sharq.fail_next(times=0)


def test_jobs_are_asked_for_by_queue_and_state(sharq: FakeSharq) -> None:
    put(sharq, "a", "b")
    put(sharq, "c", queue_id="other", delay=1_000)
    sharq.client().dequeue("sms")
    assert [(job.job_id, str(job.state)) for job in sharq.jobs("sms")] == [
        ("a", "leased"),
        ("b", "queued"),
        ("c", "delayed"),
    ]
    assert [job.queue_id for job in sharq.jobs("sms", "other")] == ["other"]
    assert [job.job_id for job in sharq.jobs("sms", state=JobState.QUEUED)] == ["b"]


def test_equal_queues_take_turns_while_the_clock_stands_still(sharq: FakeSharq) -> None:
    for queue_id in ("a", "b", "c"):
        put(sharq, "1", "2", queue_id=queue_id)
    client = sharq.client()
    jobs = [client.dequeue("sms") for _ in range(6)]
    assert [job and job.queue_id for job in jobs] == ["a", "b", "c", "a", "b", "c"]


def test_many_threads_use_one_fake(sharq: FakeSharq) -> None:
    client = sharq.client()

    def enqueue(number: int) -> None:
        for n in range(50):
            client.enqueue({"queue_type": "sms", "queue_id": f"q{number}", "payload": n, "interval": 0})

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sharq.jobs("sms")) == 400


def test_lists_and_counts_answer(sharq: FakeSharq) -> None:
    client = sharq.client()
    put(sharq, *(f"j{n:03}" for n in range(250)))
    assert len(list(client.jobs.in_queue("sms", "acme"))) == 250
    assert list(client.queues("sms")) == ["acme"]
    client.dequeue("sms", 10)
    sharq.advance(60)
    (row,) = client.control.queues("sms")
    assert (row.queued, row.leased, row.delivered) == (250, 0, 10)
    (kind,) = client.control.types()
    assert (kind.queue_type, kind.enqueued, kind.delivered) == ("sms", 250, 10)
    assert sum(client.counts().dequeue_counts.values()) == 10
    assert client.healthz() and client.readyz()


@pytest.mark.parametrize(
    ("feature", "call"),
    [
        ("windows", lambda client: client.control.window("days")),
        ("windows", lambda client: client.control.set_queue("sms", "a", QueueSettings(window="days"))),
        (
            "windows",
            lambda client: client.enqueue(
                {"queue_type": "a", "queue_id": "a", "payload": 1, "window": "days"}
            ),
        ),
        ("schedules", lambda client: client.control.schedules.get("daily")),
        ("ordered lists of queues", lambda client: client.control.top_queues("sms", "depth")),
        (
            "quotas",
            lambda client: client.control.set_type(
                "sms~a", TypeSettings(quotas=[Quota(quota=1, period="day")])
            ),
        ),
        (
            "windows",
            lambda client: client.control.put_window(
                "days", Window(tz="UTC", open=[OpenRange(days="daily", begins="08:00", ends="20:00")])
            ),
        ),
    ],
)
async def test_a_feature_that_the_fake_does_not_have_is_named(
    sharq: FakeSharq, feature: str, call: Callable[[AsyncClient], Any]
) -> None:
    with pytest.raises(NotImplementedError, match=f"{feature} are not part of the fake"):
        await call(sharq.async_client())
