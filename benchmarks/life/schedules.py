"""Measures what thousands of schedules cost between their times, and how soon all are fired that are due at one time.

For benchmarks/life/campaigns.py. The schedules are put over HTTP to one sharq-server with a store of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec

from benchmarks.errors import Spoiled
from benchmarks.load import load_client
from benchmarks.load.load_client import open_session
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import Server, Store, sharq_server, store

COUNT = 10_000
"""Schedules, each of a queue of its own."""

_AT_ONCE = 32
_PUT_S = 90.0
"""Most seconds that the puts take, of which the first slot comes later."""

_SETTLE_S = 3.0
_TIMEOUT_S = 120.0
_LOOK_AGAIN_S = 0.1


class Idle(msgspec.Struct, frozen=True):
    """CPU of server and store together, a share of a core, and the function calls that the store got, a second."""

    cpu: float
    calls: float


class Schedules(msgspec.Struct, frozen=True):
    """The outcome of one run.

    Attributes:
        without: before the schedules were put.
        between: between their times.
        fired_s: from the slot of all schedules until the last one was fired.
        known_s: from the readiness of a server that starts until it knows them all.
    """

    without: Idle
    between: Idle
    fired_s: float
    known_s: float


def measure(idle_s: float) -> Schedules:
    """Put the schedules for one minute of the clock, wait for it, and start a second server."""
    with store(is_durable=True) as running:
        with sharq_server(running.url) as server:
            without, between, fired_s = load_client.run(_fire(running, server, idle_s))
        with sharq_server(running.url) as server:
            known_s = load_client.run(_until_known(server))
    return Schedules(without, between, fired_s, known_s)


async def _fire(running: Store, server: Server, idle_s: float) -> tuple[Idle, Idle, float]:
    async with open_session(_TIMEOUT_S) as session:
        await asyncio.sleep(_SETTLE_S)
        without = await _watch_idle(running, server, idle_s)
        slot = datetime.now(UTC) + timedelta(seconds=_PUT_S + _SETTLE_S + idle_s)
        slot = slot.replace(second=0, microsecond=0) + timedelta(minutes=1)
        await _put_all(session, server, f"{slot:%M %H %d %m} *")
        await asyncio.sleep(_SETTLE_S)
        between = await _watch_idle(running, server, idle_s)
        if datetime.now(UTC) >= slot:
            raise Spoiled("the slot came before the end of the measurement")
        await asyncio.sleep(slot.timestamp() - time.time())
        await _until(session, server, 'sharq_schedule_firings_total{outcome="queued"}')
        return without, between, time.time() - slot.timestamp()


async def _until_known(server: Server) -> float:
    ready_s = time.monotonic()
    async with open_session(_TIMEOUT_S) as session:
        await _until(session, server, "sharq_schedules")
    return time.monotonic() - ready_s


async def _watch_idle(running: Store, server: Server, idle_s: float) -> Idle:
    meter, calls = CpuMeter(server.pid, running.pid), running.function_calls
    await asyncio.sleep(idle_s)
    return Idle(sum(meter.spent_us()) / idle_s / 1e6, (running.function_calls - calls) / idle_s)


async def _put_all(session: aiohttp.ClientSession, server: Server, cron: str) -> None:
    numbers = itertools.count()

    async def put_some() -> None:
        while (number := next(numbers)) < COUNT:
            job = {"queue_type": "sms", "queue_id": f"q{number}", "payload": number, "interval": 0}
            body = {"cron": cron, "tz": "UTC", "job": job}
            async with session.put(f"{server.url}/schedule/s{number}/", json=body) as answer:
                if answer.status != 200:
                    raise Spoiled(f"a schedule got {answer.status}: {await answer.text()}")

    await asyncio.gather(*(put_some() for _ in range(_AT_ONCE)))


async def _until(session: aiohttp.ClientSession, server: Server, metric: str) -> None:
    """Wait until a metric of the server has reached the number of schedules."""
    pattern = re.compile(rf"^{re.escape(metric)} ([0-9.e+]+)$", re.MULTILINE)
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        async with session.get(f"{server.url}/metrics") as answer:
            found = pattern.search(await answer.text())
        if found is not None and float(found[1]) >= COUNT:
            return
        if time.monotonic() > deadline_s:
            raise Spoiled(f"{metric} has not reached {COUNT}: {found and found[0]}")
        await asyncio.sleep(_LOOK_AGAIN_S)
