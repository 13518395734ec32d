"""A worker process of the rate benchmarks: long polls, bulk finishes, and a note of every job that came.

Run as a program: URL, long polls at once of each argument that follows, seconds to work, file for the notes, and queue
types (that of mix.py if there is none). Types with commas between them are asked for by one poll together.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.load.load_client import open_session, run, send_bulk
from benchmarks.rates.mix import QUEUE_TYPE

LEASE_MS = 600_000

_COUNT = 100
_WAIT_MS = 1_000
_FINISH_EVERY_S = 0.2
_FINISH_AT_ONCE = 1_000


class Note(msgspec.Struct, frozen=True, array_like=True):
    """A job as it came: when it was leased by the store's clock, and when its answer was here by this machine's."""

    queue_id: str
    leased_ms: int
    received_us: int
    cost: int = 1


class Notes(msgspec.Struct, frozen=True):
    """The notes that a worker writes at its end; cpu_s is the CPU time that it used."""

    cpu_s: float
    notes: list[Note]


class _Job(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    lease: str
    lease_expires_at: int
    cost: int = 1
    queue_type: str = ""


class _Jobs(msgspec.Struct, frozen=True):
    jobs: list[_Job]


class _Finish(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    lease: str
    queue_type: str


class _Finishes(msgspec.Struct, frozen=True):
    jobs: list[_Finish]


_JOBS = msgspec.json.Decoder(_Jobs)
_NOTES = msgspec.msgpack.Decoder(Notes)


def read_notes(path: Path) -> Notes:
    """Return the notes that a worker wrote into its file."""
    return _NOTES.decode(path.read_bytes())


class _Worker:
    def __init__(self, session: aiohttp.ClientSession, url: str, until_s: float) -> None:
        self._session = session
        self._url = url
        self._until_s = until_s
        self._done: list[_Finish] = []
        self.notes: list[Note] = []

    @property
    def _is_working(self) -> bool:
        return time.monotonic() < self._until_s

    async def poll(self, queue_types: list[str]) -> None:
        """Make one long poll after another. 404 is an empty answer, any other status but 200 an error."""
        terms = f"count={_COUNT}&wait={_WAIT_MS}&lease={LEASE_MS}"
        dequeue = f"{self._url}/dequeue/{queue_types[0]}/?{terms}"
        if len(queue_types) > 1:
            dequeue = f"{self._url}/dequeue/?{'&'.join(f'type={name}' for name in queue_types)}&{terms}"
        while self._is_working:
            async with self._session.post(dequeue) as answer:
                content = await answer.read()
                received_us = time.time_ns() // 1000
                if answer.status == 200:
                    self._take(_JOBS.decode(content).jobs, queue_types[0], received_us)
                elif answer.status != 404:
                    answer.raise_for_status()

    def _take(self, jobs: list[_Job], queue_type: str, received_us: int) -> None:
        self.notes += [
            Note(job.queue_id, job.lease_expires_at - LEASE_MS, received_us, job.cost) for job in jobs
        ]
        self._done += [
            _Finish(job.queue_id, job.job_id, job.lease, job.queue_type or queue_type) for job in jobs
        ]

    async def finish(self) -> None:
        """Finish the done jobs in bulk, until the end."""
        while self._is_working or self._done:
            await self._finish_some()
            await asyncio.sleep(_FINISH_EVERY_S)

    async def _finish_some(self) -> None:
        ends, self._done = self._done[:_FINISH_AT_ONCE], self._done[_FINISH_AT_ONCE:]
        if not ends:
            return
        await send_bulk(self._session, self._url, "finish", _Finishes(ends))


async def _work(url: str, polls: int, work_s: float, types: list[str]) -> list[Note]:
    async with open_session(_WAIT_MS / 1000 + 30) as session:
        worker = _Worker(session, url, time.monotonic() + work_s)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.finish())
            for names in types * polls:
                group.create_task(worker.poll(names.split(",")))
    return worker.notes


if __name__ == "__main__":
    notes = run(_work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[5:] or [QUEUE_TYPE]))
    Path(sys.argv[4]).write_bytes(msgspec.msgpack.encode(Notes(time.process_time(), notes)))
