"""Sends hostile requests to a server that is watched, and says how long each held its event loop."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterable, Sequence

import aiohttp
import msgspec

from tests.support.http.contract import open_raw
from tests.support.http.hostile_bodies import Hostile

LIMIT_MS = 20.0
"""Longest hold of a loop that one request may cause."""

RETRIES = 4


class Hold(msgspec.Struct, frozen=True):
    """The effect of one request on an event loop.

    Attributes:
        process: router, or the name of a shard.
        cpu_ms: processor time that the loop's thread took without looking up.
        wall_ms: by the clock on the wall.
    """

    name: str
    process: str
    status: int
    cpu_ms: float
    wall_ms: float


async def measure(
    http: aiohttp.ClientSession,
    url: str,
    hostile: Iterable[Hostile],
    shards: Sequence[str] = (),
    repeat: int = 1,
) -> list[Hold]:
    """Send one request after the other and return the holds, the longest first.

    Args:
        url: of a server that runs under tests/support/processes/watched.py.
        shards: the URLs of its shards, if they do, too.
        repeat: how often each is sent.
    """
    holds: list[Hold] = []
    watched = {url: "router", **{shard: f"shard {number}" for number, shard in enumerate(shards)}}
    for each in watched:
        await longest_ms(http, each)
    for one in hostile:
        for _ in range(repeat):
            status = await _send(http, url, one)
        for each, process in watched.items():
            holds.append(Hold(one.name, process, status, *await longest_ms(http, each)))
    return sorted(holds, key=_cpu_ms, reverse=True)


async def _send(http: aiohttp.ClientSession, url: str, one: Hostile) -> int:
    """Return the status; 0 if the connection ended without an answer."""
    if one.chunk_bytes:
        return await _send_chunks(url, one)
    try:
        async with http.post(url + one.path, data=io.BytesIO(one.body), headers=one.headers) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return 0


async def _send_chunks(url: str, one: Hostile) -> int:
    """Send a request in its chunks; return as `_send`."""
    reader, writer = await open_raw(url)
    try:
        writer.write(one.wire())
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1])
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0
    finally:
        writer.close()


async def longest_ms(http: aiohttp.ClientSession, url: str) -> tuple[float, float]:
    """Return the longest hold since the last call: its processor time and its time by the clock on the wall."""
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    assert "longest_hold_cpu_seconds" in text, f"{answer.status} {text[:400]}"
    cpu_s, wall_s = (
        float(re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0])
        for name in ("longest_hold_cpu_seconds", "longest_hold_seconds")
    )
    return cpu_s * 1000, wall_s * 1000


async def measure_well(
    http: aiohttp.ClientSession,
    url: str,
    hostile: Iterable[Hostile],
    shards: Sequence[str] = (),
    limit_ms: float = LIMIT_MS,
    repeat: int = 1,
) -> list[Hold]:
    """Measure as `measure`, and again up to RETRIES times what held a loop for longer than limit_ms.

    The processor time of a thread counts what others on the same core cost it, too: what is not there each time is
    theirs.
    """
    requests = list(hostile)
    holds = await measure(http, url, requests, shards, repeat)
    for _ in range(RETRIES):
        slow = {hold.name for hold in holds if hold.cpu_ms > limit_ms}
        if not slow:
            break
        again = await measure(http, url, [one for one in requests if one.name in slow], shards, repeat)
        best = {(hold.name, hold.process): hold for hold in again}
        holds = [min(hold, best.get((hold.name, hold.process), hold), key=_cpu_ms) for hold in holds]
    return sorted(holds, key=_cpu_ms, reverse=True)


def _cpu_ms(hold: Hold) -> float:
    return hold.cpu_ms
