"""Answers that are not those of SHARQ, or cannot be read: what the client says of them, and if the work was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sharq_client import InvalidRequest, OutcomeUnknown, Unavailable, WrongUrl
from tests.clients.both import OpenClient
from tests.clients.refusals import a_job, refusal
from tests.support.processes.servers import SharqServer

ANSWERS = {
    "another place": b"HTTP/1.1 301 Moved\r\nLocation: https://sharq.example/\r\nContent-Length: 0\r\n\r\n",
    "web page": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
    "not by a SHARQ server": b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
    "does not speak HTTP": b"220 mail.example ESMTP ready\r\n",
}


@asynccontextmanager
async def another_server(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that answers everything alike."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("words", list(ANSWERS))
async def test_server_that_is_not_sharq_is_called_so(open_client: OpenClient, kind: str, words: str) -> None:
    async with another_server(ANSWERS[words]) as url:
        error = await refusal(open_client(url), kind, WrongUrl)
    assert words in error.message and url in error.message


def answered(*headers: bytes) -> bytes:
    """Return the answer to an enqueue, with further headers."""
    content = b'{"status":"queued"}'
    length = b"Content-Length: %d" % len(content)
    return b"\r\n".join([b"HTTP/1.1 201 Created", *headers, length, b"", content])


@pytest.mark.parametrize(
    "headers", [[b"X-Long: " + b"y" * 70_000], [b"X-%d: y" % number for number in range(200)]]
)
async def test_answer_whose_head_is_too_long_was_perhaps_done(
    open_client: OpenClient, kind: str, headers: list[bytes]
) -> None:
    async with another_server(answered(*headers)) as url, open_client(url, retries=0) as client:
        with pytest.raises(OutcomeUnknown, match="answered, but the answer is not valid HTTP") as raised:
            await client.enqueue(a_job(kind))
    assert raised.value.perhaps_done and url in raised.value.message


async def test_answer_with_a_header_of_a_proxy_is_read(open_client: OpenClient, kind: str) -> None:
    async with another_server(answered(b"X-Long: " + b"y" * 60_000)) as url, open_client(url) as client:
        assert not (await client.enqueue(a_job(kind))).duplicate


async def test_request_with_a_header_that_is_too_long_is_refused_without_a_word_of_it(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    error = await refusal(open_client(server.url, token="s3cret" * 2_000), kind, InvalidRequest)
    assert error.message == "request: the request line or a header is longer than 8190 bytes"
    assert "s3cret" not in server.log


@pytest.mark.parametrize("content", [b'{"status":"failure","message":"\xff"}', b"[" * 20_000])
@pytest.mark.parametrize("status", [200, 503])
async def test_answer_that_is_no_text_is_an_error_of_the_client(
    open_client: OpenClient, kind: str, status: int, content: bytes
) -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
    async with another_server(head + content) as url, open_client(url, retries=0) as client:
        with pytest.raises(OutcomeUnknown if status == 200 else Unavailable, match=f"answered {status}"):
            await client.queue(kind, "1")
