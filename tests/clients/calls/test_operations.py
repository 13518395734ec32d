"""Every operation of the HTTP API has a method in both clients, and takes its values as mappings, too."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from sharq_client import (
    AsyncClient,
    Cap,
    ClusterState,
    EnqueueJob,
    InvalidRequest,
    JobChange,
    JobRef,
    JobState,
    QueueSettings,
    TypeSettings,
    Window,
)
from tests.clients.both import OPENERS, OpenClient
from tests.support.processes.servers import SharqServer, get_json

VALUES = {
    "queue_type": "t",
    "queue_id": "q",
    "job_id": "j",
    "window": "w",
    "schedule": "s",
    "batch": "b",
    "cap": "c",
}
JOB = EnqueueJob(queue_type="t", queue_id="q", payload=1)
REF = JobRef("t", "q", "j", "lease")

CALLS: dict[tuple[str, str], Callable[[AsyncClient], Awaitable[object]]] = {
    ("GET", "/"): lambda c: c.control.greeting(),
    ("GET", "/batch/t/b/"): lambda c: c.jobs.batch("t", "b"),
    ("GET", "/cap/c/"): lambda c: c.control.cap("c"),
    ("GET", "/caps/"): lambda c: anext(c.control.caps()),
    ("GET", "/cluster/"): lambda c: c.control.cluster(),
    ("GET", "/dead/t/"): lambda c: anext(c.dead("t")),
    ("GET", "/deepstatus/"): lambda c: c.deepstatus(),
    ("GET", "/healthz"): lambda c: c.healthz(),
    ("GET", "/job/t/q/j/"): lambda c: c.job("t", "q", "j"),
    ("GET", "/metrics"): lambda c: c.control.prometheus(),
    ("GET", "/metrics/"): lambda c: c.counts(),
    ("GET", "/metrics/t/"): lambda c: anext(c.queues("t")),
    ("GET", "/metrics/t/q/"): lambda c: c.queue_counts("t", "q"),
    ("GET", "/openapi.json"): lambda c: c.control.openapi(),
    ("GET", "/queue/t/q/"): lambda c: c.queue("t", "q"),
    ("GET", "/queue/t/q/jobs/"): lambda c: anext(c.jobs.in_queue("t", "q")),
    ("GET", "/queues/t/"): lambda c: anext(c.control.queues("t")),
    ("GET", "/readyz"): lambda c: c.readyz(),
    ("GET", "/schedule/s/"): lambda c: c.control.schedules.get("s"),
    ("GET", "/schedules/"): lambda c: anext(c.control.schedules.list()),
    ("GET", "/token/"): lambda c: c.control.token(),
    ("GET", "/top/t/"): lambda c: c.control.queue_ages("t"),
    ("GET", "/type/t/"): lambda c: c.control.type("t"),
    ("GET", "/types/"): lambda c: anext(c.control.types()),
    ("GET", "/window/w/"): lambda c: c.control.window("w"),
    ("GET", "/windows/"): lambda c: anext(c.control.windows()),
    ("POST", "/batch/t/b/cancel/"): lambda c: c.jobs.cancel_batch("t", "b"),
    ("POST", "/cancel/"): lambda c: c.jobs.cancel_many([REF]),
    ("POST", "/cap/c/hold/"): lambda c: c.control.hold_cap("c", 1_000),
    ("POST", "/dead/t/drop/"): lambda c: c.drop_dead_many("t", [{"queue_id": "q", "job_id": "j"}]),
    ("POST", "/dead/t/redrive/"): lambda c: c.redrive("t"),
    ("POST", "/dead/t/q/j/redrive/"): lambda c: c.jobs.redrive("t", "q", "j"),
    ("POST", "/dequeue/"): lambda c: c.dequeue(["t", "u"]),
    ("POST", "/dequeue/t/"): lambda c: c.dequeue("t"),
    ("POST", "/enqueue/"): lambda c: c.enqueue_many([JOB]),
    ("POST", "/enqueue/t/q/"): lambda c: c.enqueue(JOB),
    ("POST", "/extend/"): lambda c: c.extend_many([REF], 1_000),
    ("POST", "/extend/t/q/j/"): lambda c: c.extend(REF, 1_000),
    ("POST", "/finish/"): lambda c: c.finish_many([REF]),
    ("POST", "/finish/t/q/j/"): lambda c: c.finish(REF),
    ("POST", "/interval/t/q/"): lambda c: c.set_interval("t", "q", 1),
    ("POST", "/pause/"): lambda c: c.control.pause_all(),
    ("POST", "/queue/t/q/"): lambda c: c.control.set_queue("t", "q", QueueSettings(weight=2)),
    ("POST", "/queue/t/q/cancel/"): lambda c: c.jobs.cancel_matching("t", "q", "j"),
    ("POST", "/queue/t/q/pause/"): lambda c: c.pause("t", "q"),
    ("POST", "/queue/t/q/resume/"): lambda c: c.resume("t", "q"),
    ("POST", "/release/"): lambda c: c.release_many([REF]),
    ("POST", "/release/t/q/j/"): lambda c: c.release(REF),
    ("POST", "/resume/"): lambda c: c.control.resume_all(),
    ("POST", "/schedule/s/pause/"): lambda c: c.control.schedules.pause("s"),
    ("POST", "/schedule/s/resume/"): lambda c: c.control.schedules.resume("s"),
    ("POST", "/type/t/"): lambda c: c.control.set_type("t", TypeSettings(max_leased=2)),
    ("POST", "/type/t/pause/"): lambda c: c.control.pause_type("t"),
    ("POST", "/type/t/resume/"): lambda c: c.control.resume_type("t"),
    ("PUT", "/cap/c/"): lambda c: c.control.put_cap("c", Cap(max_leased=2)),
    ("PUT", "/schedule/s/"): lambda c: c.control.schedules.put("s", JOB, every_ms=1_000),
    ("PUT", "/window/w/"): lambda c: c.control.put_window("w", Window(tz="UTC", open=[])),
    ("PATCH", "/job/t/q/j/"): lambda c: c.jobs.change("t", "q", "j", JobChange(priority=1)),
    ("DELETE", "/cap/c/"): lambda c: c.control.drop_cap("c"),
    ("DELETE", "/dead/t/"): lambda c: c.drop_dead("t"),
    ("DELETE", "/dead/t/q/j/"): lambda c: c.jobs.drop_dead_letter("t", "q", "j"),
    ("DELETE", "/deletequeue/t/q/"): lambda c: c.delete_queue("t", "q"),
    ("DELETE", "/job/t/q/j/"): lambda c: c.jobs.cancel("t", "q", "j"),
    ("DELETE", "/schedule/s/"): lambda c: c.control.schedules.delete("s"),
    ("DELETE", "/type/t/"): lambda c: c.control.clear_type("t"),
    ("DELETE", "/window/w/"): lambda c: c.control.drop_window("w"),
}
"""Each operation with a call that sends it."""

NOT_SENT = {("GET", "/dequeue/"), ("GET", "/dequeue/t/")}
"""A dequeue is sent with POST, since HTTP clients and proxies repeat a GET by themselves."""


class Recorded:
    """Connections that note what would be sent, and send nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def exchange(self, method: str, url: str, *_: object, **__: object) -> tuple[int, bytes]:
        self.sent.append((method, urlsplit(url).path))
        raise InvalidRequest("recorded")

    def close(self) -> None:
        pass


