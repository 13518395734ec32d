"""Registering handlers with a worker: by decorator, for several types; and what is refused at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sharq_client import AsyncClient, Client, EnqueueJob, JobState, LeasedJob, RunningJob, Worker
from sharq_client.sync.connections import Urllib3Connections
from tests.support.processes.servers import SharqServer
from tests.support.waits import until


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def send(job: RunningJob) -> None: ...


def send_plain(job: RunningJob) -> None: ...


async def send_many(jobs: list[RunningJob]) -> None: ...


async def test_each_type_has_the_handler_that_was_registered_for_it(client: AsyncClient, kind: str) -> None:
    worker = Worker(client, wait_ms=100)
    seen: list[tuple[str, str, bool]] = []

    def note(name: str, job: RunningJob) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        seen.append((name, job.queue_type.removeprefix(kind), in_main))

    @worker.handler(f"{kind}sms", f"{kind}voice")
    async def first(job: RunningJob) -> None:
        note("first", job)

    @worker.handler(f"{kind}mail")
    def second(job: LeasedJob) -> None:
        assert isinstance(job, RunningJob)
        note("second", job)

    jobs = [
        EnqueueJob(queue_type=f"{kind}{name}", queue_id="1", payload=None, interval=0)
        for name in ("sms", "voice", "mail")
    ]
    await client.enqueue_many(jobs)
    async with worker:
        await until(lambda: len(seen) == 3)
    assert sorted(seen) == [("first", "sms", True), ("first", "voice", True), ("second", "mail", False)]
    assert worker.queue_types == [f"{kind}sms", f"{kind}voice", f"{kind}mail"]


def register_without_parentheses(worker: Worker) -> None:
    worker.handler(send)  # type: ignore[call-overload]


def register_a_coroutine(worker: Worker) -> None:
    worker.handler("sms")(send(None))  # type: ignore[arg-type, type-var, unused-coroutine]


def register_a_list(worker: Worker) -> None:
    worker.handler(["sms", "voice"])  # type: ignore[call-overload]


def register_two_for_a_type(worker: Worker) -> None:
    worker.handler("sms", "voice")(send)
    worker.handler("sms")(send_plain)


def register_too_many(worker: Worker) -> None:
    worker.handler(*[f"t{n}" for n in range(15)])(send)
    worker.handler("u0", "u1")(send_plain)


@pytest.mark.parametrize(
    ("register", "error", "said"),
    [
        (register_a_coroutine, TypeError,
         "got the coroutine object of send: hand in the function without calling it"),
        (lambda w: w.handler("sms")(dict), TypeError, "got the class dict"),
        (lambda w: w.handler("sms")(lambda: None), TypeError, "a plain function that takes the job, got"),
        (lambda w: w.handler("sms", batch=5)(lambda a, b: None), TypeError, "that takes the list of jobs, got"),
        (register_without_parentheses, TypeError, 'as in @worker.handler("sms"), got send'),
        (register_a_list, TypeError, "got ['sms', 'voice']"),
        (register_two_for_a_type, ValueError, "queue_type: sms has a handler already: send"),
        (lambda w: w.handler("sms", "sms")(send), ValueError, "queue_type: sms has a handler already: send"),
        (register_too_many, ValueError, "queue_type: expected up to 16 types"),
        (lambda w: w.handler()(send), ValueError, "queue_type: expected a type"),
        (lambda w: w.handler("sms", batch=0)(send_many), ValueError, "batch: expected 1 to 1,000, got 0"),
        (lambda w: w.handler("sms", batch=1_001)(send_many), ValueError, "batch: expected 1 to 1,000"),
        (lambda w: w.middleware(send_plain), TypeError, "middleware: expected an `async def` function"),
        (lambda w: w.middleware(send), TypeError, "that takes the job and call_next, got send: too many"),
    ],
)  # fmt: skip
async def test_what_cannot_work_is_refused_when_it_is_registered(
    client: AsyncClient, register: Callable[[Any], object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        register(Worker(client))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 0}, "concurrency: expected 1 or more, got 0"),
        ({"batch": 1_001}, "batch: expected 1 to 1,000, got 1001"),
        ({"release_delay_ms": float("inf")}, "release_delay_ms: expected 0 to 31,536,000,000, got inf"),
        ({"lease_ms": 99}, "lease_ms: expected 100 to 86,400,000, got 99"),
        ({"wait_ms": 60_001}, "wait_ms: expected 0 to 60,000, got 60001"),
        ({"stop_timeout_s": float("nan")}, "stop_timeout_s: expected 0 or more, got nan"),
        ({"metrics_port": 65_536}, "metrics_port: expected 0 to 65,535, got 65536"),
    ],
)
async def test_option_out_of_its_range_is_refused_by_name(
    client: AsyncClient, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Worker(client, **options)


async def test_worker_without_handlers_does_not_run(client: AsyncClient) -> None:
    with pytest.raises(RuntimeError, match="no handler is registered"):
        await Worker(client).run()
    with pytest.raises(RuntimeError, match="no handler is registered"):
        async with Worker(client):
            pass


async def test_worker_runs_once(client: AsyncClient, kind: str) -> None:
    worker = Worker(client, kind, send, wait_ms=100)
    worker.stop()
    await worker.run()
    with pytest.raises(RuntimeError, match="has been run already"):
        await worker.run()
    with pytest.raises(RuntimeError, match="before the worker runs"):
        worker.handler("other")(send)


async def test_run_forever_in_an_event_loop_names_the_way_that_works(client: AsyncClient) -> None:
    with pytest.raises(RuntimeError, match=r"use `await worker.run\(\)`"):
        Worker(client, "sms", send).run_forever()


@pytest.mark.parametrize("client", ["http://127.0.0.1:8080", None])
def test_client_of_another_kind_is_refused(client: Any) -> None:
    with pytest.raises(TypeError, match="client: expected an AsyncClient or a Client, got"):
        Worker(client)


def test_sync_client_with_connections_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a Client over HTTP"):
        Worker(Client(connections=Urllib3Connections()))


def test_worker_of_a_sync_client_runs_forever_until_it_is_stopped(server: SharqServer, kind: str) -> None:
    with Client(server.url) as client:
        job = client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", payload="hello", interval=0))
        worker = Worker(client, wait_ms=100)
        seen: list[object] = []

        @worker.handler(kind)
        async def handle(job: RunningJob) -> None:
            seen.append(job.payload)
            worker.stop()

        worker.run_forever()
        status = client.job(kind, "1", job.job_id)
    assert seen == ["hello"]
    assert status is not None and status.state is JobState.FINISHED


async def test_two_workers_of_one_type_share_its_jobs(client: AsyncClient, kind: str) -> None:
    seen: list[list[str]] = [[], []]
    both = asyncio.Event()

    def worker_of(number: int) -> Worker:
        async def handle(job: RunningJob) -> None:
            seen[number].append(job.job_id)
            if all(seen):
                both.set()
            # Each keeps its first job until the other has one, too.
            await asyncio.wait_for(both.wait(), 30)

        return Worker(client, kind, handle, concurrency=1, wait_ms=200)

    jobs = [
        EnqueueJob(queue_type=kind, queue_id=str(n), job_id=f"j{n}", payload=None, interval=0)
        for n in range(20)
    ]
    await client.enqueue_many(jobs)
    async with worker_of(0), worker_of(1):
        await until(lambda: len(seen[0]) + len(seen[1]) == 20)
    assert sorted(seen[0] + seen[1]) == sorted(f"j{n}" for n in range(20))
