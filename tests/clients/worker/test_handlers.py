"""Handlers of a worker: async functions, plain ones in threads, objects that behave as one, and refused ones."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest

from sharq_client import AsyncClient, EnqueueJob, LeasedJob, Worker
from sharq_client.answers import JobState
from sharq_client.worker.handlers.results import to_running
from tests.support.processes.servers import SharqServer
from tests.support.waits import until

DEADLINE_S = 60.0


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def enqueue(client: AsyncClient, kind: str, count: int = 1) -> list[str]:
    jobs = [
        EnqueueJob(queue_type=kind, queue_id=str(n), job_id=f"j{n}", payload=n, interval=0)
        for n in range(count)
    ]
    await client.enqueue_many(jobs)
    return [f"j{n}" for n in range(count)]


async def state_of(client: AsyncClient, kind: str, number: int = 0) -> JobState | None:
    status = await client.job(kind, str(number), f"j{number}")
    return None if status is None else status.state


async def test_plain_function_runs_in_a_thread_and_its_job_is_finished(
    client: AsyncClient, kind: str
) -> None:
    calls: list[tuple[str, int, str]] = []

    def handle(job: LeasedJob) -> None:
        calls.append((job.job_id, job.attempt, threading.current_thread().name))

    await enqueue(client, kind)
    async with Worker(client, kind, handle, wait_ms=100, release_delay_ms=0):
        await until(lambda: len(calls) == 1)
    assert await state_of(client, kind) is JobState.FINISHED
    assert [(job_id, attempt) for job_id, attempt, _ in calls] == [("j0", 1)]
    assert calls[0][2] != threading.main_thread().name


async def test_plain_functions_run_side_by_side_and_never_more_than_may(
    client: AsyncClient, kind: str
) -> None:
    lock, meet = threading.Lock(), threading.Barrier(3)
    running, most, done = 0, 0, 0

    def handle(job: LeasedJob) -> None:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        meet.wait(DEADLINE_S)
        with lock:
            running -= 1
            done += 1

    await enqueue(client, kind, 30)
    async with Worker(client, kind, handle, concurrency=3, wait_ms=100):
        await until(lambda: done == 30)
    assert most == 3
    assert [queue_id async for queue_id in client.queues(kind)] == []


async def test_plain_function_that_blocks_does_not_hold_the_loop(client: AsyncClient, kind: str) -> None:
    started, may_end = threading.Event(), threading.Event()

    def block(job: LeasedJob) -> None:
        started.set()
        may_end.wait(DEADLINE_S)

    await enqueue(client, kind)
    async with Worker(client, kind, block, lease_ms=1_000, wait_ms=100):
        await until(started.is_set)
        # Two lease times and a half: the heartbeat has to go on beside the blocked handler.
        assert await client.dequeue(kind, wait_ms=2_500) is None
        may_end.set()
    assert await state_of(client, kind) is JobState.FINISHED


@pytest.mark.parametrize(
    "error", [LookupError, StopIteration, concurrent.futures.CancelledError, asyncio.CancelledError]
)
async def test_job_whose_plain_function_raises_comes_back(
    client: AsyncClient, kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    def fail_once(job: LeasedJob) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise error("of a test")

    await enqueue(client, kind)
    async with Worker(client, kind, fail_once, wait_ms=100, release_delay_ms=0):
        await until(lambda: attempts == [1, 2])
    assert await state_of(client, kind) is JobState.FINISHED
    assert [record.getMessage() for record in caplog.records].count(
        f"job_failed queue_type={kind} queue_id=0 job_id=j0 attempt=1 requeues_remaining=10"
    ) == 1


async def test_async_handler_that_was_cancelled_by_others_is_said(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    async def cancel_once(job: LeasedJob) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise asyncio.CancelledError

    await enqueue(client, kind)
    async with Worker(client, kind, cancel_once, wait_ms=100, release_delay_ms=0):
        await until(lambda: attempts == [1, 2])
    assert "job_failed" in caplog.text


class Sender:
    """Handlers that are no functions of a module."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    async def __call__(self, job: LeasedJob) -> None:
        await self.send(job)

    async def send(self, job: LeasedJob) -> None:
        self.note("async", job)

    def note(self, prefix: str, job: LeasedJob) -> None:
        self.seen.append(prefix)

    def note_plain(self, job: LeasedJob) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.note("plain", job)


class PlainSender(Sender):
    def __call__(self, job: LeasedJob) -> None:  # type: ignore[override]
        self.note_plain(job)


def decorated(handler: Callable[[LeasedJob], Any]) -> Callable[[LeasedJob], Any]:
    """As many decorators are: a plain function around an async one."""

    @functools.wraps(handler)
    def wrapper(job: LeasedJob) -> Any:
        return handler(job)

    return wrapper