class AsyncRecorded(Recorded):
    """The same for the async client."""

    async def exchange(self, method: str, url: str, *_: object, **__: object) -> tuple[int, bytes]:  # type: ignore[override]
        return super().exchange(method, url)

    async def close(self) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize("kind_of_client", list(OPENERS))
async def test_every_operation_has_a_method(server: SharqServer, kind_of_client: str) -> None:
    document = get_json(f"{server.url}/openapi.json")
    operations = {
        (method.upper(), re.sub(r"\{(\w+)\}", lambda match: VALUES[match[1]], path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert set(CALLS) == operations - NOT_SENT
    for operation, call in CALLS.items():
        recorded = AsyncRecorded() if kind_of_client == "async" else Recorded()
        async with OPENERS[kind_of_client](server.url, connections=recorded) as client:
            with suppress(InvalidRequest):
                await call(client)
        assert recorded.sent == [operation]


async def test_cluster_and_its_documents_are_shown(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with open_client(server.url) as client:
        cluster = await client.control.cluster()
        assert isinstance(cluster, ClusterState) and cluster.partitions == 64
        (member,) = cluster.members
        assert member.store is not None and member.store.is_reachable and member.store.mode == "single"
        token = await client.control.token()
        assert token.name is None and token.ops == ["produce", "work", "read", "operate", "admin"]
        assert await client.deepstatus() is True
        assert await client.control.greeting() == "Hello, SharQ!"
        assert "# HELP sharq_" in await client.control.prometheus()
        assert (await client.control.openapi())["openapi"].startswith("3.1")
        await client.enqueue({"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0})
        (row,) = await client.control.queue_ages(kind, "depth")
        assert (row.queue_id, row.queued) == ("1", 1) and row.oldest_age is not None


async def test_values_may_be_mappings_with_the_names_of_the_api(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    gathered, window = f"{kind}~carrier", f"w-{kind}"
    async with open_client(server.url) as client:
        stats = await client.control.set_queue(kind, "1", {"rate": "40/s", "retry": {"delay": 5}})
        assert (stats.interval, stats.retry and stats.retry.delay) == (25, 5)
        quotas = [{"quota": 9, "period": "day"}]
        of_type = await client.control.set_type(gathered, {"limits": [{"rate": "5/s"}], "quotas": quotas})
        assert (of_type.limits[0].rate, of_type.quotas[0].quota) == ("5/s", 9)
        ranges = [{"days": "daily", "from": "00:00", "to": "24:00"}]
        await client.control.put_window(window, {"tz": "UTC", "open": ranges, "except": ["2030-01-01"]})
        state = await client.control.window(window)
        assert state is not None and state.closed_dates == ["2030-01-01"] and state.open[0].ends == "24:00"
        await client.control.schedules.put(
            f"s-{kind}", {"queue_type": kind, "queue_id": "2", "payload": 1, "interval": 0}, every_ms=60_000
        )
        for job_id in ("a", "b", "c"):
            await client.enqueue(
                {"queue_type": kind, "queue_id": "1", "job_id": job_id, "payload": 1, "interval": 0}
            )
        ref = {"queue_type": kind, "queue_id": "1", "job_id": "a"}
        assert (await client.jobs.change(kind, "1", "a", {"priority": 1})).priority == 1
        assert await client.jobs.cancel_many([{**ref, "job_id": "c"}]) == [JobState.QUEUED]
        jobs = await client.dequeue(kind, 10, wait_ms=5_000)
        assert await client.finish_many(
            [{**ref, "lease": job.lease} for job in jobs if job.job_id == "a"]
        ) == [None]
        (refused,) = await client.redrive_many(kind, [{"queue_id": "1", "job_id": "z"}])
        assert refused is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c: c.control.set_queue("t", "q", {"rte": 1}),
            "settings.rte: unknown; the known fields are: ",
        ),
        (lambda c: c.control.set_type("t~x", {"limits": [{"rat": 1}]}), "settings.limits[0].rat: unknown"),
        (
            lambda c: c.control.put_window("w", {"tz": "UTC", "open": [{"days": "mon"}]}),
            "window.open[0].from: req",
        ),
        (lambda c: c.jobs.change("t", "q", "j", {"prio": 1}), "change.prio: unknown"),
        (lambda c: c.finish({"queue_type": "t", "queue_id": "q"}), "job.job_id: required"),
        (lambda c: c.redrive_many("t", [{"job_id": "j"}]), "letter.queue_id: required"),
        (
            lambda c: c.control.set_queue("t", "q", TypeSettings()),
            "settings: expected QueueSettings or a mapping",
        ),
    ],
)
async def test_wrong_mapping_is_refused_before_it_is_sent(
    open_client: OpenClient, call: Callable[[Any], Awaitable[object]], message: str
) -> None:
    async with open_client("http://127.0.0.1:1") as client:
        with pytest.raises(InvalidRequest) as refused:
            await call(cast(Any, client))
    assert refused.value.message.startswith(message)
