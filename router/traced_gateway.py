"""The entry point of requests while tracing is on: a span around each request.

The spans follow OpenTelemetry's conventions for HTTP servers; docs/tracing.md describes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.api.life.trace_values import TRACEPARENT, trace_of
from router.api.routes.table import SERVED
from router.http.gateway import PROBES, Gateway
from router.http.request import Request
from router.http.response import Response
from sharq_core.errors import SharqError
from sharq_core.telemetry import call_traces

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import RecordedSpan, Spans


def _depth(path: str) -> int:
    """Return the number of segments of a path, with or without a slash at its end."""
    return path.strip("/").count("/")


_TEMPLATES = {(route.operation, _depth(path)): path for route in SERVED for path in reversed(route.paths)}
"""(operation, number of segments) → the path in the API's document, for `http.route`."""


def template_of(operation: str, path: str) -> str:
    """Return the path in the API's document that a request of an operation has used."""
    return _TEMPLATES[operation, _depth(path)]


class TracedGateway:
    """A gateway whose requests have spans, except those of probes and scrapes.

    A request with a trace context continues that trace. A request without one begins a trace, if the sampler wants it.

    Attributes:
        parser: that of the gateway.
    """

    def __init__(self, gateway: Gateway, spans: Spans) -> None:
        from sharq_core.telemetry.spans import SpanKind  # noqa: PLC0415 - it needs the extra otel

        self.parser = gateway.parser
        self._gateway = gateway
        self._spans = spans
        self._kind = SpanKind.SERVER

    async def answer(self, request: Request) -> Response:
        """Return the response to a request; see Gateway."""
        span = self._begin(request)
        if span is None:
            return await self._gateway.answer(request)
        before = call_traces.current.set(span)
        try:
            response = await self._gateway.answer(request)
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        else:
            span.set(
                {
                    "http.response.status_code": response.status,
                    "sharq.result": response.result,
                    "sharq.request_id": response.request_id,
                }
            )
            if response.status >= 500:
                span.fail(response.result)
            return response
        finally:
            call_traces.current.reset(before)
            span.end()

    def _begin(self, request: Request) -> RecordedSpan | None:
        parent = trace_of(request.headers) if TRACEPARENT in request.headers else b""
        if self._spans.leaves_out(parent):
            return None
        operation = self._operation(request)
        if operation in PROBES:
            return None
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "url.path": request.rel_url.raw_path,
            "url.scheme": "https" if _has_tls(request) else "http",
            "network.protocol.version": f"{request.version.major}.{request.version.minor}",
        }
        name = request.method
        if operation is not None:
            template = template_of(operation, request.rel_url.raw_path)
            attributes |= {"http.route": template, "sharq.operation": operation}
            name = f"{request.method} {template}"
        return self._spans.begin(name, self._kind, parent, attributes)

    def _operation(self, request: Request) -> str | None:
        """Return the operation of a request; None if there is none at its path."""
        try:
            endpoint, _ = self._gateway.paths.find(request.method, request.rel_url.raw_path)
        except SharqError:
            return None
        return endpoint.operation


def _has_tls(request: Request) -> bool:
    return request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
