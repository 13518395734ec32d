"""`sharq import`: the commands over the imports, which tests/clients/migration tests themselves."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from sharq_client import Client
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.stores.server import StoreServer, running_store


@pytest.fixture(scope="module")
def source() -> Iterator[StoreServer]:
    with running_store("redis") as server:
        yield server


@pytest.fixture
def redis(source: StoreServer) -> Iterator[Redis]:
    with source.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def celery_message(task_id: str, args: list[object], headers: dict[str, object] | None = None) -> str:
    """Return a message as Celery 5 writes it."""
    body = base64.b64encode(json.dumps([args, {}, {}]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": "app.send", "id": task_id, **(headers or {})},
            "properties": {"body_encoding": "base64", "priority": 0, "correlation_id": task_id},
        }
    )


def test_celery_tasks_move_and_those_that_cannot_are_told(
    server: SharqServer, sharq: Sharq, source: StoreServer, redis: Redis, kind: str
) -> None:
    redis.lpush("celery", celery_message("t1", ["acme", 1]), celery_message("t2", ["beta", 2]), "nonsense")
    words = ["import", "celery", kind, "$.args.0", "--from", source.url, "--rate", "40/s"]
    dry = sharq(*words, "--dry-run", code=1)
    assert dry.out.startswith("Dry run: nothing was changed.")
    assert redis.llen("celery") == 3
    outcome = sharq(*words, "--json", code=1)
    summary = outcome.document
    assert (summary["moved"], summary["refused"]) == (2, 1)
    assert "1 jobs were not moved" in outcome.err
    with Client(server.url) as client:
        job = client.job(kind, "acme", "t1")
        assert job is not None and job.payload == {"task": "app.send", "args": ["acme", 1], "kwargs": {}}
        stats = client.queue(kind, "beta")
        assert stats is not None and (stats.queued, stats.rate) == (1, "40/s")


def test_nothing_to_import_is_no_failure(sharq: Sharq, source: StoreServer, redis: Redis, kind: str) -> None:
    assert redis.dbsize() == 0
    for words in (
        ["original", "--prefix", "nothing-here"],
        ["original", "--dry-run"],
        ["bullmq", kind, "acme", "--queue", "none", "--rate", "1/s"],
    ):
        text = sharq("import", *words, "--from", source.url).out
        assert "jobs moved" in text, words
    assert (
        "0 queues with 0 jobs are given back"
        in sharq("import", "original", "--undo", "--from", source.url).out
    )


def test_import_that_follows_ends_with_a_signal(sharq: Sharq, source: StoreServer, redis: Redis) -> None:
    words = [str(SCRIPT), "import", "original", "--follow", "--from", source.url, "--json"]
    with subprocess.Popen(words, env=sharq.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        deadline_s = time.monotonic() + 30
        while len(redis.client_list()) < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert json.loads(out)["moved"] == 0


def test_what_is_wrong_with_an_import_is_told(sharq: Sharq, source: StoreServer) -> None:
    assert "--from: " in sharq("import", "original", "--from", "redis://127.0.0.1:9/0", code=4).err
    assert "--from" in sharq("import", "original", code=2).err
    assert sharq("import", "original", "--from", "http://x", code=2).err
    wrong = sharq("import", "original", "--from", source.url, "--undo", "--follow", code=2)
    assert "--undo" in wrong.err
