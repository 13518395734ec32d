"""Provides the jobs of the benchmarks of single calls, and leases for the script that finishes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.load import jobs
from sharq_client import EnqueueJob

QUEUE_TYPE = "sms"
QUEUES = 100
INTERVAL_MS = 1
"""A limit that is kept and that no queue reaches: 100 queues may give 100,000 jobs a second."""
LEASE_MS = 3_600_000
PAYLOAD = msgspec.json.encode({"message": "hello, world", "to": "4912345678"})


def enqueue_words(word: str) -> tuple[str, str, str]:
    """Arguments of load/enqueue.lua; `word` begins each job_id."""
    return word, str(QUEUES), str(INTERVAL_MS)


def fill(url: str, word: str, count: int, queues: int = QUEUES) -> None:
    """Queue `count` jobs, over the queues in turn.

    Raises:
        Spoiled: one was refused.
    """
    new = [
        EnqueueJob(
            queue_type=QUEUE_TYPE,
            queue_id=f"q{number % queues}",
            job_id=f"{word}-{number}",
            payload=msgspec.Raw(PAYLOAD),
            interval=INTERVAL_MS,
            requeue_limit=None,
            retry=None,
        )
        for number in range(count)
    ]
    jobs.enqueue(url, new)


@contextmanager
def leases(url: str, count: int) -> Iterator[str]:
    """Lease jobs and write them to a file as load/finish.lua reads it and yield its path.

    Raises:
        Spoiled: fewer were ready.
    """
    leased = jobs.lease(url, QUEUE_TYPE, count, LEASE_MS)
    with tempfile.NamedTemporaryFile("w", prefix="sharq-bench-") as file:
        file.writelines(f"{job.queue_id} {job.job_id} {job.lease}\n" for job in leased)
        file.flush()
        yield file.name
