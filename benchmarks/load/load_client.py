"""Provides the load programs with an event loop, a session, and bulk calls of which every job must succeed.

Raw aiohttp and msgspec, so that the load costs the machine little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp
import msgspec
import uvloop

T = TypeVar("T")

_DONE = ("queued", "success")


class _Outcome(msgspec.Struct, frozen=True):
    status: str
    code: str = ""
    message: str = ""


class _Outcomes(msgspec.Struct, frozen=True):
    results: list[_Outcome]


_OUTCOMES = msgspec.json.Decoder(_Outcomes)


def run(load: Coroutine[Any, Any, T]) -> T:
    """Run a load on uvloop and return its result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load)


def open_session(timeout_s: float) -> aiohttp.ClientSession:
    """Return a session with as many connections as there are requests at once, each within timeout_s."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=timeout_s)
    )


async def send_bulk(session: aiohttp.ClientSession, url: str, verb: str, body: msgspec.Struct) -> None:
    """Send a bulk call.

    Raises:
        RuntimeError: the call or one of its jobs was refused.
    """
    async with session.post(f"{url}/{verb}/", data=msgspec.json.encode(body)) as answer:
        content = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{verb} got {answer.status}: {content.decode(errors='replace')}")
    outcomes = _OUTCOMES.decode(content).results
    if refused := [outcome for outcome in outcomes if outcome.status not in _DONE]:
        first = f"{refused[0].status} {refused[0].code}: {refused[0].message}"
        raise RuntimeError(f"{verb}: {len(refused)} jobs were refused, the first with {first}")
