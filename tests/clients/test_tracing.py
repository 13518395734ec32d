"""Spans of the client and the worker, with the SDK's in-memory exporter, on the fake server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from sharq_client import (
    AsyncClient,
    Client,
    Drop,
    LeasedJob,
    Retry,
    RetryPolicy,
    RunningJob,
    Throttled,
    Worker,
    errors,
)
from sharq_client.testing import FakeSharq
from tests.clients.testing.fake import no_test_waits, sharq
from tests.support.processes.servers import SharqServer

__all__ = ["no_test_waits", "sharq"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KINDS = {"enqueue": SpanKind.PRODUCER, "process": SpanKind.CONSUMER}


class Spans:
    """The spans of this process."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self, name: str) -> list[ReadableSpan]:
        """Those of a name, by their begin."""
        found = [span for span in self._exporter.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (found,) = self.all(name)
        return found


@contextmanager
def provided(provider: TracerProvider) -> Iterator[None]:
    """The program's provider while the block runs: the API takes one for the life of a process only."""
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider
    try:
        yield
    finally:
        trace._TRACER_PROVIDER = before


@pytest.fixture
def spans() -> Iterator[Spans]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provided(provider):
        yield Spans(exporter)


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def linked(span: ReadableSpan) -> list[int]:
    """The ids of the spans that a span links to."""
    return [link.context.span_id for link in span.links]


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    return {"queue_type": "sms", "queue_id": "acme", "job_id": job_id, "payload": 1, "interval": 0, **fields}


def run(sharq: FakeSharq, handler: Any, **options: Any) -> None:
    """Run a worker until nothing is left to do."""
    sharq.run(Worker(sharq.async_client(), "sms", handler, handle_signals=False, **options))


async def nothing(_: LeasedJob) -> None:
    """Finish the job."""


def test_an_enqueue_is_a_producer_span_whose_context_the_job_has(sharq: FakeSharq, spans: Spans) -> None:
    sharq.client().enqueue(job("a"))
    span = spans.one("enqueue sms")
    assert span.kind is SpanKind.PRODUCER and span.parent is None and span.links == ()
    found = attributes(span)
    assert found.pop("server.address") and found.pop("server.port")
    assert found == {
        "messaging.system": "sharq",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "sms",
        "messaging.message.id": "a",
        "sharq.queue_id": "acme",
    }
    status = sharq.client().job("sms", "acme", "a")
    context = context_of(span)
    assert status is not None
    assert (
        status.traceparent == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    )


def test_an_enqueue_within_a_span_of_the_program_is_its_child(sharq: FakeSharq, spans: Spans) -> None:
    with trace.get_tracer("program").start_as_current_span("order") as order:
        sharq.client().enqueue(job("a"))
    parent = spans.one("enqueue sms").parent
    assert parent is not None and parent.span_id == order.get_span_context().span_id


def test_a_tracestate_that_is_too_long_for_the_server_is_left_out(sharq: FakeSharq, spans: Spans) -> None:
    for length in (500, 600):
        state = TraceState([("a", "x" * (length // 2)), ("b", "x" * (length // 2 - 5))])
        context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
        with trace.use_span(trace.NonRecordingSpan(context)):
            sharq.client().enqueue(job(str(length)))
    short, long = (sharq.client().job("sms", "acme", name) for name in ("500", "600"))
    assert short is not None and short.traceparent is not None and short.tracestate is not None
    assert long is not None and long.traceparent is not None and long.tracestate is None


def test_a_bulk_call_has_one_span_whose_context_all_its_jobs_have(sharq: FakeSharq, spans: Spans) -> None:
    jobs = [job("a"), job("b", traceparent=PARENT, tracestate="v=1"), job("c", queue_type="mail")]
    answers = sharq.client().enqueue_many(jobs)
    assert answers.failed == 0
    span = spans.one("enqueue")
    assert span.kind is SpanKind.PRODUCER
    assert attributes(span)["messaging.batch.message_count"] == 3
    assert "messaging.destination.name" not in attributes(span)
    assert linked(span) == [0xB7AD6B7169203331]
    own = f"{context_of(span).span_id:016x}"
    client = sharq.client()
    found = [client.job(kind, "acme", name) for kind, name in (("sms", "a"), ("sms", "b"), ("mail", "c"))]
    traces = [status.traceparent for status in found if status is not None and status.traceparent]
    assert [text.split("-")[2] for text in traces] == [own, "b7ad6b7169203331", own]
    assert found[1] is not None and found[1].tracestate == "v=1"


def test_failed_jobs_of_a_bulk_call_are_counted_and_fail_it_only_together(
    sharq: FakeSharq, spans: Spans
) -> None:
    sharq.client().enqueue_many([job("a"), job("b", cost=0)])
    sharq.client().enqueue_many([job("c", cost=0)])
    some, every = spans.all("enqueue sms")
    assert attributes(some)["sharq.failed"] == 1 and some.status.status_code is StatusCode.UNSET
    assert every.status.status_code is StatusCode.ERROR
    assert attributes(every)["error.type"] == "invalid_request"


def test_the_first_attempt_continues_the_trace_and_later_ones_link(sharq: FakeSharq, spans: Spans) -> None:
    async def fail_twice(job: LeasedJob) -> None:
        if job.attempt < 3:
            raise LookupError("no route")

    sharq.client().enqueue(job("a", delay=1000, retry=RetryPolicy(delay=1000)))
    run(sharq, fail_twice)
    made = context_of(spans.one("enqueue sms"))
    first, second, third = spans.all("process sms")
    assert first.kind is SpanKind.CONSUMER
    assert first.parent is not None and first.parent.span_id == made.span_id
    assert context_of(first).trace_id == made.trace_id and first.links == ()
    for later in (second, third):
        assert later.parent is None and linked(later) == [made.span_id]
        assert context_of(later).trace_id != made.trace_id
    assert [attributes(span)["sharq.attempt"] for span in (first, second, third)] == [1, 2, 3]
    for failed in (first, second):
        assert failed.status.status_code is StatusCode.ERROR
        assert attributes(failed)["error.type"] == "LookupError"
        assert [event.name for event in failed.events] == ["exception"]
    assert third.status.status_code is StatusCode.UNSET and "error.type" not in attributes(third)


def test_receive_and_settle_spans_link_to_the_jobs(sharq: FakeSharq, spans: Spans) -> None:
    client = sharq.client()
    client.enqueue(job("a"))
    made = context_of(spans.one("enqueue sms")).span_id
    (leased,) = client.dequeue("sms", 10)
    client.release(leased, 0)
    (leased,) = client.dequeue("sms", 10)
    client.finish(leased)
    assert client.dequeue("sms", 10) == []
    receives = spans.all("dequeue sms")
    assert [attributes(span)["messaging.batch.message_count"] for span in receives] == [1, 1, 0]
    assert [linked(span) for span in receives] == [[made], [made], []]
    for verb in ("release", "finish"):
        span = spans.one(f"{verb} sms")
        assert span.kind is SpanKind.CLIENT and linked(span) == [made]
        assert attributes(span)["messaging.operation.type"] == "settle"
        assert attributes(span)["messaging.message.id"] == "a"
    assert {span.kind for span in receives} == {SpanKind.CLIENT}


def test_a_refused_settle_has_the_code_of_the_error(sharq: FakeSharq, spans: Spans) -> None:
    with pytest.raises(errors.NotFound):
        sharq.client().finish({"queue_type": "sms", "queue_id": "acme", "job_id": "a", "lease": "00" * 16})
    span = spans.one("finish sms")
    assert span.status.status_code is StatusCode.ERROR and attributes(span)["error.type"] == "not_found"


def test_a_redriven_job_continues_its_trace_again(sharq: FakeSharq, spans: Spans) -> None:
    is_broken = True

    async def fail(_: LeasedJob) -> None:
        if is_broken:
            raise LookupError

    client = sharq.client()
    client.enqueue(job("a", requeue_limit=0, retry=None))
    run(sharq, fail)
    status = client.job("sms", "acme", "a")
    assert status is not None and status.state == "dead" and status.traceparent
    is_broken = False
    client.jobs.redrive("sms", "acme", "a")
    run(sharq, fail)
    made = context_of(spans.one("enqueue sms"))
    first, again = spans.all("process sms")
    assert [span.parent and span.parent.span_id for span in (first, again)] == [made.span_id] * 2
    assert attributes(again)["sharq.attempt"] == 1 and again.status.status_code is StatusCode.UNSET


def test_outcomes_that_are_no_failures_do_not_fail_the_span(sharq: FakeSharq, spans: Spans) -> None:
    outcomes: dict[str, Any] = {"a": Throttled(1), "b": Drop("gone"), "c": Retry(1)}

    async def handle(job: LeasedJob) -> object:
        outcome = outcomes.pop(job.job_id, None)
        if job.job_id == "b" and outcome is not None:
            return outcome
        if outcome is not None:
            raise outcome
        return None

    sharq.client().enqueue_many([job(name, queue_id=name) for name in "abc"])
    run(sharq, handle)
    by_id: dict[str, list[ReadableSpan]] = {}
    for span in spans.all("process sms"):
        by_id.setdefault(attributes(span)["messaging.message.id"], []).append(span)
    assert attributes(by_id["a"][0])["sharq.outcome"] == "throttled"
    assert attributes(by_id["b"][0])["sharq.outcome"] == "dropped"
    assert {span.status.status_code for span in (by_id["a"][0], by_id["b"][0])} == {StatusCode.UNSET}
    assert by_id["c"][0].status.status_code is StatusCode.ERROR
    assert attributes(by_id["c"][0])["error.type"] == "Retry"
    # An attempt that did not count is attempt 1 again.
    assert by_id["a"][1].parent is not None and by_id["c"][1].parent is None


def test_a_batch_handler_has_one_span_that_links_to_each_job(sharq: FakeSharq, spans: Spans) -> None:
    client = sharq.client()
    for name in "ab":
        client.enqueue(job(name, queue_id=name))
    worker = Worker(sharq.async_client(), handle_signals=False)

    @worker.handler("sms", batch=10)
    async def handle(jobs: list[RunningJob]) -> list[LookupError | None]:
        return [LookupError() if job.job_id == "b" and job.attempt == 1 else None for job in jobs]

    sharq.run(worker)
    made = [context_of(span).span_id for span in spans.all("enqueue sms")]
    both, rest = spans.all("process sms")
    assert both.parent is None and sorted(linked(both)) == sorted(made)
    assert attributes(both)["messaging.batch.message_count"] == 2 and attributes(both)["sharq.failed"] == 1
    assert both.status.status_code is StatusCode.UNSET and linked(rest) == [made[1]]


@pytest.mark.parametrize("is_async", [True, False])
def test_spans_of_a_handler_are_below_its_own_span_and_the_worker_s_start_is_not(
    sharq: FakeSharq, spans: Spans, is_async: bool
) -> None:
    tracer = trace.get_tracer("program")

    def work(_: LeasedJob) -> None:
        with tracer.start_as_current_span("send"):
            pass

    async def work_async(job: LeasedJob) -> None:
        work(job)

    sharq.client().enqueue(job("a"))
    with tracer.start_as_current_span("main"):
        run(sharq, work_async if is_async else work)
    inner, process = spans.one("send"), spans.one("process sms")
    assert inner.parent is not None and inner.parent.span_id == context_of(process).span_id
    assert {span.parent for span in spans.all("dequeue sms")} == {None}


def test_an_unsampled_producer_hands_on_that_nothing_is_sampled(sharq: FakeSharq, spans: Spans) -> None:
    with provided(TracerProvider(sampler=ALWAYS_OFF)):
        sharq.client().enqueue(job("a"))
    status = sharq.client().job("sms", "acme", "a")
    assert status is not None and status.traceparent is not None and int(status.traceparent[-2:], 16) % 2 == 0
    run(sharq, nothing)
    assert spans.all("process sms") == [] and spans.all("enqueue sms") == []


def test_tracing_can_be_turned_off_for_a_client_and_for_a_worker(sharq: FakeSharq, spans: Spans) -> None:
    connections = sharq.async_client()._transport._connections
    quiet = AsyncClient("http://sharq", connections=connections, tracing=False)
    asyncio.run(quiet.enqueue(job("a")))
    status = sharq.client().job("sms", "acme", "a")
    assert status is not None and status.traceparent is None
    sharq.client().enqueue(job("b"))
    run(sharq, nothing, tracing=False)
    assert spans.all("process sms") == [] and len(spans.all("enqueue sms")) == 1


def test_a_program_that_uses_no_opentelemetry_has_no_traces(sharq: FakeSharq) -> None:
    client = sharq.client()
    client.enqueue(job("a"))
    status = client.job("sms", "acme", "a")
    assert status is not None and status.traceparent is None
    run(sharq, nothing)


@pytest.mark.parametrize("blocked", ["opentelemetry", ""], ids=["not-installed", "not-used"])
def test_without_opentelemetry_nothing_of_it_is_imported_and_all_works(
    server: SharqServer, kind: str, blocked: str
) -> None:
    program = f"""
import asyncio, sys
if {blocked!r}:
    sys.modules[{blocked!r}] = None
from sharq_client import Client, AsyncClient, Worker
client = Client({server.url!r})
client.enqueue({{"queue_type": {kind!r}, "queue_id": "q", "payload": 1, "interval": 0}})
client.enqueue_many([{{"queue_type": {kind!r}, "queue_id": "q", "payload": 2, "interval": 0}}])
seen = []
async def main():
    async with AsyncClient({server.url!r}) as own:
        worker = Worker(own, {kind!r}, lambda job: seen.append(job.traceparent), wait_ms=100)
        async with worker:
            while len(seen) < 2:
                await asyncio.sleep(0.01)
asyncio.run(main())
assert seen == [None, None], seen
print([name for name in sys.modules if name.startswith("opentelemetry") and sys.modules[name]])
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr


def test_requests_carry_the_context_of_the_current_span(server: SharqServer, kind: str, spans: Spans) -> None:
    """A header, so that a traced server continues the trace; it wins nothing over the field of the job."""
    with trace.get_tracer("program").start_as_current_span("order") as order, Client(server.url) as client:
        headers = client.tracing.headers({"Authorization": "Bearer t"})
        context = order.get_span_context()
        assert headers == {
            "Authorization": "Bearer t",
            "traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}",
        }
        client.enqueue(job("a", queue_type=kind))
        status = client.job(kind, "acme", "a")
    made = context_of(spans.one(f"enqueue {kind}"))
    assert status is not None and status.traceparent is not None
    assert status.traceparent.split("-")[2] == f"{made.span_id:016x}"
