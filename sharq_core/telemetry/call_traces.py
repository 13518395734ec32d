"""The span that the current work belongs to, for the parts that pass it on or add to it; none while nothing is traced.

This module imports nothing of OpenTelemetry, and costs a look at a context variable. The spans are made in spans.py,
and only if tracing is on (setup.py).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from sharq_core.errors import SharqError


class CallTrace(Protocol):
    """A span that is being recorded, of a request or of a call."""

    @property
    def context(self) -> bytes:
        """Its context in the packed form (trace_context.py)."""
        ...

    def add_store_call(self, function: str, jobs: int, sent_at: float, error: SharqError | None) -> None:
        """Add a span of a call to the store that ends now.

        Args:
            function: the name of the function in the store.
            jobs: the number of jobs that the call is about.
            sent_at: the time (time.monotonic) at which it was sent.
            error: None if it succeeded.
        """
        ...


current: ContextVar[CallTrace | None] = ContextVar("call_trace", default=None)
"""The span that this task's work belongs to; None if it is not recorded."""

from_link: ContextVar[bytes] = ContextVar("trace_from_link", default=b"")
"""The packed context that came over the link with the call that this task handles; empty for none."""
