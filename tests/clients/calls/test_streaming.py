"""`enqueue_many`: lists, streams, their order, their failures, their memory, and what happens if a server dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from sharq_client import (
    AsyncClient,
    EnqueueJob,
    EnqueueProgress,
    EnqueueStopped,
    EnqueueSummary,
    InvalidRequest,
    QueueFull,
    Unavailable,
)
from sharq_client.aio.connections import AiohttpConnections
from sharq_client.streaming import MAX_FAILURES
from sharq_core.config import parse_url
from tests.clients.both import OPENERS, OpenClient
from tests.support.extent import is_full
from tests.support.processes.servers import PATIENT, SharqCluster, SharqServer
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreServer

DEADLINE_S = 380.0
CUSTOMERS = 50

STREAM = 20_000
"""Messages of a stream whose server dies: several calls that are under way, and several after them."""


def messages(kind: str, count: int, begin: int = 0) -> Iterator[dict[str, Any]]:
    """Yield messages for several customers, each with an id, as from a file."""
    for number in range(begin, count):
        yield {
            "queue_type": kind,
            "queue_id": f"customer-{number % CUSTOMERS}",
            "job_id": f"job-{number}",
            "payload": {
                "to": f"+49151{number:08d}",
                "text": "Your order has been sent and arrives tomorrow.",
            },
            "interval": 0,
        }


async def queued(client: AsyncClient, kind: str) -> int:
    """Return the number of queued jobs of a type."""
    return sum([row.queued async for row in client.control.queues(kind)])


async def test_a_stream_is_summed_up_and_a_list_is_answered(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    reports: list[EnqueueProgress] = []
    async with open_client(server.url) as client:
        summary = await client.enqueue_many(messages(kind, 5_500), on_progress=reports.append)
        assert summary == EnqueueSummary(sent=5_500, queued=5_500, duplicates=0, failed=0)
        assert len(summary) == 5_500 and summary
        answers = await client.enqueue_many(list(messages(kind, 6_000, 5_000)), on_progress=reports.append)
        assert await queued(client, kind) == 6_000
    assert [answer.job_id for answer in answers if not isinstance(answer, Exception)] == [
        f"job-{number}" for number in range(5_000, 6_000)
    ]
    assert (answers.sent, answers.queued, answers.duplicates, answers.failed) == (1_000, 500, 500, 0)
    assert reports[-1] == EnqueueProgress(sent=1_000, queued=500, duplicates=500, failed=0, resume_at=1_000)
    sent = [report.sent for report in reports[:-1]]
    assert sent == sorted(sent) and sent[-1] == 5_500 and len(sent) >= 6


async def test_a_stream_that_is_sent_again_queues_nothing_twice(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with open_client(server.url) as client:
        await client.enqueue_many(messages(kind, 1_000))
        finished = await client.dequeue(kind, 200)
        await client.finish_many(finished)
        again = await client.enqueue_many(messages(kind, 1_500), repeat=True)
        assert (again.queued, again.duplicates) == (500, 1_000)
        assert await queued(client, kind) == 1_500 - len(finished)


async def test_jobs_of_one_queue_keep_their_order(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with open_client(server.url) as client:
        await client.enqueue_many(messages(kind, 9_000), in_flight=8)
        for queue_id in ("customer-3", "customer-44"):
            rows = [row.job_id async for row in client.jobs.in_queue(kind, queue_id, page=1_000)]
            numbers = [int(job_id.removeprefix("job-")) for job_id in rows]
            assert numbers == sorted(numbers) and len(numbers) == 9_000 // CUSTOMERS


async def test_refused_jobs_are_counted_and_do_not_stop_a_stream(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    jobs = list(messages(kind, 3_000))
    del jobs[3]["payload"]
    jobs[1_500]["intervall"] = 5
    jobs[2_000]["retry"] = {"delay": 5, "facter": 2}
    jobs[2_001]["interval"] = -1
    jobs[2_002] = {**jobs[2_002], "max_queued_length": 0}
    async with open_client(server.url) as client:
        summary = await client.enqueue_many(iter(jobs))
        answers = await client.enqueue_many(jobs)
    assert (summary.sent, summary.queued, summary.failed) == (3_000, 2_995, 5)
    assert [(failure.index, failure.job_id) for failure in summary.failures] == [
        (number, f"job-{number}") for number in (3, 1_500, 2_000, 2_001, 2_002)
    ]
    missing, unknown, nested, wrong, full = [error for _, _, error in summary.failures]
    assert isinstance(missing, InvalidRequest) and missing.message.startswith("job.payload: required")
    assert isinstance(unknown, InvalidRequest) and "job.intervall: unknown" in unknown.message
    assert isinstance(nested, InvalidRequest) and "job.retry.facter: unknown" in nested.message
    assert isinstance(wrong, InvalidRequest) and wrong.message.startswith("interval: expected a number")
    assert isinstance(full, QueueFull)
    assert (answers.failed, answers.duplicates) == (5, 2_995)
    assert [type(answers[index]) for index in (3, 1_500)] == [InvalidRequest, InvalidRequest]


async def test_a_summary_lists_so_many_failures_and_counts_all(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with open_client(server.url) as client:
        summary = await client.enqueue_many({"queue_type": kind} for _ in range(MAX_FAILURES + 500))
    assert (summary.failed, len(summary.failures)) == (MAX_FAILURES + 500, MAX_FAILURES)


async def test_an_async_iterable_is_a_stream(server: SharqServer, kind: str) -> None:
    async def incoming() -> AsyncIterator[EnqueueJob]:
        for job in messages(kind, 2_500):
            await asyncio.sleep(0)
            yield EnqueueJob(**job)

    async with AsyncClient(server.url) as client:
        assert (await client.enqueue_many(incoming())).queued == 2_500


async def test_jobs_of_a_slow_iterable_do_not_wait_until_a_call_is_full(
    server: SharqServer, kind: str
) -> None:
    async with AsyncClient(server.url) as client:

        async def incoming() -> AsyncIterator[dict[str, Any]]:
            jobs = messages(kind, 3)
            yield next(jobs)
            await asyncio.sleep(1.1)
            yield next(jobs)
            assert (await client.dequeue(kind, wait_ms=5_000)) is not None
            yield next(jobs)

        assert (await client.enqueue_many(incoming())).queued == 3


async def test_the_jobs_before_the_error_of_an_iterable_are_sent(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from messages(kind, 1_234)
        raise ValueError("line 1235 is no JSON")

    async with open_client(server.url) as client:
        with pytest.raises(ValueError, match="line 1235") as raised:
            await client.enqueue_many(broken())
        assert "the jobs before index 1234 were sent" in raised.value.__notes__[0]
        assert await queued(client, kind) == 1_234


async def test_what_is_no_iterable_of_jobs_is_refused(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    (job,) = messages(kind, 1)
    async with open_client(server.url) as client:
        for wrong in (job, EnqueueJob(**job), "jobs.csv"):
            with pytest.raises(TypeError, match="jobs: expected an iterable of jobs"):
                await client.enqueue_many(cast(Any, wrong))
        with pytest.raises(ValueError, match="in_flight: expected 1 to 64"):
            await client.enqueue_many([job], in_flight=0)


class Counted(AiohttpConnections):
    """Connections that count their calls in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    async def exchange(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().exchange(*args, **options)
        finally:
            self.now -= 1


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_so_many_calls_are_in_flight(server: SharqServer, kind: str, in_flight: int) -> None:
    connections = Counted()
    async with AsyncClient(server.url, connections=connections) as client:
        await client.enqueue_many(messages(kind, 6_000), in_flight=in_flight)
    assert connections.most == in_flight


async def test_cancelled_stream_leaves_no_call_behind(server: SharqServer, kind: str) -> None:
    connections = Counted()
    async with AsyncClient(server.url, connections=connections) as client:
        sending = asyncio.create_task(client.enqueue_many(messages(kind, 200_000)))
        while not connections.now:
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert connections.now == 0


async def test_list_that_no_server_takes_has_an_error_for_each_job(
    open_client: OpenClient, kind: str, stopwatch: Stopwatch
) -> None:
    stopwatch.start()
    async with open_client("http://127.0.0.1:1", retries=1) as client:
        answers = await client.enqueue_many(list(messages(kind, 20_000)))
    assert len(answers) == answers.failed == 20_000
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert any("not sent, because" in str(answer) for answer in answers)
    stopwatch.assert_within(10)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, store: StoreServer) -> Iterator[SharqServer]:
    """A server that each test kills and starts again."""
    environ = {
        "SHARQ_REDIS_URL": store.url,
        "SHARQ_REDIS_KEY_PREFIX": f"client-{uuid.uuid4().hex[:12]}",
        **PATIENT,
    }
    made = SharqServer(tmp_path_factory.mktemp("mortal"), environ=environ)
    made.start()
    yield made
    made.stop()


