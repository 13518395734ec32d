"""Makes the spans of routers and shards with OpenTelemetry. It is imported only while tracing is on (setup.py)."""

from __future__ import annotations

import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    TraceState,
)

from sharq_core.errors import SharqError
from sharq_core.telemetry import trace_context
from sharq_core.version import __version__

__all__ = ["RecordedSpan", "SpanKind", "Spans"]

_STORE = {"db.system.name": "redis", "db.operation.name": "FCALL"}
"""The attributes of every call to the store. Valkey speaks the same protocol and has no name of its own there."""


_SAMPLED = 0x01


class Spans:
    """The maker of spans of one process.

    Args:
        follows_parents: the sampler leaves out every span whose parent is not sampled, so that it need not be asked.
    """

    def __init__(self, provider: TracerProvider, *, follows_parents: bool = True) -> None:
        self._tracer = provider.get_tracer("sharq", __version__)
        self._follows_parents = follows_parents

    def leaves_out(self, parent: bytes) -> bool:
        """Return True if a span with this parent would certainly be left out."""
        return self._follows_parents and parent != b"" and not parent[24] & _SAMPLED

    def begin(
        self, name: str, kind: SpanKind, parent: bytes, attributes: Mapping[str, str | int]
    ) -> RecordedSpan | None:
        """Begin a span; return None if the sampler leaves it out.

        Args:
            parent: the packed context of the parent; empty for a span that begins a trace.
        """
        span = self._tracer.start_span(name, _context_of(parent), kind, attributes)
        return RecordedSpan(self._tracer, span) if span.is_recording() else None


class RecordedSpan:
    """A span that is being recorded (call_traces.CallTrace)."""

    def __init__(self, tracer: trace.Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def context(self) -> bytes:
        """Its context in the packed form, without its tracestate if that is too long for the link."""
        span_context = self._span.get_span_context()
        ids = span_context.trace_id.to_bytes(16) + span_context.span_id.to_bytes(8)
        state = span_context.trace_state.to_header().encode()
        is_short = len(state) <= trace_context.MAX_TRACESTATE_BYTES
        return ids + bytes((span_context.trace_flags & 0xFF,)) + (state if is_short else b"")

    def add_store_call(self, function: str, jobs: int, sent_at: float, error: SharqError | None) -> None:
        """Add a span of a call to the store that ends now; see call_traces.CallTrace."""
        attributes: dict[str, str | int] = {**_STORE, "db.stored_procedure.name": function}
        if jobs > 1:
            attributes["db.operation.batch.size"] = jobs
        end_ns = time.time_ns()
        begin_ns = end_ns - int((time.monotonic() - sent_at) * 1e9)
        context = trace.set_span_in_context(self._span)
        span = self._tracer.start_span(
            f"FCALL {function}", context, SpanKind.CLIENT, attributes, start_time=begin_ns
        )
        if error is not None:
            _fail(span, error.code, error.message)
        span.end(end_ns)

    def set(self, attributes: Mapping[str, str | int]) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def fail(self, error_type: str, message: str = "") -> None:
        """Record that the work failed.

        Args:
            error_type: a word from a small set: the code of an error, a status, or the name of an exception.
        """
        _fail(self._span, error_type, message)

    def end(self) -> None:
        """End the span."""
        self._span.end()


def _fail(span: Span, error_type: str, message: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, message or None))


def _context_of(packed: bytes) -> Context:
    """Return the context of a remote parent; that of no parent if the bytes hold none."""
    if len(packed) < trace_context.PARENT_BYTES:
        return Context()
    tracestate = trace_context.tracestate(packed)
    parent = SpanContext(
        int.from_bytes(packed[:16]),
        int.from_bytes(packed[16:24]),
        is_remote=True,
        trace_flags=TraceFlags(packed[24]),
        trace_state=TraceState.from_header([tracestate]) if tracestate else None,
    )
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())
