"""The watchdog of a worker: a handler that blocks the event loop is named, once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sharq_client import AsyncClient, CallNext, EnqueueJob, RunningJob, Worker
from sharq_client.worker import watchdog
from tests.support.processes.servers import SharqServer
from tests.support.waits import until

BLOCK_S = 0.9
"""The time that a handler blocks: longer than the time after which the watchdog of these tests warns."""


@pytest.fixture(autouse=True)
def _warns_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_AFTER_S", 0.3)
    monkeypatch.setattr(watchdog, "LOOK_EVERY_S", 0.1)


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for record in caplog.records if (line := record.getMessage()).startswith("loop_blocked")]


def send_and_block() -> None:
    time.sleep(BLOCK_S)


def decorated(handler: Callable[[RunningJob], Any]) -> Callable[[RunningJob], Any]:
    async def wrapper(job: RunningJob) -> object:
        await asyncio.sleep(0)
        return await handler(job)

    wrapper.__qualname__ = handler.__qualname__
    return wrapper


async def block_the_loop(job: RunningJob) -> None:
    send_and_block()


@pytest.mark.parametrize("handler", [block_the_loop, decorated(block_the_loop)], ids=["plain", "decorated"])
async def test_handler_that_blocks_the_loop_is_named_once(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture, handler: Callable[[RunningJob], Any]
) -> None:
    done: list[str] = []
    worker = Worker(client, wait_ms=100, on_reported=lambda job, *_: done.append(job.job_id))
    worker.handler(kind)(handler)

    @worker.middleware
    async def passes_on(job: RunningJob, call_next: CallNext) -> object:
        return await call_next(job)

    jobs = [
        EnqueueJob(queue_type=kind, queue_id="1", job_id=f"j{n}", payload=None, interval=0) for n in range(2)
    ]
    await client.enqueue_many(jobs)
    async with worker:
        await until(lambda: len(done) == 2)
    (warning,) = warnings(caplog)
    assert "handler=block_the_loop " in warning
    assert f"at={__file__}:" in warning
    assert "Make it a plain `def` function" in warning


async def test_who_does_not_block_the_loop_in_a_handler_is_not_warned(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    worker = Worker(client, wait_ms=100, on_reported=lambda job, *_: done.append(job.job_id))

    @worker.handler(kind)
    async def wait_long(job: RunningJob) -> None:
        await asyncio.sleep(BLOCK_S)

    @worker.handler(f"{kind}t")
    def block_a_thread(job: RunningJob) -> None:
        time.sleep(BLOCK_S)

    jobs = [
        EnqueueJob(queue_type=name, queue_id="1", payload=None, interval=0) for name in (kind, f"{kind}t")
    ]
    await client.enqueue_many(jobs)
    async with worker:
        await until(lambda: len(done) == 2)
        time.sleep(BLOCK_S)  # noqa: ASYNC251 - others than handlers may block the loop as well
    assert warnings(caplog) == []


def test_watch_ends_although_the_loop_ended_between_question_and_answer() -> None:
    async def make() -> watchdog.Watchdog:
        return watchdog.Watchdog(lambda _: None)

    watching = asyncio.run(make())
    waiting = threading.Thread(target=watching._wait_for_answer, daemon=True)
    waiting.start()
    watching._is_over.set()
    waiting.join(30)
    assert not waiting.is_alive()
