"""Many producers and workers on all routers of a cluster, who write down all that they do.

A producer sends the jobs of one queue one after the other: a job that was refused is given up, so that it must never
be delivered; one in doubt is sent again, or given up now and then. Workers finish what they lease, and now and then
release it, vanish with it, or finish it long after its lease ended.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import msgspec

from sharq_core.partitions import is_gathered
from tests.support.load.answers import Answer, ask, results_of
from tests.support.load.history import LEASE_IS_LOST, Dequeue, End, Enqueue, History, Lease, Outcome
from tests.support.waits import until

LEASE_MS = 1200
WAIT_MS = 500
REQUEST_S = 10.0
"""Longest wait for an answer; the store's own timeout is 2 s."""

DELIVERED_WITHIN_S = 45.0
"""Longest time without a delivery after a fault, and until the next job has ended."""

DRAIN_S = 60.0
RETRY_S = 0.1
MAX_BULK = 3
MAX_LEASES = 20
HOLDS_MS = (100, 400)
"""The range of the holds of a worker."""

TYPE_HOLD_SHARE = 0.2
"""The share of the holds that hold the type, if it is gathered."""

CAP_HOLD_SHARE = 0.5
"""The share of the holds that hold a named cap, if the queue has one."""

Fields: TypeAlias = dict[str, Any]
"""The fields of a finish or release beside the lease's."""


class Habits(msgspec.Struct, frozen=True):
    """The shares, of 1, of a client's acts that it should not, or need not, do.

    Attributes:
        gives_up: a producer forgets a job in doubt.
        releases, vanishes, is_late: a worker gives a job back, never ends it, or finishes it after its lease ended.
        fails: a worker gives a job back with an error.
        throttles: a worker gives a job back uncounted and holds its queue, or now and then its type if that is
            gathered, or one of its named caps.
        corrects: a worker finishes a job with a higher cost than was known.
    """

    gives_up: float = 0.2
    releases: float = 0.02
    vanishes: float = 0.02
    is_late: float = 0.02
    throttles: float = 0
    corrects: float = 0
    fails: float = 0


BUSY = Habits()
LIMITED = Habits(throttles=0.05, corrects=0.1)
FAILING = Habits(fails=0.25, vanishes=0.05)
STEADY = Habits(gives_up=0, releases=0, vanishes=0, is_late=0)