async def test_stream_stops_at_a_dead_server_and_resumes_without_loss_or_doubles(
    mortal: SharqServer, open_client: OpenClient, kind: str
) -> None:
    answered = [0]
    killed_at: list[int] = []

    def jobs() -> Iterator[dict[str, Any]]:
        for number, job in enumerate(messages(kind, STREAM)):
            if not killed_at and answered[0] > 0:
                mortal.kill()
                killed_at.append(number)
            yield job

    def note(progress: EnqueueProgress) -> None:
        answered[0] = progress.resume_at

    async with open_client(mortal.url, retries=0) as client:
        with pytest.raises(EnqueueStopped) as stopped:
            await client.enqueue_many(jobs(), on_progress=note)
        assert stopped.value.__cause__ is not None
        at = stopped.value.resume_at
        assert 0 < at <= killed_at[0] and stopped.value.summary.sent < STREAM
        mortal.start()
        resumed = await client.enqueue_many(messages(kind, STREAM, at), repeat=True)
        assert resumed.queued + resumed.duplicates == STREAM - at
        assert await queued(client, kind) == STREAM
        assert (
            len([row async for row in client.jobs.in_queue(kind, "customer-7", page=1_000)])
            == STREAM // CUSTOMERS
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: StoreServer) -> Iterator[SharqCluster]:
    """A cluster of which each test kills one router."""
    environ = {"SHARQ_REDIS_KEY_PREFIX": f"client-{uuid.uuid4().hex[:12]}", **PATIENT}
    folder = tmp_path_factory.mktemp("cluster")
    made = SharqCluster(folder, parse_url(store.url), environ, routers=len(OPENERS) + 1, shards=1)
    made.start()
    yield made
    made.end()


