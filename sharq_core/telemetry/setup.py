"""Switches tracing on: makes the exporter, and hands over the remaining spans when the process stops.

The variables of OpenTelemetry (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME and others) say the
rest. Spans are sent by a thread of the SDK: if the collector is away, requests do not wait, and spans are dropped once
its queue is full.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from sharq_core.errors import ConfigError
from sharq_core.logs.rare_log import RareLog
from sharq_core.process.stop import Stop

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import Spans

log = logging.getLogger("sharq.telemetry")

TROUBLE_EVERY_S = 30.0
"""The least time in seconds between two lines about spans that cannot be sent."""

_LEAST_FLUSH_S = 0.5
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


class _Provider(Protocol):
    """The part of the SDK's provider that ends it."""

    def shutdown(self) -> None:
        """Send the remaining spans."""
        ...


def start_traces(is_on: bool, service: str, stack: AsyncExitStack, stop: Stop) -> Spans | None:  # noqa: FBT001 - the setting
    """Return the maker of spans; None if tracing is off. The stack's end sends the remaining spans.

    Args:
        is_on: the setting [telemetry] traces.
        service: the name of the service, unless a variable of OpenTelemetry gives another.

    Raises:
        ConfigError: tracing is on, and the extra `otel` is not installed.
    """
    if not is_on:
        return None
    try:
        for name in _NEEDED:
            import_module(name)
    except ImportError as error:
        raise ConfigError(
            "[telemetry] traces: expected off, because the extra otel is not installed, which has the packages "
            f"opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http ({error})"
        ) from error
    spans, provider = _make(service)
    _tell_rarely()
    stack.push_async_callback(_end, provider, stop)
    log.info("traces_on service=%s", service)
    return spans


def _make(service: str) -> tuple[Spans, _Provider]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased  # noqa: PLC0415

    from sharq_core.telemetry.spans import Spans  # noqa: PLC0415

    is_named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if is_named else {"service.name": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider, follows_parents=isinstance(provider.sampler, ParentBased)), provider


class _Troubles(logging.Handler):
    """The handler of what the SDK logs: a line at most every TROUBLE_EVERY_S."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._log = RareLog(log, TROUBLE_EVERY_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Log the message, without its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        reason = record.getMessage() if error is None else f"{record.getMessage()}: {error}"
        self._log.warning("traces_not_sent reason=%r", reason[:500])


def _tell_rarely() -> None:
    """Route the log of the SDK and of its exporter through _Troubles."""
    sdk = logging.getLogger("opentelemetry")
    sdk.handlers = [_Troubles()]
    sdk.propagate = False


async def _end(provider: _Provider, stop: Stop) -> None:
    """Send the remaining spans, or give them up when the time of the stop is over.

    The SDK waits for a collector that is away. That happens in a thread that ends with the process.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def send() -> None:
        provider.shutdown()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=send, name="traces-end", daemon=True).start()
    try:
        async with asyncio.timeout(stop.left_s(_LEAST_FLUSH_S)):
            await done.wait()
    except TimeoutError:
        log.warning("traces_given_up: the last spans could not be sent in time")