class Crowd:
    """The clients of one run.

    Args:
        urls: of the routers; clients take turns over them. It may change: `start_using`, `stop_using`.
        kind: queue type.

    Attributes:
        queues: the ids of the queues, once it has started.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        urls: Sequence[str],
        kind: str,
        history: History,
        habits: Habits = BUSY,
    ) -> None:
        self.history = history
        self.kind = kind
        self.queues: list[str] = []
        self._http = http
        self._urls = list(urls)
        self._habits = habits
        self._random = random.Random(history.seed)
        self._is_over = False
        self._late: set[asyncio.Task[None]] = set()
        self._producers: list[asyncio.Task[None]] = []

    def start(self, queues: int, workers: int) -> list[asyncio.Task[None]]:
        """Let everyone begin; returns all their tasks."""
        self.queues = [f"q{number}" for number in range(queues)]
        self._producers = [asyncio.create_task(self._produce(queue)) for queue in self.queues]
        return [*self._producers, *(asyncio.create_task(self._work()) for _ in range(workers))]

    def start_using(self, url: str) -> None:
        """Send requests to this router too."""
        self._urls.append(url)

    def stop_using(self, url: str) -> None:
        """Send it no more, as a load balancer does with a router that is not ready."""
        self._urls.remove(url)

    @property
    def unfinished(self) -> int:
        """The number of acknowledged jobs that somebody must still get."""
        return len(self.history.undelivered())

    @property
    def newest_s(self) -> float:
        """The moment at which the newest lease was heard of, by the monotonic clock; 0 before the first."""
        served = (dequeue.ended_s for dequeue in reversed(self.history.dequeues) if dequeue.leases)
        return next(served, 0.0)

    async def go_on(self, seconds: float) -> None:
        """Let the crowd work on for some time, and until some more of its load was delivered, too."""
        began_s = time.monotonic()
        await until(lambda: self.newest_s > began_s, DELIVERED_WITHIN_S, "jobs are delivered again")
        await asyncio.sleep(seconds)
        since_s = time.monotonic()
        await until(lambda: self.newest_s > since_s, DELIVERED_WITHIN_S, "jobs are still delivered")

    async def drain(self) -> None:
        """Send no more, and return when all that was acknowledged has been delivered."""
        await self.end()
        await until(lambda: not self.unfinished, DRAIN_S, "every acknowledged job is delivered")

    async def end(self) -> None:
        """Send no more new jobs; returns when no enqueue is in doubt and nobody holds a job over its lease's end."""
        self._is_over = True
        await asyncio.gather(*self._producers)
        await asyncio.gather(*self._late)

    async def _produce(self, queue: str) -> None:
        """Send jobs of one queue a little faster than they may leave, until `end`."""
        numbers = itertools.count()
        urls = self.turns()
        while not self._is_over:
            bulk = [(queue, next(numbers)) for _ in range(self._random.randint(1, MAX_BULK))]
            await self._send(bulk, urls)
            await asyncio.sleep(len(bulk) * self.history.promise.pause_ms / 1000)

    async def _work(self) -> None:
        """Lease and end jobs, until cancelled."""
        urls = self.turns()
        while True:
            url = next(urls)
            leases = await self._lease(url)
            if leases is None:
                await asyncio.sleep(RETRY_S)
            elif leases:
                await self._deal_with(leases, urls)

    async def _send(self, jobs: list[tuple[str, int]], urls: Iterator[str]) -> None:
        """Send jobs, and those in doubt again, until each is acknowledged, refused or given up."""
        while jobs:
            bodies = [self._body(job) for job in jobs]
            answer = await self.ask("POST", f"{next(urls)}/enqueue/", {"jobs": bodies})
            doubtful = []
            results = results_of(answer, len(jobs))
            for job, body, (outcome, why, message) in zip(jobs, bodies, results, strict=True):
                self.history.enqueues.append(
                    Enqueue(
                        began_s=answer.began_s,
                        ended_s=answer.ended_s,
                        outcome=outcome,
                        why=why,
                        message=message,
                        is_documented=answer.is_documented,
                        job=job,
                        expires_ms=body.get("expires"),
                        expires_at_ms=body.get("expires_at"),
                    )
                )
                if outcome is Outcome.PERHAPS and not self.happens(self._habits.gives_up):
                    doubtful.append(job)
            jobs = doubtful
            if answer.outcome is not Outcome.OK or jobs:
                await asyncio.sleep(RETRY_S)

    def _body(self, job: tuple[str, int]) -> dict[str, Any]:
        promise = self.history.promise
        body: dict[str, Any] = {
            "queue_type": self.kind,
            "queue_id": job[0],
            "job_id": str(job[1]),
            "interval": promise.rate.interval_ms,
            "payload": job[1],
            "repeat": True,
            **promise.life.fields(job[1], time.time() * 1000),
        }
        if promise.rate.burst != 1:
            body["burst"] = promise.rate.burst
        if promise.most_cost > 1:
            body["cost"] = promise.cost(job[1])
        if promise.max_leased is not None:
            body["max_leased"] = promise.max_leased
        if names := promise.cap_names(job[0]):
            body["caps"] = list(names)
        if window := promise.window(job[0]):
            body["window"] = window
        return body

    async def _lease(self, url: str) -> list[Lease] | None:
        """Lease jobs and return the leases; None if the request failed."""
        path = f"{url}/dequeue/{self.kind}/?count={MAX_LEASES}&wait={WAIT_MS}&lease={LEASE_MS}"
        answer = await self.ask("POST", path)
        leases = tuple(_lease(job, answer.ended_s, self.history) for job in answer.content.get("jobs", []))
        self.history.dequeues.append(
            Dequeue(
                began_s=answer.began_s,
                ended_s=answer.ended_s,
                outcome=answer.outcome,
                why=answer.why,
                message=answer.message,
                is_documented=answer.is_documented,
                leases=leases,
            )
        )
        return None if answer.outcome is not Outcome.OK else list(leases)

    async def _deal_with(self, leases: list[Lease], urls: Iterator[str]) -> None:
        """End the leases, each as the habits have it."""
        ends: dict[str, list[tuple[Lease, Fields]]] = {"finish": [], "release": []}
        for lease in leases:
            if self.happens(self._habits.is_late):
                task = asyncio.create_task(self._finish_late(lease, urls))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            elif self.happens(self._habits.releases):
                ends["release"].append((lease, {}))
            elif self.happens(self._habits.fails):
                ends["release"].append(
                    (lease, {"error": f"{lease.job[1]} failed at attempt {lease.attempt}"})
                )
            elif self.happens(self._habits.throttles):
                ends["release"].append((lease, {**self._hold(lease), "count": False}))
            elif self.happens(self._habits.corrects):
                ends["finish"].append((lease, {"cost": lease.cost + self._random.randint(1, 3)}))
            elif not self.happens(self._habits.vanishes):
                ends["finish"].append((lease, {}))
        for verb, ended in ends.items():
            if ended:
                await self._end(verb, ended, urls)

    async def _finish_late(self, lease: Lease, urls: Iterator[str]) -> None:
        """Sleep over the lease's end, as a worker does that was paused."""
        await asyncio.sleep(LEASE_MS / 1000 * self._random.uniform(1.0, 2.0))
        await self._end("finish", [(lease, {})], urls)

    def _hold(self, lease: Lease) -> Fields:
        hold_ms = self._random.randint(*HOLDS_MS)
        names = self.history.promise.cap_names(lease.job[0])
        if names and self.happens(CAP_HOLD_SHARE):
            return {"hold_cap": {"name": self._random.choice(names), "ms": hold_ms}}
        is_of_type = is_gathered(self.kind) and self.happens(TYPE_HOLD_SHARE)
        return {"hold_type" if is_of_type else "hold": hold_ms}

    async def _end(self, verb: str, leases: list[tuple[Lease, Fields]], urls: Iterator[str]) -> None:
        """Send it; once more where it is in doubt, and while nothing was done."""
        for _ in range(3):
            bodies = [
                {
                    "queue_type": self.kind,
                    "queue_id": lease.job[0],
                    "job_id": str(lease.job[1]),
                    "lease": lease.token,
                    **fields,
                }
                for lease, fields in leases
            ]
            answer = await self.ask("POST", f"{next(urls)}/{verb}/", {"jobs": bodies})
            again = []
            results = results_of(answer, len(leases))
            for (lease, fields), (outcome, why, message) in zip(leases, results, strict=True):
                self.history.ends.append(
                    End(
                        began_s=answer.began_s,
                        ended_s=answer.ended_s,
                        outcome=outcome,
                        why=why,
                        message=message,
                        is_documented=answer.is_documented,
                        verb=verb,
                        job=lease.job,
                        token=lease.token,
                        hold_ms=_hold_ms(fields),
                        is_hold_of_type="hold_type" in fields,
                        held_cap=fields.get("hold_cap", {}).get("name", ""),
                        counts="count" not in fields,
                        error=str(fields.get("error", "")),
                    )
                )
                if outcome is not Outcome.OK and why not in LEASE_IS_LOST:
                    again.append((lease, fields))
            leases = again
            if not leases:
                return
            await asyncio.sleep(RETRY_S)

    async def ask(self, method: str, url: str, body: object = None) -> Answer:
        """Send one request, once."""
        return await ask(self._http, method, url, body)

    def turns(self) -> Iterator[str]:
        """Yield the routers in use, in turn, from a random one on."""
        for number in itertools.count(self._random.randrange(len(self._urls))):
            yield self._urls[number % len(self._urls)]

    def happens(self, share: float) -> bool:
        return self._random.random() < share


