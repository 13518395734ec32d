"""The yardstick of lateness: timers of an event loop, each followed by one round trip to the store.

Run as a program: socket of the store, timers a second, seconds. Prints the lateness in ms, p50 and p99.
"""

from __future__ import annotations

import asyncio
import sys
from time import monotonic

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks.figures.spread import percentile
from benchmarks.load.load_client import run

_CONNECTIONS = 16

_TICK_S = 0.001
"""Resolution of the event loop's timers, and of its time, which may be that much early."""


class Chain(msgspec.Struct, frozen=True):
    """The time from the moment for which a timer was set to the end of its round trip."""

    p50_ms: float
    p99_ms: float


async def measure(socket: str, rate: float, duration_s: float) -> Chain:
    """Set timers at an even pace and note how late each round trip ends."""
    retry = Retry(NoBackoff(), 0)
    clients = [
        Redis(unix_socket_path=socket, retry=retry, single_connection_client=True)
        for _ in range(_CONNECTIONS)
    ]
    for client in clients:
        await client.initialize()
        await client.ping()
    count = round(rate * duration_s)
    late_ms: list[float] = []
    begin_s = monotonic() + 0.1

    async def work(number: int) -> None:
        for turn in range(number, count, _CONNECTIONS):
            due_s = begin_s + turn / rate
            while (remaining_s := due_s - monotonic()) > 0:  # noqa: ASYNC110 - it waits for a time
                await asyncio.sleep(max(remaining_s, _TICK_S))
            await clients[number].get("yardstick")
            late_ms.append((monotonic() - due_s) * 1000)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(_CONNECTIONS):
                group.create_task(work(number))
    finally:
        for client in clients:
            await client.aclose()
    return Chain(percentile(late_ms, 50), percentile(late_ms, 99))


if __name__ == "__main__":
    socket_, rate_, duration_ = sys.argv[1:]
    print(msgspec.json.encode(run(measure(socket_, float(rate_), float(duration_)))).decode())
