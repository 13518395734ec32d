"""The fake server of the tests, and short ways to put jobs into it and to read what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sharq_client import EnqueueJob, LeasedJob, Worker
from sharq_client.testing import Delivery, FakeSharq

START_MS = 1_700_000_000_000


@pytest.fixture
def sharq() -> FakeSharq:
    return FakeSharq(now_ms=START_MS)


@pytest.fixture(autouse=True)
def no_test_waits() -> Iterator[None]:
    """No test waits in real time, whatever passes in that of the fake."""
    began_s = time.monotonic()
    yield
    assert time.monotonic() - began_s < 20


def put(sharq: FakeSharq, *job_ids: str, queue_id: str = "acme", **fields: Any) -> None:
    """Enqueue jobs of type sms, whose payloads are their ids."""
    for job_id in job_ids:
        terms = {"interval": 0, "retry": None, **fields}
        sharq.client().enqueue(
            EnqueueJob(queue_type="sms", queue_id=queue_id, job_id=job_id, payload=job_id, **terms)
        )


def worker(sharq: FakeSharq, handler: Callable[[LeasedJob], object], **options: Any) -> Worker:
    return Worker(sharq.async_client(), "sms", handler, **options)


def nothing(_: LeasedJob) -> None:
    """A handler that succeeds."""


def seen(deliveries: list[Delivery]) -> list[tuple[int, str, str]]:
    """Time since the start, job and outcome of each."""
    return [(time_ms - START_MS, job.job_id, outcome) for time_ms, job, outcome in deliveries]
