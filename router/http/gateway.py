"""The top of every request: routing, admission control, metrics, and the response to every failure."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import HttpVersion11
from msgspec import Struct
from multidict import istr

from router.audit.audit_log import AuditLog
from router.bodies.parser import BodyParser
from router.bodies.room import BodyRoom
from router.http.errors import failure_answer
from router.http.gate import Gate
from router.http.metrics import RouterMetrics
from router.http.path_table import Paths
from router.http.request import NO_MEMORY, Request
from router.http.response import Response
from router.http.tokens import Guard
from router.readiness import Readiness
from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest, Overloaded, TooLarge
from sharq_core.http_port.body_pace import is_senders_fault
from sharq_core.logs import request_ids

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

_REQUEST_ID = istr("X-Request-Id")
_EXPECT = istr("Expect")

_BODY_REFUSALS = (Overloaded, TooLarge)
"""The errors that reject a body while it is still being received."""

DISCARDED_BODIES = 4
"""A rejected body is read and dropped if it is at most this many times as long as the longest permitted body."""

PROBES = frozenset({"healthz", "readyz", "prometheus"})
"""Never rejected: a liveness probe that fails under load makes the load worse."""


class Endpoint(Struct, frozen=True):
    """An operation and its handler."""

    operation: str
    handler: Handler


class Gateway:
    """The entry point of every request. It bounds the work in flight (I11).

    Attributes:
        paths: the endpoints by method and path.
        parser: parses bodies; the caller closes it with the server.
        settings: the bounds.
        in_flight: the number of unanswered requests, without those that may wait.
        waiting: the number of unanswered requests with `wait`, parked (router/longpoll) or not.
        room: the memory for the bodies of all unanswered requests, without the first bytes of each.
    """

    def __init__(
        self,
        paths: Paths[Endpoint],
        metrics: RouterMetrics,
        settings: RouterSettings,
        readiness: Readiness,
        guard: Guard | None = None,
        gate: Gate | None = None,
        parser: BodyParser | None = None,
        audit_log: AuditLog | None = None,
    ) -> None:
        self.parser = parser or BodyParser()
        self.settings = settings
        self.paths = paths
        self._unmatched = metrics.meter("unmatched")
        operations = {endpoint.operation for endpoint in paths.targets()}
        self._meters = {operation: metrics.meter(operation) for operation in operations}
        self._readiness = readiness
        self._guard = guard
        self._gate = gate or Gate()
        self._audit_log = audit_log
        self.in_flight = 0
        self.waiting = 0
        self.room = BodyRoom(settings.max_in_flight_bytes, settings.free_body_bytes)
        metrics.watch_load(lambda: self.in_flight, lambda: self.waiting)
        metrics.watch_bodies(lambda: self.room.used_bytes, lambda: self.room.given_way)

    async def answer(self, request: Request) -> Response:
        """Return the response to a request. It does not raise. A request that may wait is not timed."""
        started_s = time.perf_counter()
        given_id = request.headers.get(_REQUEST_ID)
        request_id = next(request_ids.new_ids) if given_id is None else request_ids.accept(given_id)
        request_ids.current.set(request_id)
        meter = self._unmatched
        may_wait = is_audited = is_body_refused = False
        try:
            endpoint, request.path_values = self.paths.find(request.method, request.rel_url.raw_path)
            meter = self._meters[endpoint.operation]
            self._gate.check_origin(request, endpoint.operation)
            is_audited = self._audit_log is not None and endpoint.operation in self._audit_log.operations
            if self._guard is not None:
                self._guard.check(request, endpoint.operation)
            self._gate.check_form(request)
            may_wait = endpoint.operation in _WAITING and "wait" in request.query
            response = await self._run(request, endpoint, may_wait=may_wait)
        except Exception as error:  # noqa: BLE001 - the top of a request: failure_answer logs unexpected errors
            response = failure_answer(error, meter.operation)
            if is_senders_fault(response.status):
                request.count_as_wasted()
            is_body_refused = request.body_exists and isinstance(error, _BODY_REFUSALS)
        if is_body_refused:  # only now: the error's traceback would keep the first part of the body in memory
            await self._read_rest(request, response)
        if not may_wait:
            meter.durations.observe(time.perf_counter() - started_s)
        meter.count(response.result)
        response.request_id = request_id
        if is_audited and self._audit_log is not None:
            await self._audit_log.note(request, meter.operation, response, request_id)
        if request.rest_s and not self._readiness.is_draining:
            await request.rest()
        if self._readiness.is_draining or request.ends_connection:
            response.force_close()
        return response

    async def _run(self, request: Request, endpoint: Endpoint, *, may_wait: bool) -> Response:
        """Run a handler while the request and its body count against the bounds."""
        if may_wait:
            if self.waiting >= self.settings.max_waiting:
                raise Overloaded(f"{self.waiting} waiting requests are in flight already")
            self.waiting += 1
        else:
            if self.in_flight >= self.settings.max_in_flight and endpoint.operation not in PROBES:
                raise Overloaded(f"{self.in_flight} requests are in flight already")
            self.in_flight += 1
        try:
            if request.body_exists:
                if _EXPECT in request.headers:
                    self._check_length(request.body_bytes)
                    await _go_on(request)
                declared_bytes = request.body_bytes
                if declared_bytes is None or declared_bytes > self.settings.free_body_bytes:
                    await self._take_in(request, declared_bytes)
            return await endpoint.handler(request)
        finally:
            if request.arrival is not None:
                request.arrival.close()
            if may_wait:
                self.waiting -= 1
            else:
                self.in_flight -= 1

    async def _take_in(self, request: Request, declared_bytes: int | None) -> None:
        """Read a body that may be large, and count the received bytes against the room for bodies."""
        self._check_length(declared_bytes)
        try:
            await request.body(self.room)
        except MemoryError:
            raise Overloaded(NO_MEMORY) from None

    def _check_length(self, declared_bytes: int | None) -> None:
        limit_bytes = self.settings.max_body_bytes
        if declared_bytes is not None and declared_bytes > limit_bytes:
            raise TooLarge(f"body: {declared_bytes} bytes, at most {limit_bytes} are allowed")

    async def _read_rest(self, request: Request, response: Response) -> None:
        """Read and drop the rest of a rejected body, or close the connection if that would take too long.

        The client may not read the response before it has sent the whole body, and an early close would discard the
        response.
        """
        limit_bytes = DISCARDED_BODIES * self.settings.max_body_bytes
        declared_bytes = request.body_bytes
        is_coming = _EXPECT not in request.headers or request.has_gone_on
        is_short = declared_bytes is None or declared_bytes <= limit_bytes
        if not (is_coming and is_short and await request.discard(limit_bytes)):
            response.force_close()


_WAITING = frozenset({"dequeue", "job"})
"""The operations that may wait."""


async def _go_on(request: Request) -> None:
    """Send `100 Continue` to a client that waits for it before its body, as curl does for a large one."""
    if request.version != HttpVersion11:
        return
    if request.headers[_EXPECT].lower() != "100-continue":
        raise InvalidRequest("Expect: only 100-continue is supported")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0
    request.has_gone_on = True
