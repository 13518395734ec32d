"""The fake server beside the real one: the same random calls of the client, at the same times, have the same answers.

HYPOTHESIS_PROFILE=thorough runs many more and longer examples. A failure prints its calls and the blob that repeats it.
The real side is timed_server.py. Both make the same lease tokens, so that the jitter of retries is the same, too.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from sharq_client import (
    AsyncClient,
    DeadRef,
    JobChange,
    JobRef,
    QueueSettings,
    TypeSettings,
    TypeStats,
)
from sharq_client.errors import SharqError
from sharq_client.testing import FakeSharq
from sharq_core.scheduler import library
from tests.clients.testing.fake_calls import BATCHES, CALL, SCENARIOS, TYPES, WRONG_FIELDS
from tests.clients.testing.timed_server import TimedServer
from tests.support.extent import is_full
from tests.support.stores.server import StoreServer

START_MS = 1_700_000_000_000
LOOK_EVERY = 3
"""The number of calls after which all is compared that the two know."""
QUICK_EXAMPLES = 60 if is_full() else 15
EXAMPLES, CALLS = (1500, 60) if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else (QUICK_EXAMPLES, 40)

_PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    database=None,
    derandomize="HYPOTHESIS_PROFILE" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


class Side:
    """A client of one of the two servers, and the leases that it has got."""

    def __init__(self, client: AsyncClient, server: FakeSharq | TimedServer) -> None:
        self.client = client
        self.server = server
        self.leases: list[JobRef] = []

    @property
    def now_ms(self) -> int:
        return self.server.now_us // 1000

    async def call(self, name: str, *arguments: Any) -> Any:
        """Make one call; return its answer, or its error."""
        try:
            return plain(await getattr(self, f"do_{name}")(*arguments))
        except SharqError as error:
            return plain(error)

    def at(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields with times of the clock instead of times from now."""
        return {
            name: self.now_ms + value if name in {"at", "expires_at"} and isinstance(value, int) else value
            for name, value in fields.items()
        }

    def lease(self, number: int) -> JobRef:
        """The lease of a number, 0 for the newest one."""
        if number < len(self.leases):
            return self.leases[-1 - number]
        return JobRef("sms", "a", "1", "no-such-lease")

    async def do_enqueue(self, job: dict[str, Any]) -> Any:
        return await self.client.enqueue(self.at(job))

    async def do_enqueue_many(self, jobs: Any) -> Any:
        if isinstance(jobs, tuple):
            good, wrong = jobs
            wrong = {"queue_type": "sms", "queue_id": "a", "job_id": "wrong", "payload": 1, **wrong}
            jobs = [self.at(good), wrong]
        else:
            jobs = [self.at(job) for job in jobs]
        return list(await self.client.enqueue_many(jobs))

    async def do_dequeue(self, queue_type: str, count: int, lease_ms: float) -> Any:
        jobs = await self.client.dequeue(queue_type, count, lease_ms=lease_ms)
        self.leases += [JobRef(job.queue_type, job.queue_id, job.job_id, job.lease) for job in jobs]
        return jobs

    async def do_advance(self, seconds: float) -> None:
        if isinstance(self.server, FakeSharq):
            self.server.advance(seconds)
        else:
            self.server.advance(round(seconds * 1_000_000))

    async def do_finish(self, number: int, report: dict[str, Any]) -> Any:
        return await self.client.finish(self.lease(number), **report, result={"n": number})

    async def do_finish_many(self, numbers: list[int]) -> Any:
        return list(await self.client.finish_many([self.lease(number) for number in numbers]))

    async def do_finish_by_id(self, *names: str) -> Any:
        return await self.client.finish(JobRef(*names))

    async def do_release(self, number: int, report: dict[str, Any]) -> Any:
        return await self.client.release(self.lease(number), **report)

    async def do_extend(self, number: int, by_ms: float, progress: object) -> Any:
        return await self.client.extend(self.lease(number), by_ms, progress=progress)

    async def do_search(self, queue_type: str, text: str) -> Any:
        return [row.queue_id async for row in self.client.control.queues(queue_type, search=text)]

    async def do_set_interval(
        self, queue_type: str, queue_id: str, interval_ms: float, burst: Any, pin: bool | None
    ) -> Any:
        burst = None if burst is UNSET else burst
        return await self.client.set_interval(queue_type, queue_id, interval_ms, burst=burst, pin=pin)

    async def do_pause(self, *names: str) -> Any:
        return await self.client.pause(*names)

    async def do_resume(self, *names: str) -> Any:
        return await self.client.resume(*names)

    async def do_hold(self, queue_type: str, queue_id: str, for_ms: float) -> Any:
        return await self.client.control.hold(queue_type, queue_id, for_ms=for_ms)

    async def do_hold_until(self, queue_type: str, queue_id: str, from_now_ms: int) -> Any:
        return await self.client.control.hold(queue_type, queue_id, until_ms=self.now_ms + from_now_ms)

    async def do_set_queue(self, queue_type: str, queue_id: str, fields: dict[str, Any]) -> Any:
        return await self.client.control.set_queue(queue_type, queue_id, QueueSettings(**fields))

    async def do_set_type(self, queue_type: str, fields: dict[str, Any]) -> Any:
        return without_records(await self.client.control.set_type(queue_type, TypeSettings(**fields)))

    async def do_pause_type(self, queue_type: str) -> None:
        await self.client.control.pause_type(queue_type)

    async def do_resume_type(self, queue_type: str) -> None:
        await self.client.control.resume_type(queue_type)

    async def do_pause_all(self) -> None:
        await self.client.control.pause_all()

    async def do_resume_all(self) -> None:
        await self.client.control.resume_all()

    async def do_delete_queue(self, queue_type: str, queue_id: str, purge: bool) -> Any:
        return await self.client.delete_queue(queue_type, queue_id, purge_all=purge)

    async def do_cancel(self, queue_type: str, queue_id: str, job_id: str, force: bool) -> Any:
        return await self.client.jobs.cancel(queue_type, queue_id, job_id, force=force)

    async def do_cancel_matching(self, queue_type: str, queue_id: str, prefix: str) -> Any:
        return await self.client.jobs.cancel_matching(queue_type, queue_id, prefix)

    async def do_change(self, queue_type: str, queue_id: str, job_id: str, fields: dict[str, Any]) -> Any:
        change = JobChange(**self.at(fields))
        return await self.client.jobs.change(queue_type, queue_id, job_id, change)

    async def do_redrive(self, queue_type: str) -> Any:
        return await self.client.redrive(queue_type)

    async def do_redrive_many(self, queue_type: str, *names: str) -> Any:
        return list(await self.client.redrive_many(queue_type, [DeadRef(*names)]))

    async def do_drop_dead_many(self, queue_type: str, *names: str) -> Any:
        return await self.client.drop_dead_many(queue_type, [DeadRef(*names), DeadRef("a", "never")])

    async def do_drop_dead_letter(self, *names: str) -> Any:
        return await self.client.jobs.drop_dead_letter(*names)

    async def do_cancel_batch(self, queue_type: str, batch: str) -> Any:
        return await self.client.jobs.cancel_batch(queue_type, batch)

    async def everything(self) -> Any:
        """Return all that the server knows of jobs, queues, dead letters, batches and types."""
        found: dict[str, Any] = {}
        for kind in TYPES:
            for queue_id in ("a", "ab"):
                found[f"queue {kind} {queue_id}"] = await self.client.queue(kind, queue_id)
                found[f"counts {kind} {queue_id}"] = await self.client.queue_counts(kind, queue_id)
                for job_id in ("1", "2", "3", "12"):
                    name = f"job {kind} {queue_id} {job_id}"
                    found[name] = await self.client.job(kind, queue_id, job_id)
                queued = [row.job_id async for row in self.client.jobs.in_queue(kind, queue_id)]
                found[f"queued {kind} {queue_id}"] = queued
            found[f"dead {kind}"] = [letter async for letter in self.client.dead(kind)]
            found[f"queues {kind}"] = sorted([name async for name in self.client.queues(kind)])
            for batch in BATCHES:
                found[f"batch {kind} {batch}"] = await self.client.jobs.batch(kind, batch)
        found["type"] = without_records(await self.client.control.type("sms~a"))
        return {name: plain(value) for name, value in found.items()}


