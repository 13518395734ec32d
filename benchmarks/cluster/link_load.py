"""The router's end of the link benchmark: keeps a number of calls in flight over one real link.

Run as a program: host:port of the shard, calls in flight, seconds. Prints what was done as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from benchmarks.load.load_client import run
from router.shards.link import ShardLink
from sharq_core.link.messages import Peek

_CONNECT_S = 10.0
_LOOK_AGAIN_S = 0.01
_CALL_S = 5.0
_CALL = Peek("sms")


class LinkRun(msgspec.Struct, frozen=True):
    """Answered calls, the seconds they took, and the CPU time of this process meanwhile."""

    calls: int
    duration_s: float
    cpu_us: float


async def _run(address: str, in_flight: int, duration_s: float) -> LinkRun:
    link = ShardLink(address, None, on_view=lambda view: None, on_down=lambda link: None, timeout_s=_CALL_S)
    await link.start()
    try:
        async with asyncio.timeout(_CONNECT_S):
            while not link.is_up:  # noqa: ASYNC110 - a link tells of its views, not of its start
                await asyncio.sleep(_LOOK_AGAIN_S)
        return await _measure(link, in_flight, duration_s)
    finally:
        await link.close()


async def _measure(link: ShardLink, in_flight: int, duration_s: float) -> LinkRun:
    started_s, cpu_s = time.monotonic(), time.process_time()
    calls = await asyncio.gather(*(_loop(link, started_s + duration_s) for _ in range(in_flight)))
    ended_s = time.monotonic()
    return LinkRun(sum(calls), ended_s - started_s, (time.process_time() - cpu_s) * 1e6)


async def _loop(link: ShardLink, until_s: float) -> int:
    """Make one call after the other; return their number."""
    calls = 0
    while time.monotonic() < until_s:
        await link.call(_CALL)
        calls += 1
    return calls


if __name__ == "__main__":
    done = run(_run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    print(msgspec.json.encode(done).decode())
