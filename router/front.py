"""The one middleware: lets requests in or refuses them, counts and times them, and answers every failure.

Not here: what failures look like (router/errors.py) and what is done for a request (the handlers).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from router.answers import Answer
from router.errors import failure_answer
from router.metrics import OperationMeter, RouterMetrics
from router.readiness import Readiness
from router.settings import RouterSettings
from sharq_core.errors import Overloaded, TooLarge

Handler: TypeAlias = Callable[[web.Request], Awaitable[Answer]]
AnyHandler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PROBES = frozenset({"healthz", "readyz", "prometheus"})
"""Let in always: who is restarted for being busy is busier afterwards."""


class Front:
    """Bounds what is in flight (I11) and answers for every request.

    Attributes:
        in_flight: unanswered requests, those that wait for a job left out.
        waiting: unanswered dequeues with `wait`; router/polls.py bounds those.
        body_bytes: bodies of all unanswered requests.
    """

    def __init__(
        self,
        operations: Mapping[AnyHandler, str],
        metrics: RouterMetrics,
        settings: RouterSettings,
        readiness: Readiness,
    ) -> None:
        meters = {operation: metrics.meter(operation) for operation in operations.values()}
        self._meters = {handler: meters[operation] for handler, operation in operations.items()}
        self._unmatched = metrics.meter("unmatched")
        self._settings = settings
        self._readiness = readiness
        self.in_flight = 0
        self.waiting = 0
        self.body_bytes = 0
        metrics.watch_load(lambda: self.in_flight, lambda: self.waiting)

    @web.middleware
    async def answer(self, request: web.Request, handler: AnyHandler) -> web.StreamResponse:
        """Runs a handler. A request that may wait is neither timed nor counted against the bound."""
        meter = self._meters.get(handler, self._unmatched)
        if meter.operation == "dequeue" and "wait=" in request.query_string:
            return await self._run_waiting(request, handler, meter)
        started_s = time.perf_counter()
        try:
            response = await self._run_bounded(request, handler, meter.operation)
        except Exception as error:  # noqa: BLE001 - the top of a request: failure_answer logs what it does not know
            response = failure_answer(error, meter.operation)
        meter.observe_s(time.perf_counter() - started_s)
        return self._counted(response, meter)

    def _counted(self, response: web.StreamResponse, meter: OperationMeter) -> web.StreamResponse:
        meter.count(response.result if isinstance(response, Answer) else "ok")
        if self._readiness.is_draining:
            response.force_close()
        return response

    async def _run_bounded(
        self, request: web.Request, handler: AnyHandler, operation: str
    ) -> web.StreamResponse:
        if self.in_flight >= self._settings.max_in_flight and operation not in _PROBES:
            raise Overloaded(f"{self.in_flight} requests are in flight already")
        self.in_flight += 1
        try:
            return await self._run(request, handler)
        finally:
            self.in_flight -= 1

    async def _run_waiting(
        self, request: web.Request, handler: AnyHandler, meter: OperationMeter
    ) -> web.StreamResponse:
        self.waiting += 1
        try:
            response = await self._run(request, handler)
        except Exception as error:  # noqa: BLE001 - as in answer
            response = failure_answer(error, meter.operation)
        finally:
            self.waiting -= 1
        return self._counted(response, meter)

    async def _run(self, request: web.Request, handler: AnyHandler) -> web.StreamResponse:
        """Runs a handler while its body counts against the bound."""
        if not request.body_exists:
            return await handler(request)
        body_bytes = self._expected_bytes(request)
        self._take_bytes(body_bytes)
        try:
            if _declared_bytes(request) is None:
                actual_bytes = len(await request.read())
                self.body_bytes += actual_bytes - body_bytes
                body_bytes = actual_bytes
            return await handler(request)
        finally:
            self.body_bytes -= body_bytes

    def _expected_bytes(self, request: web.Request) -> int:
        """What a body may come to: its declared length, or the limit while one of unknown length is read."""
        limit_bytes = self._settings.max_body_bytes
        declared_bytes = _declared_bytes(request)
        if declared_bytes is not None and declared_bytes > limit_bytes:
            raise TooLarge(f"body: {declared_bytes} bytes, at most {limit_bytes} are allowed")
        return limit_bytes if declared_bytes is None else declared_bytes

    def _take_bytes(self, body_bytes: int) -> None:
        if self.body_bytes + body_bytes > self._settings.max_in_flight_bytes:
            raise Overloaded(f"{self.body_bytes} bytes of requests are in flight already")
        self.body_bytes += body_bytes


def _declared_bytes(request: web.Request) -> int | None:
    """A body's length; None for one that is chunked or compressed."""
    return None if "Content-Encoding" in request.headers else request.content_length
