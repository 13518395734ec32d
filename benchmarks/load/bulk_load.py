"""The load of the bulk benchmark: loops that enqueue a batch, dequeue as much and finish what came.

Run as a program: URL, jobs a batch, loops at once, seconds, word that begins each job_id. Prints the number of
finished jobs and the seconds they took.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import msgspec

from benchmarks.load.load_client import open_session, run, send_bulk

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


class _Jobs(msgspec.Struct, frozen=True):
    jobs: list[_NewJob] | list[_Leased]


class BulkRun(msgspec.Struct, frozen=True):
    """The result of a run: the number of finished jobs, and the time that they took."""

    jobs: int
    duration_s: float


_LEASES = msgspec.json.Decoder(_Leases)


class BulkLoad:
    """The loops of a run, and what they finished."""

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
            await self.enqueue()
            jobs = await self._dequeue()
            if jobs:
                await send_bulk(self._session, self._url, "finish", _Jobs(jobs))
                self.finished += len(jobs)

    async def enqueue(self) -> None:
        """Send the next batch."""
        first, self._sent = self._sent, self._sent + self._batch
        numbers = range(first, self._sent)
        jobs = [_NewJob(f"q{n % _QUEUES}", f"{self._word}-{n}") for n in numbers]
        await send_bulk(self._session, self._url, "enqueue", _Jobs(jobs))

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


async def _run(url: str, batch: int, loops: int, duration_s: float, word: str) -> BulkRun:
    async with open_session(_TIMEOUT_S) as session:
        load = BulkLoad(session, url, batch, word)
        started_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(loops):
                group.create_task(load.loop(started_s + duration_s))
        return BulkRun(load.finished, time.monotonic() - started_s)


if __name__ == "__main__":
    url_, batch_, loops_, duration_, word_ = sys.argv[1:]
    done = run(_run(url_, int(batch_), int(loops_), float(duration_), word_))
    print(msgspec.json.encode(done).decode())