def run_whole(handler: Callable[[LeasedJob], Any]) -> Callable[[LeasedJob], None]:
    """As others are: the async function is run to its end, which nobody can do on a running loop."""

    @functools.wraps(handler)
    def wrapper(job: LeasedJob) -> None:
        asyncio.run(handler(job))

    return wrapper


def pooled(handler: Callable[[LeasedJob], Any]) -> Callable[[LeasedJob], Any]:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    return lambda job: pool.submit(handler, job)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: s,
        lambda s: s.send,
        lambda s: functools.partial(functools.partial(s.send)),
        lambda s: decorated(s.send),
        lambda s: run_whole(s.send),
        lambda s: lambda job: s.send(job),  # noqa: PLW0108 - a plain function that returns an awaitable
        lambda s: PlainSender(s.seen),
        lambda s: s.note_plain,
        lambda s: functools.partial(s.note, "plain"),
        lambda s: decorated(s.note_plain),
        lambda s: pooled(s.note_plain),
    ],
    ids=["object", "method", "partial", "decorated", "run", "lambda", "plain object", "plain method",
         "plain partial", "plain decorated", "pooled"],
)  # fmt: skip
async def test_what_behaves_as_a_function_is_run_once_and_to_its_end(
    client: AsyncClient, kind: str, make: Callable[[Sender], Callable[[LeasedJob], Awaitable[object]]]
) -> None:
    seen: list[str] = []
    await enqueue(client, kind)
    async with Worker(client, kind, make(Sender(seen)), wait_ms=100, release_delay_ms=0):
        await until(lambda: len(seen) == 1)
    assert await state_of(client, kind) is JobState.FINISHED
    assert len(seen) == 1


def generator(job: LeasedJob) -> Iterator[None]:
    yield


async def async_generator(job: LeasedJob) -> AsyncIterator[None]:
    yield


class Generating:
    def __call__(self, job: LeasedJob) -> Iterator[None]:
        yield

    def method(self, job: LeasedJob) -> Iterator[None]:
        yield


def takes_nothing() -> None: ...


async def takes_two(job: LeasedJob, other: object) -> None: ...


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (None, "None"),
        ("send_sms", "'send_sms'"),
        (Sender, "the class Sender"),
        (functools.partial(Sender), "the class Sender"),
        (generator, "the generator function generator"),
        (functools.partial(generator), "the generator function generator"),
        (async_generator, "the generator function async_generator"),
        (Generating(), "the generator function Generating.__call__"),
        (Generating().method, "the generator function Generating.method"),
        (takes_nothing, "takes_nothing()"),
        (takes_two, "missing a required argument: 'other'"),
    ],
)
async def test_what_can_never_handle_a_job_is_refused_when_the_worker_is_made(
    client: AsyncClient, handler: Any, said: str
) -> None:
    with pytest.raises(
        TypeError, match="handler: expected an `async def` function or a plain function"
    ) as caught:
        Worker(client, "sms", handler)
    assert said in str(caught.value)


async def test_function_that_returns_a_generator_ends_the_worker_and_its_job_is_not_done(
    client: AsyncClient, kind: str
) -> None:
    await enqueue(client, kind)
    with pytest.raises(TypeError, match="returned the generator generator"):
        await Worker(client, kind, decorated(generator), wait_ms=100, release_delay_ms=0).run()
    assert await state_of(client, kind) is JobState.QUEUED


async def test_thread_that_outlasts_the_stop_keeps_its_lease(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    started, may_end = threading.Event(), threading.Event()

    def outlast(job: LeasedJob) -> None:
        started.set()
        may_end.wait(DEADLINE_S)

    await enqueue(client, kind)
    with caplog.at_level(logging.WARNING):
        async with Worker(client, kind, outlast, wait_ms=100, release_delay_ms=0, stop_timeout_s=0.2):
            await until(started.is_set)
    may_end.set()
    assert await state_of(client, kind) is JobState.LEASED
    assert "job_abandoned job_id=j0" in caplog.text


def test_running_job_has_every_field_of_the_leased_job() -> None:
    leased = LeasedJob(
        queue_type="sms", queue_id="acme", job_id="j", lease="l", lease_expires_at=1, enqueued_at=2, attempt=3,
        requeues_remaining=4, current_queue_length=5, cost=6, priority=7, expires_at=8,
            traceparent="00-1-2-01", tracestate="v=1",
        payload_json=msgspec.Raw(b'{"to": 1}'),
    )  # fmt: skip
    defaults = {
        field.name: field.default for field in msgspec.structs.fields(LeasedJob) if not field.required
    }
    assert [name for name, default in defaults.items() if getattr(leased, name) == default] == []
    running = msgspec.structs.asdict(to_running(leased, lambda *_: None))
    del running["report"]
    assert running == msgspec.structs.asdict(leased)
