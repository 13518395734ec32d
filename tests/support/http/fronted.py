"""A gateway on real HTTP, before a handler that does what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from router.http.gateway import Endpoint, Gateway
from router.http.metrics import RouterMetrics
from router.http.path_table import Paths
from router.http.request import Request
from router.http.response import Response
from router.http.server import ApiPort, Bounds
from router.readiness import Readiness
from router.settings import RouterSettings
from sharq_core.http_port.body_pace import BodyPace
from tests.support.waits import until_answer

SETTINGS = RouterSettings(
    max_in_flight=2, max_waiting=5, max_in_flight_bytes=1000, free_body_bytes=0, max_body_bytes=600
)

BOUNDS = Bounds(
    max_connections=1000,
    header_timeout_s=10,
    body_timeout_s=10,
    answer_timeout_s=10,
    keepalive_timeout_s=10,
)

Handle = Callable[[Request], Awaitable[Response]]


async def content_of(request: Request) -> bytes:
    """Return the content of a body that is not large."""
    body = await request.body()
    assert isinstance(body, bytes)
    return body


class Fronted:
    """A gateway before one handler, served as `enqueue` at /enqueue and as `dequeue` at /dequeue."""

    def __init__(self, handle: Handle) -> None:
        self.registry = CollectorRegistry()
        paths: Paths[Endpoint] = Paths()
        paths.add("POST", "/enqueue", Endpoint("enqueue", handle))
        paths.add("POST", "/dequeue", Endpoint("dequeue", handle))
        paths.add("GET", "/healthz", Endpoint("healthz", _healthz))
        self.gateway = Gateway(paths, RouterMetrics(self.registry), SETTINGS, Readiness())
        self.port = ApiPort(self.gateway.answer, BOUNDS, SETTINGS.max_body_bytes, None)
        self.url = ""

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sharq_router_{name}", labels)


async def _healthz(_: Request) -> Response:
    return Response(b"{}")


Serve = Callable[[Handle], Awaitable[Fronted]]


@asynccontextmanager
async def serving() -> AsyncIterator[Serve]:
    """Serves a handler behind a gateway on a free port of the loopback, until the end."""
    async with AsyncExitStack() as stack:

        async def start(handle: Handle) -> Fronted:
            fronted = Fronted(handle)
            runner = web.ServerRunner(fronted.port, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            fronted.url = "http://{}:{}".format(*runner.addresses[0])
            return fronted

        yield start


async def in_flight_is(fronted: Fronted, count: int) -> None:
    """Wait for this number of requests."""

    async def ask() -> int:
        return fronted.gateway.in_flight

    await until_answer(ask, lambda now: now == count)


def is_at_full_speed(pace: BodyPace) -> bool:
    """Return True if a piece of a body does not wait."""
    receipt = pace.receive(1.0)
    try:
        receipt.send(None)
    except StopIteration:
        return True
    receipt.close()
    return False
