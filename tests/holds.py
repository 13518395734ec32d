"""Sends hostile requests to a server that is watched, and says how long each held its event loop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import aiohttp
import msgspec

from tests.hostile_bodies import Hostile


class Hold(msgspec.Struct, frozen=True):
    """What one request did to a loop.

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
    http: aiohttp.ClientSession, url: str, hostile: Iterable[Hostile], shards: Sequence[str] = ()
) -> list[Hold]:
    """Send one request after the other; returns the holds, the longest first.

    Args:
        url: of a server that runs under tests/watched.py.
        shards: the URLs of its shards, if they do, too.
    """
    holds: list[Hold] = []
    watched = {url: "router", **{shard: f"shard {number}" for number, shard in enumerate(shards)}}
    for one in hostile:
        for each in watched:
            await _longest_ms(http, each)
        status = await _send(http, url, one)
        for each, process in watched.items():
            holds.append(Hold(one.name, process, status, *await _longest_ms(http, each)))
    return sorted(holds, key=lambda hold: -hold.cpu_ms)


async def _send(http: aiohttp.ClientSession, url: str, one: Hostile) -> int:
    """Return the status; 0 when the connection ended without an answer."""
    try:
        async with http.post(url + one.path, data=one.body, headers=one.headers) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return 0


async def _longest_ms(http: aiohttp.ClientSession, url: str) -> tuple[float, float]:
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    cpu_s, wall_s = (
        float(re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0])
        for name in ("longest_hold_cpu_seconds", "longest_hold_seconds")
    )
    return cpu_s * 1000, wall_s * 1000
