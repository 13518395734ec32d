"""The load of the bulk benchmark: loops that enqueue a batch, dequeue as much and finish what came.

Run as a program: URL, jobs a batch, loops at once, seconds, word that begins each job_id. Prints the number of
finished jobs and the seconds they took. Raw aiohttp and msgspec, so that the load costs the machine little.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import msgspec
import uvloop

QUEUE_TYPE = "sms"

_QUEUES = 1_000
_INTERVAL_MS = 1
_LEASE_MS = 600_000
_PAYLOAD = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')
_TIMEOUT_S = 30


class _NewJob(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    payload: msgspec.Raw = _PAYLOAD
    interval: int = _INTERVAL_MS
    queue_type: str = QUEUE_TYPE


class _Leased(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    lease: str
    queue_type: str = QUEUE_TYPE


class _Leases(msgspec.Struct, frozen=True):
    jobs: list[_Leased]


class _Outcome(msgspec.Struct, frozen=True):
    status: str


class _Outcomes(msgspec.Struct, frozen=True):
    results: list[_Outcome]


class _Jobs(msgspec.Struct, frozen=True):
    jobs: list[_NewJob] | list[_Leased]


class Done(msgspec.Struct, frozen=True):
    """The result of a run: the number of finished jobs, and the time that they took."""

    jobs: int
    duration_s: float


_LEASES = msgspec.json.Decoder(_Leases)
_OUTCOMES = msgspec.json.Decoder(_Outcomes)


class _Load:
    def __init__(self, session: aiohttp.ClientSession, url: str, batch: int, word: str) -> None:
        self._session = session
        self._url = url
        self._batch = batch
        self._word = word
        self._sent = 0
        self.finished = 0

    async def loop(self, until_s: float) -> None:
        """Whole jobs, a batch after the other."""
        while time.monotonic() < until_s:
            await self._enqueue()
            jobs = await self._dequeue()
            if jobs:
                await self._bulk("finish", _Jobs(jobs))
                self.finished += len(jobs)

    async def _enqueue(self) -> None:
        first, self._sent = self._sent, self._sent + self._batch
        numbers = range(first, self._sent)
        await self._bulk("enqueue", _Jobs([_NewJob(f"q{n % _QUEUES}", f"{self._word}-{n}") for n in numbers]))

    async def _dequeue(self) -> list[_Leased]:
        """Return up to a batch; none when other loops were faster."""
        path = f"/dequeue/{QUEUE_TYPE}/?count={self._batch}&lease={_LEASE_MS}"
        async with self._session.post(self._url + path) as answer:
            content = await answer.read()
            if answer.status == 404:
                return []
            if answer.status != 200:
                raise RuntimeError(f"a dequeue got {answer.status}: {content.decode(errors='replace')}")
        return _LEASES.decode(content).jobs

    async def _bulk(self, verb: str, body: _Jobs) -> None:
        async with self._session.post(f"{self._url}/{verb}/", data=msgspec.json.encode(body)) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{verb} got {answer.status}: {content.decode(errors='replace')}")
        outcomes = _OUTCOMES.decode(content).results
        if refused := [outcome.status for outcome in outcomes if outcome.status not in ("queued", "success")]:
            raise RuntimeError(f"{verb}: {len(refused)} jobs were refused, the first with {refused[0]}")


async def _run(url: str, batch: int, loops: int, duration_s: float, word: str) -> Done:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        load = _Load(session, url, batch, word)
        started_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(loops):
                group.create_task(load.loop(started_s + duration_s))
        return Done(load.finished, time.monotonic() - started_s)


if __name__ == "__main__":
    url_, batch_, loops_, duration_, word_ = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        done = loop_runner.run(_run(url_, int(batch_), int(loops_), float(duration_), word_))
    print(msgspec.json.encode(done).decode())