async def test_stream_goes_on_at_the_other_router(
    cluster: SharqCluster, open_client: OpenClient, kind: str
) -> None:
    *_, dying, other = [router for router in cluster.routers if router.is_running]

    def jobs() -> Iterator[dict[str, Any]]:
        for number, job in enumerate(messages(kind, STREAM)):
            if number == STREAM // 2:
                dying.kill()
            yield job

    async with open_client([dying.url, other.url]) as client:
        summary = await client.enqueue_many(jobs())
        assert summary.queued + summary.duplicates == summary.sent == STREAM
        assert await queued(client, kind) == STREAM


PROGRAM = """
import asyncio, sys
from sharq_client import {name}

def jobs():
    for number in range({count}):
        yield {{
            "queue_type": "{kind}", "queue_id": f"customer-{{number % 1000}}", "interval": 0,
            "job_id": f"job-{{number}}", "payload": {{"to": f"+49151{{number:08d}}", "text": "x" * 68}},
        }}

{run}
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(summary.queued + summary.duplicates, int(peak.split()[1]) // 1024)
"""
RUN = {
    "Client": 'with Client("{url}") as client:\n    summary = client.enqueue_many(jobs())',
    "AsyncClient": """
async def main():
    async with AsyncClient("{url}") as client:
        return await client.enqueue_many(jobs())
summary = asyncio.run(main())""",
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", list(RUN))
@pytest.mark.parametrize("count", [500_000 if is_full() else 40_000])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_messages_from_a_generator_take_less_than_64_mb(
    server: SharqServer, kind: str, name: str, count: int
) -> None:
    program = PROGRAM.format(name=name, kind=kind, count=count, run=RUN[name].format(url=server.url))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    # A job is a duplicate if the server was so busy that the client had to send its call again.
    count_taken, peak_mb = map(int, done.stdout.split())
    assert count_taken == count
    assert peak_mb < 64
