"""The bounds of the gateway and its last resort, on real HTTP before handlers that do what the test says."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest
from multidict import CIMultiDict

from router.http.request import Request
from router.http.response import Response
from sharq_core.errors import OutcomeUnknown, QueueFull, SharqError, StoreFull, Unavailable
from tests.support.http.contract import open_raw
from tests.support.http.fronted import Serve, content_of, in_flight_is
from tests.support.waits import until_answer


async def test_more_requests_than_allowed_are_refused_at_once(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    async def handle(_: Request) -> Response:
        await go_on.wait()
        return Response(b"{}")

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
    async def handle(_: Request) -> Response:
        return Response(b"{}", 201)

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write("\r\n".join([request_line, "Host: localhost", *filter(None, [header]), "", ""]).encode())
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

    async def handle(_: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(b"x" * 200_000)

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
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

    async def handle(_: Request) -> Response:
        begun.set()
        await go_on.wait()
        return Response(b"{}")

    fronted = await serve(handle)
    _, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await begun.wait()
    writer.transport.abort()
    go_on.set()
    await in_flight_is(fronted, 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_dequeues_that_wait_have_a_bound_of_their_own_and_are_not_timed(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    async def handle(_: Request) -> Response:
        await go_on.wait()
        return Response(b"{}", 404, "empty")

    fronted = await serve(handle)
    waiting = [asyncio.create_task(http.post(f"{fronted.url}/dequeue?wait=5")) for _ in range(5)]

    async def count() -> float | None:
        return fronted.sample("waiting_dequeues")

    await until_answer(count, lambda now: now == 5)
    assert fronted.gateway.in_flight == 0
    async with http.post(f"{fronted.url}/dequeue?wa%69t=5") as refused:
        assert refused.status == 429
    go_on.set()
    assert [(await response).status for response in waiting] == [404] * 5
    assert fronted.sample("requests_total", operation="dequeue", result="empty") == 5
    assert fronted.sample("request_duration_seconds_count", operation="dequeue") == 0
    async with http.post(f"{fronted.url}/dequeue"):
        pass
    assert fronted.sample("request_duration_seconds_count", operation="dequeue") == 1


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
    async def handle(_: Request) -> Response:
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
    async def handle(_: Request) -> Response:
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
    assert fronted.gateway.in_flight == 0


async def test_a_cancelled_request_is_not_swallowed_and_leaves_nothing_counted(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    cancelled: list[bool] = []

    async def handle(_: Request) -> Response:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Response(b"{}")

    fronted = await serve(handle)
    with pytest.raises(aiohttp.ClientError):
        await http.post(f"{fronted.url}/enqueue")
    assert cancelled == [True]
    assert (fronted.gateway.in_flight, fronted.gateway.room.used_bytes) == (0, 0)


async def test_a_client_that_asks_before_it_sends_its_body_is_told_to(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue", data=b"{}", expect100=True) as asked:
        assert await asked.read() == b"{}"
    async with http.post(f"{fronted.url}/enqueue", data=b"{}", headers={"Expect": "tea"}) as refused:
        assert (refused.status, (await refused.json())["code"]) == (400, "invalid_request")
