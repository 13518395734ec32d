"""The types of the fields about the trace of a job, in requests and in answers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from router.api.fields import Expected
from sharq_core.telemetry.trace_context import MAX_TRACESTATE_BYTES, TRACEPARENT_PATTERN, TRACESTATE_PATTERN

Traceparent: TypeAlias = Annotated[
    str,
    Meta(
        pattern=TRACEPARENT_PATTERN,
        description="The context of the trace in which the job is made, in the form of W3C Trace Context, as "
        "`00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. It is kept with the job, and a dequeue hands it to "
        "the worker. If it is absent, a single enqueue takes the request header of this name.",
    ),
    Expected(
        "a traceparent of W3C Trace Context, as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ),
]
Tracestate: TypeAlias = Annotated[
    str,
    Meta(
        pattern=TRACESTATE_PATTERN,
        max_length=MAX_TRACESTATE_BYTES,
        description="What tracing systems add to the `traceparent`, a list of `key=value`, as it is: up to "
        f"{MAX_TRACESTATE_BYTES} printable ASCII characters. Only together with the field `traceparent`.",
    ),
    Expected(f"a string of up to {MAX_TRACESTATE_BYTES} printable ASCII characters"),
]
TraceparentOut: TypeAlias = Annotated[
    str,
    Meta(
        description="The context of the trace in which the job was made, in the form of W3C Trace Context; absent if "
        "it has none."
    ),
]
TracestateOut: TypeAlias = Annotated[
    str, Meta(description="What tracing systems added to the `traceparent`; absent if they added nothing.")
]
