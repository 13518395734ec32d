"""Measures how fast a port drops a body that nobody reads."""

from __future__ import annotations

import time

import pytest

from sharq_core.http_port import body_pace
from sharq_core.http_port.body_pace import WASTED_BURST_S, BodyPace
from tests.support.http.contract import open_raw

BODY = b"x" * 500
BODY_S = 0.03
"""The time that the receipt of the body is said to take."""


async def dropping_s(url: str, line: str, header: str, status: int) -> float:
    """Return the time from the answer to a request, whose body has not come, to that of the next on its connection."""
    reader, writer = await open_raw(url)
    headers = f"Host: localhost\r\n{header}\r\n" if header else "Host: localhost\r\n"
    writer.write(f"{line} HTTP/1.1\r\n{headers}Content-Length: {len(BODY)}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    began_s = time.monotonic()
    writer.write(BODY + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    return time.monotonic() - began_s


def exhaust(pace: BodyPace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use up what may be wasted at once, and let each body take BODY_S."""
    pace.waste(WASTED_BURST_S + 1)
    monkeypatch.setattr(body_pace, "BYTE_S", BODY_S / len(BODY))
