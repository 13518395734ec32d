"""1,000 long polls that wait: what they cost while nothing happens, and how fast one gets a job that comes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import aiohttp
import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.load.load_client import open_session
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import Server, Store, sharq_server, store

_TYPE = "sms"
_POLLS = 1_000
_WAIT_MS = 60_000
_SETTLE_S = 3.0
"""Until the polls have arrived and the server is idle."""
_GAP_S = 0.02
"""Between two jobs: longer than the goal's lateness."""


class _Plan(msgspec.Struct, frozen=True):
    """idle_s, jobs: how long nothing happens, and how many jobs come after that, one at a time."""

    rounds: int
    idle_s: float
    jobs: int


class _Idle(msgspec.Struct, frozen=True):
    """CPU of server and store, shares of a core, and the function calls that the store got, a second."""

    server: float
    store: float
    calls: float


class _Round(msgspec.Struct, frozen=True):
    """woken_ms: from each enqueue's sending to a poll's answer; version: of the store."""

    idle: _Idle
    woken_ms: list[float]
    version: str


def run(is_quick: bool) -> Report:
    """First the idle time, then the jobs; all polls end with the server."""
    plan = _Plan(rounds=1, idle_s=5, jobs=100) if is_quick else _Plan(rounds=3, idle_s=20, jobs=500)
    rounds = [_run_once(plan) for _ in range(plan.rounds)]
    return _report(plan, rounds, rounds[0].version)


def _run_once(plan: _Plan) -> _Round:
    with store(is_durable=True) as running, sharq_server(running.url) as server:
        try:
            idle, woken_ms = asyncio.run(_measure(plan, server, running))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Spoiled(f"a request failed, or no poll got a job within 10 s: {error!r}") from error
        return _Round(idle, woken_ms, running.version)


async def _measure(plan: _Plan, server: Server, running: Store) -> tuple[_Idle, list[float]]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(_WAIT_MS / 1000 + 30))
        received_s: asyncio.Queue[float] = asyncio.Queue()
        polls = [asyncio.create_task(_poll(session, server.url, received_s)) for _ in range(_POLLS)]
        stack.push_async_callback(_cancel, polls)
        await asyncio.sleep(_SETTLE_S)
        idle = await _watch_idle(plan.idle_s, server, running)
        woken_ms = [await _wake(session, server.url, number, received_s) for number in range(plan.jobs)]
        if failed := [poll for poll in polls if poll.done()]:
            raise Spoiled(f"{len(failed)} polls ended: {failed[0].exception()!r}")
    return idle, woken_ms


async def _poll(session: aiohttp.ClientSession, url: str, received_s: asyncio.Queue[float]) -> None:
    """Make one long poll after another; note when each job came."""
    while True:
        async with session.post(f"{url}/dequeue/{_TYPE}/?wait={_WAIT_MS}") as answer:
            await answer.read()
            if answer.status == 200:
                received_s.put_nowait(time.perf_counter())
            elif answer.status != 404:
                answer.raise_for_status()


async def _watch_idle(idle_s: float, server: Server, running: Store) -> _Idle:
    meter, calls = CpuMeter(server.pid, running.pid), running.function_calls
    await asyncio.sleep(idle_s)
    server_us, store_us = meter.spent_us()
    return _Idle(
        server=server_us / idle_s / 1e6,
        store=store_us / idle_s / 1e6,
        calls=(running.function_calls - calls) / idle_s,
    )


async def _wake(
    session: aiohttp.ClientSession, url: str, number: int, received_s: asyncio.Queue[float]
) -> float:
    """Enqueue a job for one of the polls; returns ms from the enqueue's sending to the poll's answer."""
    body = {"job_id": f"job-{number}", "interval": 0, "payload": "hello"}
    sent_s = time.perf_counter()
    async with session.post(f"{url}/enqueue/{_TYPE}/q{number}/", json=body) as answer:
        answer.raise_for_status()
    came_s = await asyncio.wait_for(received_s.get(), 10)
    await asyncio.sleep(_GAP_S)
    return (came_s - sent_s) * 1000


async def _cancel(polls: list[asyncio.Task[None]]) -> None:
    for poll in polls:
        poll.cancel()
    await asyncio.wait(polls, timeout=10)


def _percentile(rounds: list[_Round], percent: float) -> Spread:
    return Spread.of([percentile(turn.woken_ms, percent) for turn in rounds])


def _report(plan: _Plan, rounds: list[_Round], version: str) -> Report:
    return Report(
        name="wait",
        question="What do 1,000 waiting workers cost while nothing happens, and how soon does one get a job?",
        parameters={
            "polls": f"{_POLLS:,} on one sharq-server, each waits up to {_WAIT_MS // 1000} s",
            "store": f"{version}, append-only file written out each second, over a UNIX socket",
            "rounds": str(plan.rounds),
            "idle": f"{plan.idle_s:g} s",
            "jobs": f"{plan.jobs}, one at a time, each in a queue of its own",
        },
        rows=[
            targets.IDLE.row(Spread.of([turn.idle.server + turn.idle.store for turn in rounds])),
            Row("idle: server", "of a core", Spread.of([turn.idle.server for turn in rounds])),
            Row("idle: store", "of a core", Spread.of([turn.idle.store for turn in rounds])),
            targets.IDLE_CALLS.row(Spread.of([turn.idle.calls for turn in rounds])),
            Row("enqueue sent to poll answered, p50", "ms", _percentile(rounds, 50)),
            Row("enqueue sent to poll answered, p99", "ms", _percentile(rounds, 99)),
        ],
        notes=[
            "The wake-up holds the enqueue itself. The polls and the enqueues come from one process.",
            "Each second a node refreshes its view of the 64 partitions, here in one joint call, and gives its "
            "heartbeat. On a Redis Cluster it is one call a partition.",
        ],
    )
