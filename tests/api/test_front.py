"""The bounds of the front and its last resort, on real HTTP before handlers that do what the test says."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry

from router.answers import Answer
from router.front import Endpoint, Front
from router.incoming import Request, request_factory
from router.metrics import RouterMetrics
from router.paths import Paths
from router.readiness import Readiness
from router.settings import RouterSettings
from sharq_core.errors import OutcomeUnknown, QueueFull, SharqError, StoreFull, Unavailable
from tests.api.contract import open_raw, until

SETTINGS = RouterSettings(
    max_in_flight=2, max_waiting=5, max_in_flight_bytes=1000, free_body_bytes=0, max_body_bytes=600
)

Handle = Callable[[Request], Awaitable[Answer]]


class Fronted:
    """A front before one handler, served as `enqueue` at /enqueue and as `dequeue` at /dequeue."""

    def __init__(self, handle: Handle) -> None:
        self.registry = CollectorRegistry()
        paths: Paths[Endpoint] = Paths()
        paths.add("POST", "/enqueue", Endpoint("enqueue", handle))
        paths.add("POST", "/dequeue", Endpoint("dequeue", handle))
        paths.add("GET", "/healthz", Endpoint("healthz", _healthz))
        self.front = Front(paths, RouterMetrics(self.registry), SETTINGS, Readiness())
        self.url = ""

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sharq_router_{name}", labels)


async def _healthz(_: Request) -> Answer:
    return Answer(b"{}")


Serve = Callable[[Handle], Awaitable[Fronted]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a handler behind a front on a free port of the loopback, until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(handle: Handle) -> Fronted:
            fronted = Fronted(handle)
            server = web.Server(
                fronted.front.answer,  # type: ignore[arg-type] # it gets what the request factory makes
                request_factory=request_factory(SETTINGS.max_body_bytes, body_timeout_s=10),
                auto_decompress=False,
                access_log=None,
            )
            runner = web.ServerRunner(server, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            fronted.url = "http://{}:{}".format(*runner.addresses[0])
            return fronted

        yield start


async def in_flight_is(fronted: Fronted, count: int) -> None:
    async def ask() -> int:
        return fronted.front.in_flight

    await until(ask, lambda now: now == count)


async def test_more_requests_than_allowed_are_refused_at_once(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    async def handle(_: Request) -> Answer:
        await go_on.wait()
        return Answer(b"{}")

    fronted = await serve(handle)
    held = [asyncio.create_task(http.post(f"{fronted.url}/enqueue")) for _ in range(2)]
    await in_flight_is(fronted, 2)
    assert fronted.sample("in_flight_requests") == 2
    async with http.post(f"{fronted.url}/enqueue") as refused:
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "1"
        assert (await refused.json())["code"] == "overloaded"
    async with http.get(f"{fronted.url}/nope") as unmatched:
        assert unmatched.status == 404
    async with http.get(f"{fronted.url}/healthz") as probe:
        assert probe.status == 200
    go_on.set()
    assert [(await response).status for response in held] == [200, 200]
    await in_flight_is(fronted, 0)
    assert fronted.sample("requests_total", operation="enqueue", result="overloaded") == 1


@pytest.mark.parametrize(
    ("request_line", "header", "status_line", "connection", "body"),
    [
        ("POST /enqueue HTTP/1.1", "", "HTTP/1.1 201 Created", None, b"{}"),
        ("POST /enqueue HTTP/1.1", "Connection: close", "HTTP/1.1 201 Created", "close", b"{}"),
        ("POST /enqueue HTTP/1.0", "", "HTTP/1.0 201 Created", "close", b"{}"),
        ("POST /enqueue HTTP/1.0", "Connection: keep-alive", "HTTP/1.0 201 Created", "keep-alive", b"{}"),
        ("HEAD /enqueue HTTP/1.1", "Connection: close", "HTTP/1.1 405 Method Not Allowed", "close", b""),
    ],
)
async def test_an_answer_is_whole_for_every_kind_of_client(
    serve: Serve, request_line: str, header: str, status_line: str, connection: str | None, body: bytes
) -> None:
    async def handle(_: Request) -> Answer:
        return Answer(b"{}", 201)

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write("\r\n".join([request_line, "Host: h", *filter(None, [header]), "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    headers = CIMultiDict([(name, value) for name, _, value in (line.partition(": ") for line in head[1:])])
    assert head[0] == status_line
    assert headers.get("Connection") == connection
    assert {"Content-Type", "Content-Length", "Date", "Server", "X-Request-Id"} <= {*headers}
    assert await reader.readexactly(len(body)) == body
    if connection == "close":
        assert await reader.read() == b""
    if body:
        assert int(headers["Content-Length"]) == len(body)
    writer.close()


async def test_a_client_that_does_not_read_is_not_served_on(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    """I11: what it was sent and has not read bounds what it is sent."""
    answered = 0

    async def handle(_: Request) -> Answer:
        nonlocal answered
        answered += 1
        return Answer(b"x" * 200_000)

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: h\r\n\r\n" * 500)
    reader._transport.pause_reading()  # type: ignore[attr-defined] # else the test's own buffer takes some of it
    for _ in range(50):
        async with http.get(f"{fronted.url}/healthz") as probe:
            assert probe.status == 200
    assert 0 < answered < 100
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(500):
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.readexactly(200_000)) == 200_000
    assert answered == 500
    writer.close()


async def test_a_client_that_has_left_is_no_failure(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Request) -> Answer:
        begun.set()
        await go_on.wait()
        return Answer(b"{}")

    fronted = await serve(handle)
    _, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: h\r\n\r\n")
    await begun.wait()
    writer.transport.abort()
    go_on.set()
    await in_flight_is(fronted, 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_dequeues_that_wait_have_a_bound_of_their_own_and_are_not_timed(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    async def handle(_: Request) -> Answer:
        await go_on.wait()
        return Answer(b"{}", 404, "empty")

    fronted = await serve(handle)
    waiting = [asyncio.create_task(http.post(f"{fronted.url}/dequeue?wait=5")) for _ in range(5)]

    async def count() -> float | None:
        return fronted.sample("waiting_dequeues")

    await until(count, lambda now: now == 5)
    assert fronted.front.in_flight == 0
    async with http.post(f"{fronted.url}/dequeue?wa%69t=5") as refused:
        assert refused.status == 429
    go_on.set()
    assert [(await response).status for response in waiting] == [404] * 5
    assert fronted.sample("requests_total", operation="dequeue", result="empty") == 5
    assert fronted.sample("request_duration_seconds_count", operation="dequeue") == 0
    async with http.post(f"{fronted.url}/dequeue"):
        pass
    assert fronted.sample("request_duration_seconds_count", operation="dequeue") == 1


async def test_more_bytes_than_allowed_are_refused_at_once(serve: Serve, http: aiohttp.ClientSession) -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> Answer:
        await request.read()
        await go_on.wait()
        return Answer(b"{}")

    fronted = await serve(handle)
    held = asyncio.create_task(http.post(f"{fronted.url}/enqueue", data=b"x" * 600))
    await in_flight_is(fronted, 1)
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as refused:
        assert (refused.status, (await refused.json())["code"]) == (429, "overloaded")
    go_on.set()
    assert (await held).status == 200
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as accepted:
        assert accepted.status == 200
    assert fronted.front.room.used_bytes == 0


async def test_a_body_of_unknown_length_counts_as_what_it_came_to(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    seen: list[int] = []

    async def handle(request: Request) -> Answer:
        seen.append(fronted.front.room.used_bytes)
        return Answer(await request.read())

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue", data=chunks()) as response:
        assert await response.read() == b"abcdef"
    assert (seen, fronted.front.room.used_bytes) == ([6], 0)


async def test_what_is_only_announced_takes_no_room(serve: Serve, http: aiohttp.ClientSession) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    _, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n")
    await in_flight_is(fronted, 1)
    assert fronted.front.room.used_bytes == 0
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 600) as accepted:
        assert accepted.status == 200
    writer.close()


async def test_a_body_that_does_not_come_along_gives_way_to_one_that_does(
    serve: Serve, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    monkeypatch.setattr("router.body_room.SLOW_S", 0.0)
    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n" + b"x" * 550)

    async def used() -> int:
        return fronted.front.room.used_bytes

    await until(used, lambda now: now == 550)
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as accepted:
        assert accepted.status == 200
    writer.write(b"x" * 50)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429 ")
    assert (fronted.front.room.used_bytes, fronted.front.room.given_way) == (0, 1)
    writer.close()


@pytest.mark.parametrize("how", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_long_is_read_to_its_end_before_the_answer(serve: Serve, how: str) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(f"POST /enqueue HTTP/1.1\r\nHost: h\r\n{how}\r\n\r\n".encode())
    is_chunked = "chunked" in how
    for _ in range(20):
        writer.write(b"64\r\n" + b"x" * 100 + b"\r\n" if is_chunked else b"x" * 100)
        await writer.drain()
    writer.write(b"0\r\n\r\n" if is_chunked else b"")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" not in head
    writer.close()


async def test_a_body_that_is_far_too_long_is_answered_at_once_and_the_connection_closed(
    serve: Serve,
) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000000\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in head
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_body_is_read_and_one_without_its_end_refused(
    serve: Serve, http: aiohttp.ClientSession, encoding: str
) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    content = b"ab" * 250
    whole = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    headers = {"Content-Encoding": encoding}
    async with http.post(f"{fronted.url}/enqueue", data=whole, headers=headers) as accepted:
        assert await accepted.read() == content
    for bad in (whole[:-1], whole[: len(whole) // 2], b"no such data", b"!" + whole[1:]):
        async with http.post(f"{fronted.url}/enqueue", data=bad, headers=headers) as refused:
            assert refused.status == 400
            assert (await refused.json())["message"].startswith("body: ")


async def test_a_gzip_body_may_be_several_files_and_a_bomb_is_too_large(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    headers = {"Content-Encoding": "gzip"}
    parts = gzip.compress(b"a" * 100) + gzip.compress(b"") + gzip.compress(b"b" * 100)
    async with http.post(f"{fronted.url}/enqueue", data=parts, headers=headers) as accepted:
        assert await accepted.read() == b"a" * 100 + b"b" * 100
    bomb = gzip.compress(bytes(64 << 20))
    async with http.post(f"{fronted.url}/enqueue", data=bomb, headers=headers) as refused:
        assert refused.status == 413
    many = gzip.compress(b"") * 1025
    async with http.post(f"{fronted.url}/enqueue", data=many, headers=headers) as refused:
        assert refused.status == 400


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unavailable("no shard"), 503, "1"),
        (OutcomeUnknown("no answer"), 504, "1"),
        (StoreFull("no memory"), 507, None),
        (QueueFull(3), 429, None),
    ],
)
async def test_an_error_of_ours_becomes_its_status_and_code(
    serve: Serve,
    http: aiohttp.ClientSession,
    error: SharqError,
    status: int,
    retry_after: str | None,
) -> None:
    async def handle(_: Request) -> Answer:
        raise error

    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue") as response:
        assert response.status == status
        assert response.headers.get("Retry-After") == retry_after
        assert (await response.json())["code"] == error.code
    assert fronted.sample("requests_total", operation="enqueue", result=error.code) == 1


async def test_what_nobody_foresaw_is_logged_and_answered_without_its_words(
    serve: Serve, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(_: Request) -> Answer:
        raise ZeroDivisionError("a secret")

    fronted = await serve(handle)
    with caplog.at_level(logging.ERROR, "sharq.router"):
        async with http.post(f"{fronted.url}/enqueue") as response:
            assert response.status == 500
            answer = await response.text()
    assert '"internal_error"' in answer
    assert "secret" not in answer
    assert "ZeroDivisionError: a secret" in caplog.text
    assert "operation=enqueue" in caplog.text
    assert fronted.front.in_flight == 0


async def test_a_cancelled_request_is_not_swallowed_and_leaves_nothing_counted(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    cancelled: list[bool] = []

    async def handle(_: Request) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Answer(b"{}")

    fronted = await serve(handle)
    with pytest.raises(aiohttp.ClientError):
        await http.post(f"{fronted.url}/enqueue")
    assert cancelled == [True]
    assert (fronted.front.in_flight, fronted.front.room.used_bytes) == (0, 0)


async def test_a_client_that_asks_before_it_sends_its_body_is_told_to(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    async def handle(request: Request) -> Answer:
        return Answer(await request.read())

    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue", data=b"{}", expect100=True) as asked:
        assert await asked.read() == b"{}"
    async with http.post(f"{fronted.url}/enqueue", data=b"{}", headers={"Expect": "tea"}) as refused:
        assert (refused.status, (await refused.json())["code"]) == (400, "invalid_request")