def _hold_ms(fields: Fields) -> int:
    if "hold_cap" in fields:
        return int(fields["hold_cap"]["ms"])
    return int(fields["hold_type"] if "hold_type" in fields else fields.get("hold", 0))


def _lease(job: dict[str, Any], heard_s: float, history: History) -> Lease:
    told_ms = job["lease_expires_at"] - LEASE_MS
    at_ms = history.real_ms(told_ms)
    expires_at_ms = job.get("expires_at")
    return Lease(
        job=(job["queue_id"], int(job["job_id"])),
        token=job["lease"],
        attempt=job["attempt"],
        heard_s=heard_s,
        at_ms=at_ms,
        until_ms=at_ms + LEASE_MS,
        cost=job.get("cost", 1),
        expires_at_ms=None if expires_at_ms is None else expires_at_ms - told_ms + at_ms,
        version=int(isinstance(job["payload"], list)),
    )


@asynccontextmanager
async def running_crowd(
    urls: Sequence[str],
    kind: str,
    history: History,
    *,
    queues: int = 12,
    workers: int = 4,
    habits: Habits = BUSY,
) -> AsyncIterator[Crowd]:
    """A crowd that works for the length of the block; an error of one ends it."""
    limits = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=2)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=limits, connector=connector) as http:
        crowd = Crowd(http, urls, kind, history, habits)
        tasks = crowd.start(queues, workers)
        try:
            yield crowd
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
