"""Reads and writes the trace of a job, as the server does: as a context of version 00 of W3C Trace Context."""

from __future__ import annotations

from msgspec import UnsetType

from sharq_client import errors
from sharq_client.testing.engine.records import Trace

_KNOWN_FLAGS = 0x03
"""Sampled, and a random trace id. The server sends the others as 0."""


def trace_of(traceparent: str | UnsetType, tracestate: str | UnsetType, place: str = "") -> Trace | None:
    """Return the trace of a new job; None for none.

    Raises:
        InvalidRequest: there is a tracestate without a traceparent.
    """
    if isinstance(traceparent, UnsetType):
        if isinstance(tracestate, UnsetType):
            return None
        raise errors.InvalidRequest(f"{place}tracestate: expected no tracestate without a traceparent")
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    state = "" if isinstance(tracestate, UnsetType) else tracestate
    return f"00-{trace_id}-{span_id}-{int(flags, 16) & _KNOWN_FLAGS:02x}", state


def trace_facts(trace: Trace) -> dict[str, object]:
    """Return the fields of an answer about a job with a trace."""
    traceparent, tracestate = trace
    return {"traceparent": traceparent, **({"tracestate": tracestate} if tracestate else {})}
