"""Measures how fast `import_original` moves jobs from the original's Redis to a `sharq-server`."""

from __future__ import annotations

import time

import msgspec
from redis import Redis

from benchmarks.figures.report import Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.processes.servers import sharq_server, store
from sharq_client import Client
from sharq_client.migration import Summary, import_original

JOBS = 50_000
QUEUES = {"500 jobs in each of 100 queues": 100, "5 jobs in each of 10,000 queues": 10_000}
PAYLOAD = msgspec.msgpack.encode({"text": "x" * 90})
PREFIX = "original"


def run(is_quick: bool) -> Report:
    """In each round, fill a source, try the import dry, and move everything."""
    rows: list[Row] = []
    for name, queues in QUEUES.items():
        rounds = [_measure(queues) for _ in range(1 if is_quick else 5)]
        for dry, moved in rounds:
            assert dry.moved == moved.moved == JOBS
        rows += [
            Row(f"dry run, {name}", "jobs/s", Spread.of([JOBS / dry.seconds for dry, _ in rounds])),
            Row(f"import, {name}", "jobs/s", Spread.of([JOBS / moved.seconds for _, moved in rounds])),
        ]
    return Report(
        name="migration",
        question="How fast does an import from the original move its jobs?",
        parameters={
            "server": "one sharq-server on a store of its own, with an append-only file",
            "source": "a Redis with the original's keys, each payload of about 100 bytes, each interval 1 s",
            "jobs": str(JOBS),
        },
        rows=rows,
        notes=["Server, both stores and the import share the machine's cores."],
    )


def _measure(queues: int) -> tuple[Summary, Summary]:
    with (
        store(is_durable=True) as target,
        store(is_durable=False) as source,
        sharq_server(target.url) as server,
        Client(server.url) as client,
    ):
        _fill(source.client, queues)
        dry = import_original(client, source.url, prefix=PREFIX, dry_run=True)
        return dry, import_original(client, source.url, prefix=PREFIX, lease_ms=60_000)


def _fill(redis: Redis, queues: int) -> None:
    """Write what the original's enqueue writes."""
    now_ms = int(time.time() * 1000)
    names = [f"customer-{number}" for number in range(queues)]
    redis.sadd(f"{PREFIX}:ready:queue_type", "sms")
    for name in names:
        job_ids = [f"job-{number}" for number in range(JOBS // queues)]
        with redis.pipeline(transaction=False) as pipe:
            pipe.rpush(f"{PREFIX}:sms:{name}", *job_ids)
            pipe.hset(f"{PREFIX}:payload", mapping={f"sms:{name}:{job_id}": PAYLOAD for job_id in job_ids})
            pipe.hset(f"{PREFIX}:interval", f"sms:{name}", 1000)
            pipe.hset(f"{PREFIX}:sms:{name}:requeues_remaining", mapping=dict.fromkeys(job_ids, -1))
            pipe.zadd(f"{PREFIX}:sms", {name: now_ms})
            pipe.execute()
