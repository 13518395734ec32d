"""Producers and consumers over HTTP on all routers of a cluster, and a history that is checked at the end.

Each queue has one producer that sends its next job when the last one is acknowledged, and sends it again, as a client
should, when it does not know. Whoever consumes, finishes at once.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

DEADLINE_S = 60.0
LEASE_MS = 3000
WAIT_MS = 500
PAUSE_S = 0.02

DOUBT_MS = 3000
"""Between a lease that nobody heard of and the failure of the dequeue that it was made for, at the most."""

ROUNDING_MS = 1
"""Times on the wire are whole milliseconds."""


class Leased(msgspec.Struct, frozen=True):
    """A lease that a consumer heard of; at_ms: when, by the store's clock."""

    number: int
    at_ms: int
    attempt: int


class Failed(msgspec.Struct, frozen=True):
    """A request without a good answer; at_s: on the monotonic clock."""

    what: str
    at_s: float


class Traffic:
    """What was done.

    Attributes:
        sent: acknowledged jobs by queue: they are numbered from 0.
        leases: by queue.
        heard_s: when each lease was heard of, on the monotonic clock.
        failures: every request that failed.
    """

    def __init__(self, urls: Sequence[str], kind: str, queues: int, interval_ms: int) -> None:
        self.kind = kind
        self.interval_ms = interval_ms
        self.queues = [f"q{number}" for number in range(queues)]
        self.sent: dict[str, int] = dict.fromkeys(self.queues, 0)
        self.leases: dict[str, list[Leased]] = defaultdict(list)
        self.heard_s: list[float] = []
        self.failures: list[Failed] = []
        self._failed_dequeues_ms: list[float] = []
        self._urls = urls
        self._is_over = False

    @property
    def missing(self) -> list[str]:
        """Acknowledged jobs that nobody has leased yet."""
        return [
            f"{queue}:{number}"
            for queue in self.queues
            for number in sorted(
                set(range(self.sent[queue])) - {lease.number for lease in self.leases[queue]}
            )
        ]

    @property
    def overtaken(self) -> list[str]:
        """Jobs of a first attempt that left after a younger one of their queue.

        Not judged, as in docs/guarantees.md: pairs near a dequeue that failed, whose lease may have been given back.
        """
        found = []
        for queue, leases in self.leases.items():
            first = sorted((lease for lease in leases if lease.attempt == 1), key=lambda lease: lease.at_ms)
            pairs = itertools.pairwise(first)
            found += [
                f"{queue}: {b.number} {b.at_ms - a.at_ms} ms after {a.number}"
                for a, b in pairs
                if b.number < a.number and not self._is_doubtful(a.at_ms)
            ]
        return found

    def _is_doubtful(self, at_ms: int) -> bool:
        return any(abs(failed_ms - at_ms) <= DOUBT_MS for failed_ms in self._failed_dequeues_ms)

    @property
    def too_close(self) -> list[str]:
        """Pairs of leases of one queue with less than the interval between them."""
        found = []
        for queue, leases in self.leases.items():
            times = sorted(lease.at_ms for lease in leases)
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            found += [f"{queue}: {gap} ms" for gap in gaps if gap < self.interval_ms - ROUNDING_MS]
        return found

    async def go_on(self, seconds: float) -> None:
        """Let it run on, until each queue has also given some more jobs than before."""
        until_s = time.monotonic() + seconds
        before = {queue: len(self.leases[queue]) for queue in self.queues}
        async with asyncio.timeout(DEADLINE_S):
            while time.monotonic() < until_s or any(
                len(self.leases[queue]) < before[queue] + 5 for queue in self.queues
            ):
                await asyncio.sleep(PAUSE_S)

    async def finish(self) -> None:
        """Send no more, and wait until everything that was sent is leased."""
        self._is_over = True
        async with asyncio.timeout(DEADLINE_S):
            while self.missing:
                await asyncio.sleep(PAUSE_S)

    def check(self) -> None:
        """Nothing lost, nothing too early, nothing overtaken."""
        assert min(self.sent.values()) > 10
        for flaws in (self.missing, self.too_close, self.overtaken):
            assert not flaws, flaws

    def failures_after(self, at_s: float) -> list[Failed]:
        """Those of the monotonic clock's times past at_s."""
        return [failed for failed in self.failures if failed.at_s > at_s]

    async def produce(self, http: aiohttp.ClientSession, queue: str) -> None:
        """Send the jobs of one queue, one after the other, twice as fast as they may leave."""
        url = itertools.cycle(self._urls)
        while not self._is_over:
            number = self.sent[queue]
            job = {"job_id": str(number), "interval": self.interval_ms, "payload": number, "repeat": True}
            if await self._ask(http, f"{next(url)}/enqueue/{self.kind}/{queue}/", job) is not None:
                self.sent[queue] = number + 1
            await asyncio.sleep(self.interval_ms / 2000)

    async def consume(self, http: aiohttp.ClientSession, url: str) -> None:
        """Lease and finish at one router, until cancelled."""
        while True:
            path = f"{url}/dequeue/{self.kind}/?count=20&wait={WAIT_MS}&lease={LEASE_MS}"
            answer = await self._ask(http, path, {})
            if answer is None:
                self._failed_dequeues_ms.append(time.time() * 1000)
                await asyncio.sleep(PAUSE_S)
                continue
            for job in answer.get("jobs", []):
                at_ms = job["lease_expires_at"] - LEASE_MS
                self.leases[job["queue_id"]].append(Leased(int(job["job_id"]), at_ms, job["attempt"]))
                self.heard_s.append(time.monotonic())
            ends = [
                {"queue_type": self.kind, **{name: job[name] for name in ("queue_id", "job_id", "lease")}}
                for job in answer.get("jobs", [])
            ]
            if ends:
                await self._ask(http, f"{url}/finish/", {"jobs": ends})

    async def _ask(self, http: aiohttp.ClientSession, url: str, body: object) -> dict[str, Any] | None:
        """The answer, empty when nothing was ready; None when it failed."""
        what = url.split("/")[3]
        try:
            async with http.post(url, json=body) as reply:
                answer: dict[str, Any] = await reply.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(Failed(f"{what}: {error!r}", time.monotonic()))
            return None
        failed = [one for one in answer.get("results", []) if one["status"] == "failure"]
        if reply.status >= 300 and not (what == "dequeue" and reply.status == 404):
            failed.append(answer)
        self.failures += [Failed(f"{what}: {one}", time.monotonic()) for one in failed]
        return None if reply.status >= 300 and reply.status != 404 else answer


@asynccontextmanager
async def running_traffic(
    urls: Sequence[str], kind: str, queues: int, interval_ms: int
) -> AsyncIterator[Traffic]:
    """Traffic for the length of the block, which calls `finish` before its end."""
    traffic = Traffic(urls, kind, queues, interval_ms)
    limits = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as http:
        works = [traffic.produce(http, queue) for queue in traffic.queues]
        works += [traffic.consume(http, url) for url in urls for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            try:
                yield traffic
            finally:
                for task in tasks:
                    task.cancel()
