"""Receives spans as an OpenTelemetry collector does: OTLP over HTTP, in protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.waits import until

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came, with ids in hexadecimal digits."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    is_error: bool
    begin_ns: int
    end_ns: int

    def __hash__(self) -> int:
        return hash(self.span_id)


class Collector:
    """A collector on a port of its own.

    Attributes:
        requests: the number of requests so far.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which a process sends its spans here at once."""
        return {
            "SHARQ_TELEMETRY_TRACES": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        found = []
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                found += [_span(service, span) for span in scope.spans]
        with self._lock:
            self.requests += 1
            self._spans += found

    def spans(self, **wanted: object) -> list[ReceivedSpan]:
        """Return the spans so far whose fields have some values, in the order in which they began."""
        with self._lock:
            spans = list(self._spans)
        fits = [span for span in spans if all(getattr(span, name) == value for name, value in wanted.items())]
        return sorted(fits, key=lambda span: span.begin_ns)

    async def one(self, **wanted: object) -> ReceivedSpan:
        """Wait for the one span whose fields have some values, and return it."""
        await until(lambda: self.spans(**wanted), what=f"there is a span with {wanted}")
        (found,) = self.spans(**wanted)
        return found

    @contextmanager
    def running(self) -> Iterator[Collector]:
        """Receive while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _span(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service,
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        _values(span.attributes),
        span.status.code == 2,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
