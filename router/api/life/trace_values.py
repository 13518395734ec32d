"""Turns the fields and headers about the trace of a job into values, and back."""

from __future__ import annotations

from msgspec import UNSET, UnsetType, structs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from router.api.request_shapes import EnqueueBody, EnqueueEntry
from sharq_core.errors import InvalidRequest
from sharq_core.models import NewJob
from sharq_core.telemetry import trace_context

TRACEPARENT = istr("traceparent")
_TRACESTATE = istr("tracestate")


def with_trace(job: NewJob, form: EnqueueBody | EnqueueEntry, place: str) -> NewJob:
    """Return a new job with the trace that the fields of its request give it.

    Args:
        place: the path of the fields in the body, as `jobs[3].`; empty for the body itself.

    Raises:
        InvalidRequest: there is a tracestate without a traceparent.
    """
    if isinstance(form.traceparent, UnsetType):
        raise InvalidRequest(f"{place}tracestate: expected no tracestate without a traceparent")
    tracestate = "" if isinstance(form.tracestate, UnsetType) else form.tracestate
    return structs.replace(job, trace=trace_context.pack(form.traceparent, tracestate))


def with_trace_of(job: NewJob, headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> NewJob:
    """Return a new job that has no trace with the one of the headers of its request.

    A malformed header counts as absent, as the W3C asks.
    """
    trace = trace_of(headers)
    return structs.replace(job, trace=trace) if trace else job


def trace_of(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> bytes:
    """Return the packed trace context of a request; empty for none."""
    parents = headers.getall(TRACEPARENT, ())
    if len(parents) != 1:
        return b""
    return trace_context.from_headers(parents[0], ",".join(headers.getall(_TRACESTATE, ())))


def traceparent_out(trace: bytes) -> str | UnsetType:
    """Return the traceparent of an answer."""
    return trace_context.traceparent(trace) if trace else UNSET


def tracestate_out(trace: bytes) -> str | UnsetType:
    """Return the tracestate of an answer."""
    return (trace_context.tracestate(trace) if trace else "") or UNSET
