"""Traces over real processes: producer, router, shard, store and worker, as a collector receives them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from sharq_client import AsyncClient, EnqueueJob, LeasedJob, Worker
from sharq_core.config import parse_url
from tests.support.http.collector import Collector, ReceivedSpan
from tests.support.ports import free_port
from tests.support.processes.servers import PATIENT, SharqCluster, SharqServer, running_server
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import running_store
from tests.support.waits import until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().running() as collector:
        yield collector


@pytest.fixture(scope="module")
def cluster(collector: Collector) -> Iterator[SharqCluster]:
    """One router and two shards whose spans go to the collector."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        environ = {
            "SHARQ_REDIS_KEY_PREFIX": f"traces-{uuid.uuid4().hex[:12]}",
            **collector.environ,
            **PATIENT,
        }
        cluster = SharqCluster(Path(directory), parse_url(store.url), environ, routers=1, shards=2)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[SharqServer]:
    """A sharq-server whose spans go to the collector."""
    with running_server(environ={**collector.environ, **PATIENT}) as running:
        yield running


@pytest.fixture
def kind() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


@contextmanager
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """This process's spans, in memory, while the block runs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter


async def post(url: str, body: object, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def whole(collector: Collector, trace_id: str, count: int) -> list[ReceivedSpan]:
    """The spans of a trace, once there are so many."""
    deadline_s = time.monotonic() + 20
    while len(spans := collector.spans(trace_id=trace_id)) < count:
        assert time.monotonic() < deadline_s, [span.name for span in spans]
        await asyncio.sleep(0.02)
    return spans


def tree(spans: list[ReceivedSpan], root: str) -> list[tuple[int, str, str, str]]:
    """The spans below a parent as (depth, service, kind, name), in the order of a walk."""
    found: list[tuple[int, str, str, str]] = []

    def walk(parent: str, depth: int) -> None:
        for span in spans:
            if span.parent_id == parent:
                found.append((depth, span.service, span.kind, span.name))
                walk(span.span_id, depth + 1)

    walk(root, 0)
    return found


async def test_an_enqueue_through_a_cluster_is_one_trace(
    cluster: SharqCluster, collector: Collector, kind: str
) -> None:
    body = {"payload": 1, "interval": 0, "job_id": "a"}
    trace_id = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-{SPAN}-01", "X-Request-Id": f"r-{kind}"}
    assert await post(f"{cluster.urls[0]}/enqueue/{kind}/q/", body, **headers) == 201
    spans = await whole(collector, trace_id, 4)
    assert tree(spans, SPAN) == [
        (0, "sharq-router", "server", "POST /enqueue/{queue_type}/{queue_id}/"),
        (1, "sharq-router", "client", "call Enqueue"),
        (2, "sharq-shard", "server", "handle Enqueue"),
        (3, "sharq-shard", "client", "FCALL enqueue"),
    ]
    request, call, handling, store = spans
    assert request.attributes == {
        "http.request.method": "POST",
        "url.path": f"/enqueue/{kind}/q/",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": "/enqueue/{queue_type}/{queue_id}/",
        "http.response.status_code": 201,
        "sharq.operation": "enqueue",
        "sharq.result": "ok",
        "sharq.request_id": f"r-{kind}",
    }
    assert call.attributes["sharq.jobs"] == handling.attributes["sharq.jobs"] == 1
    assert call.attributes["sharq.shard"] in {f"127.0.0.1:{shard.port}" for shard in cluster.shards}
    assert handling.attributes["sharq.shard"] in {"shard-1", "shard-2"}
    assert store.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "FCALL",
        "db.stored_procedure.name": "enqueue",
    }
    assert request.begin_ns <= call.begin_ns <= handling.begin_ns <= store.begin_ns
    assert store.end_ns <= handling.end_ns and call.end_ns <= request.end_ns
    assert not any(span.is_error for span in spans)


async def test_a_dequeue_that_waits_has_its_claim_below_it(
    server: SharqServer, collector: Collector, kind: str
) -> None:
    trace_id = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-{SPAN}-01"}
    waiting = asyncio.create_task(post(f"{server.url}/dequeue/{kind}/?wait=10000", None, **headers))
    await asyncio.sleep(0.3)
    assert await post(f"{server.url}/enqueue/{kind}/q/", {"payload": 1, "interval": 0}) == 201
    assert await waiting == 200
    spans = await whole(collector, trace_id, 3)
    walked = tree(spans, SPAN)
    assert walked[0] == (0, "sharq-server", "server", "POST /dequeue/{queue_type}/")
    assert (2, "sharq-server", "client", "FCALL dequeue") in walked


async def test_an_error_of_the_server_fails_its_spans_and_one_of_the_client_does_not(
    server: SharqServer, collector: Collector, kind: str
) -> None:
    assert await post(f"{server.url}/enqueue/{kind}/q/", {"interval": -1}, traceparent=SAMPLED) == 400
    wrong = await collector.one(trace_id=TRACE, name="POST /enqueue/{queue_type}/{queue_id}/")
    assert wrong.attributes["http.response.status_code"] == 400
    assert wrong.attributes["sharq.result"] == "invalid_request"
    assert not wrong.is_error and "error.type" not in wrong.attributes


async def test_unsampled_requests_and_probes_make_no_spans(
    server: SharqServer, collector: Collector, kind: str
) -> None:
    trace_id = uuid.uuid4().hex
    path = f"{server.url}/enqueue/{kind}/q/"
    body = {"payload": 1, "interval": 0}
    assert await post(path, body, traceparent=f"00-{trace_id}-{SPAN}-00") == 201
    async with aiohttp.ClientSession() as http:
        for probe in ("healthz", "readyz", "metrics"):
            async with http.get(f"{server.url}/{probe}") as answer:
                assert answer.status == 200
    later = uuid.uuid4().hex
    assert await post(path, body, traceparent=f"00-{later}-{SPAN}-01") == 201
    await whole(collector, later, 3)
    assert collector.spans(trace_id=trace_id) == []
    assert not [
        span
        for span in collector.spans()
        if span.name.startswith(("GET /healthz", "GET /readyz", "GET /metrics"))
    ]


async def test_a_job_is_one_trace_from_its_producer_to_its_worker(
    cluster: SharqCluster, collector: Collector, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()
    seen: list[LeasedJob] = []

    async def handle(job: LeasedJob) -> None:
        seen.append(job)
        done.set()

    with in_memory(monkeypatch) as exporter:
        async with AsyncClient(cluster.urls[0]) as client:
            await client.enqueue(EnqueueJob(queue_type=kind, queue_id="q", payload=1, interval=0))
            worker = Worker(client, kind, handle, wait_ms=500, handle_signals=False)
            async with worker:
                await asyncio.wait_for(done.wait(), 20)
    (send,) = [span for span in exporter.get_finished_spans() if span.name == f"enqueue {kind}"]
    (process,) = [span for span in exporter.get_finished_spans() if span.name == f"process {kind}"]
    context = send.get_span_context()
    assert context is not None and process.parent is not None
    assert process.parent.span_id == context.span_id
    trace_id, span_id = format_trace_id(context.trace_id), format_span_id(context.span_id)
    assert seen[0].traceparent == f"00-{trace_id}-{span_id}-{context.trace_flags:02x}"
    spans = await whole(collector, trace_id, 4)
    assert [name for _, _, _, name in tree(spans, span_id)] == [
        "POST /enqueue/{queue_type}/{queue_id}/",
        "call Enqueue",
        "handle Enqueue",
        "FCALL enqueue",
    ]
    (receive,) = [
        span
        for span in exporter.get_finished_spans()
        if span.name == f"dequeue {kind}"
        and span.attributes
        and span.attributes["messaging.batch.message_count"]
    ]
    assert [link.context.span_id for link in receive.links] == [context.span_id]
    receive_context = receive.get_span_context()
    assert receive_context is not None
    received = format_trace_id(receive_context.trace_id)
    await until(lambda: "FCALL dequeue" in [span.name for span in collector.spans(trace_id=received)])


async def test_the_last_spans_are_sent_at_the_stop(collector: Collector, kind: str) -> None:
    trace_id = uuid.uuid4().hex
    environ = {**collector.environ, "OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": f"own-{kind}"}
    with running_server(environ=environ) as server:
        body = {"payload": 1, "interval": 0}
        path = f"{server.url}/enqueue/{kind}/q/"
        assert await post(path, body, traceparent=f"00-{trace_id}-{SPAN}-01") == 201
        assert collector.spans(trace_id=trace_id) == []
        assert await asyncio.to_thread(server.stop) == 0
        spans = collector.spans(trace_id=trace_id)
        assert {span.service for span in spans} == {f"own-{kind}"} and len(spans) == 3


@pytest.mark.slow
async def test_a_collector_that_is_away_delays_nothing_and_is_told_rarely(
    collector: Collector, kind: str, stopwatch: Stopwatch
) -> None:
    environ = {**collector.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    environ["SHARQ_SHARQ_SERVER_SHUTDOWN_TIMEOUT"] = "2000"
    with running_server(environ=environ) as server:
        path = f"{server.url}/enqueue/{kind}/q/"
        async with aiohttp.ClientSession() as http:
            for _ in range(200):
                stopwatch.start()
                async with http.post(path, json={"payload": 1, "interval": 0}) as answer:
                    assert answer.status == 201
                stopwatch.assert_within(5, "the answer")
        server.until(lambda: "traces_not_sent" in server.log)
        await asyncio.sleep(1)
        stopwatch.start()
        assert await asyncio.to_thread(server.stop) == 0
        stopwatch.assert_within(2 + 5, "the stop: the exporter's own timeout is 10 s")
        lines = [line for line in server.log.splitlines() if "traces_not_sent" in line]
        assert "Traceback" not in server.log
    assert len(lines) == 1, lines


@pytest.mark.parametrize("module", ["sharq_server.main", "router.main", "shard.main"])
def test_without_the_extra_a_process_runs_and_refuses_traces_by_name(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages are blocked as if they were not installed; a look at the configuration comes before all else."""
    program = f"""
import sys
sys.modules["opentelemetry"] = None
import {module}
raise SystemExit({module}.main(sys.argv[1:]))
"""
    port = str(free_port())
    words = {
        "sharq_server.main": ["--port", port],
        "router.main": ["--listen", f"127.0.0.1:{port}", "--shards", "127.0.0.1:1"],
        "shard.main": ["--node-id", "n", "--listen", f"127.0.0.1:{port}"],
    }[module]
    monkeypatch.setenv("SHARQ_TELEMETRY_TRACES", "on")
    monkeypatch.setenv("SHARQ_REDIS_URL", "redis://127.0.0.1:1/0")
    found = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert "[telemetry] traces: expected off, because the extra otel is not installed" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_server_that_does_not_trace_imports_nothing_for_it(tmp_path: Path) -> None:
    """The driver of the store imports what OpenTelemetry has for metrics, if it is installed."""
    program = """
import sys
import router.main
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
import shard.main, sharq_server.main
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "sharq_core.telemetry.spans")
print([name for name in sys.modules if name.startswith(ours)])
"""
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"
