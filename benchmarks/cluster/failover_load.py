"""The load of the failover benchmark: loops that enqueue a job, dequeue one and finish it, at a steady pace.

Run as a program: URLs of the routers with commas between, seconds to work, file for the notes. Each loop has a router
of its own, and goes to the next one when a connection breaks or is refused. A request that was refused a connection
was not sent: it is sent again there, and is not counted as failed. Any other request without a good answer is.
A loop that was held up does not catch up, so that a gap stays a gap.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.load.load_client import open_session, run

QUEUE_TYPE = "sms"

_LOOPS = 64
_QUEUES = 640
_INTERVAL_MS = 1
_PERIOD_S = 0.064
"""A thousand jobs a second, three requests each: about half of what two cores carry, the load itself included."""
_WAIT_MS = 500
_LEASE_MS = 600_000
_TIMEOUT_S = 10
_GOOD = (200, 201, 404)
"""404 is a dequeue that waited in vain, or a finish of nothing: neither occurs while jobs are plenty."""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """A request: times on the monotonic clock, which is one for the whole machine.

    Attributes:
        queue_id: empty for a dequeue.
        failure: empty for a good answer; else what came instead.
    """

    verb: str
    queue_id: str
    began_s: float
    ended_s: float
    failure: str


class _Job(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    lease: str


_JOB = msgspec.json.Decoder(_Job)
_NOTES = msgspec.msgpack.Decoder(list[Note])


def read_notes(path: Path) -> list[Note]:
    """Return the notes that the load wrote into its file."""
    return _NOTES.decode(path.read_bytes())


class _Loop:
    """One client."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: list[str], number: int, notes: list[Note]
    ) -> None:
        self._session = session
        self._urls = itertools.cycle(urls[number % len(urls) :] + urls[: number % len(urls)])
        self._url = next(self._urls)
        self._number = number
        self._notes = notes

    async def run(self, until_s: float) -> None:
        """Take one job through its life in each period."""
        await asyncio.sleep(_PERIOD_S * self._number / _LOOPS)
        for sent in itertools.count():
            if time.monotonic() >= until_s:
                return
            began_s = time.monotonic()
            await self._whole_job(f"q{(self._number + sent * _LOOPS) % _QUEUES}", f"{self._number}-{sent}")
            await asyncio.sleep(max(began_s + _PERIOD_S - time.monotonic(), 0))

    async def _whole_job(self, queue_id: str, job_id: str) -> None:
        new = {"job_id": job_id, "interval": _INTERVAL_MS, "payload": "hello"}
        await self._ask("enqueue", queue_id, f"/enqueue/{QUEUE_TYPE}/{queue_id}/", new)
        path = f"/dequeue/{QUEUE_TYPE}/?wait={_WAIT_MS}&lease={_LEASE_MS}"
        content = await self._ask("dequeue", "", path, None)
        if content is not None:
            job = _JOB.decode(content)
            path = f"/finish/{QUEUE_TYPE}/{job.queue_id}/{job.job_id}/"
            await self._ask("finish", job.queue_id, path, {"lease": job.lease})

    async def _ask(self, verb: str, queue_id: str, path: str, body: object) -> bytes | None:
        """Send a request, note it, and return the content of a 200 or 201."""
        began_s = time.monotonic()
        content, failure = None, ""
        try:
            status, content = await self._send(path, body)
            if status not in _GOOD:
                failure = f"{status} {content.decode(errors='replace')[:200]}"
            if failure or status == 404:
                content = None
        except (aiohttp.ClientError, TimeoutError) as error:
            self._url = next(self._urls)
            failure = repr(error)
        self._notes.append(Note(verb, queue_id, began_s, time.monotonic(), failure))
        return content

    async def _send(self, path: str, body: object) -> tuple[int, bytes]:
        """Send a request, to the next router as long as one refuses the connection."""
        until_s = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                async with self._session.post(self._url + path, json=body) as answer:
                    return answer.status, await answer.read()
            except aiohttp.ClientConnectorError:
                if time.monotonic() > until_s:
                    raise
                self._url = next(self._urls)


async def _run(urls: list[str], work_s: float) -> list[Note]:
    notes: list[Note] = []
    until_s = time.monotonic() + work_s
    async with open_session(_TIMEOUT_S) as session, asyncio.TaskGroup() as group:
        for number in range(_LOOPS):
            group.create_task(_Loop(session, urls, number, notes).run(until_s))
    return notes


if __name__ == "__main__":
    found = run(_run(sys.argv[1].split(","), float(sys.argv[2])))
    Path(sys.argv[3]).write_bytes(msgspec.msgpack.encode(found))