def without_records(stats: TypeStats) -> TypeStats:
    """The state of a type without the number of records: the store keeps that of an idle queue for longer."""
    return msgspec.structs.replace(stats, queues=0)


def plain(value: Any) -> Any:
    """A value in a form that can be compared and printed."""
    if isinstance(value, SharqError):
        return type(value).__name__, str(value), getattr(value, "queue_length", None)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return msgspec.json.encode(value).decode()


@pytest.fixture(scope="module")
def scheduler(store: StoreServer) -> Iterator[redis.Redis]:
    """The shared store, with the scheduler's functions."""
    with store.client(timeout_s=20.0) as connected:
        connected.function_load(library.source(), replace=True)
        yield connected


async def compare(scheduler: redis.Redis, calls: list[tuple[Any, ...]], look_every: int = LOOK_EVERY) -> None:
    """Make the same calls of both servers, a µs apart, and compare all answers and all that they know."""
    fake = FakeSharq(now_ms=START_MS, seed=7)
    prefix = f"fake-{uuid.uuid4().hex[:12]}"
    real = TimedServer(scheduler, prefix, types=TYPES, batches=BATCHES, now_us=START_MS * 1000, seed=7)
    sides = [
        Side(fake.async_client(retries=0), fake),
        Side(AsyncClient("http://real.test", connections=real, retries=0), real),
    ]
    for side in sides:
        for kind in TYPES:
            # A type without anything is dropped by the store, and its leases are then numbered anew.
            await side.client.set_interval(kind, "kept", 0, pin=True)
    for number, call in enumerate(calls):
        answers = [await side.call(*call) for side in sides]
        assert answers[0] == answers[1], f"{call}: fake {answers[0]}, real {answers[1]}"
        if number % look_every == 0:
            found = [await side.everything() for side in sides]
            differing = {
                name: (here, found[1][name]) for name, here in found[0].items() if here != found[1][name]
            }
            assert not differing, f"(fake, real) {differing} after {call}"
        for side in sides:
            await side.do_advance(0.000_001)


@pytest.mark.timeout(3600)
@_PROFILE
@given(calls=st.lists(CALL, min_size=CALLS // 2, max_size=CALLS))
def test_the_fake_answers_as_the_server(scheduler: redis.Redis, calls: list[tuple[Any, ...]]) -> None:
    asyncio.run(compare(scheduler, calls))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_fake_follows_the_server_through_a_scenario(scheduler: redis.Redis, name: str) -> None:
    asyncio.run(compare(scheduler, SCENARIOS[name], look_every=1))


def test_a_wrong_job_is_refused_in_the_words_of_the_server(scheduler: redis.Redis) -> None:
    good: dict[str, Any] = {"queue_type": "sms", "queue_id": "a", "job_id": "1", "payload": 1, "interval": 0}
    asyncio.run(compare(scheduler, [("enqueue", {**good, **wrong}) for wrong in WRONG_FIELDS]))
    asyncio.run(compare(scheduler, [("enqueue_many", (good, wrong)) for wrong in WRONG_FIELDS]))


def test_a_wrong_search_is_refused_in_the_words_of_the_server(scheduler: redis.Redis) -> None:
    asyncio.run(compare(scheduler, [("search", "sms", text) for text in ("", "a\n", "~", "x" * 101, "a")]))
