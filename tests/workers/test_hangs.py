"""Workers that hang: they are killed and started again, unless their parent could not run either."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.waits import wait_until
from tests.workers.servers import children, clients, is_there

TIMEOUT_S = 3.0
SHUTDOWN_S = 2.0


@pytest.fixture
def server() -> Iterator[SharqServer]:
    environ = {
        "SHARQ_SERVER_WORKER_TIMEOUT": f"{TIMEOUT_S * 1000:.0f}",
        "SHARQ_SERVER_SHUTDOWN_TIMEOUT": f"{SHUTDOWN_S * 1000:.0f}",
    }
    with running_server("--workers", "2", environ=environ) as running:
        yield running


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stop processes by SIGSTOP, and let those that are left go on at the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in filter(is_there, pids):
            os.kill(pid, signal.SIGCONT)


async def test_a_worker_that_hangs_is_killed_and_started_again(server: SharqServer) -> None:
    hung, healthy = children(server)["workers"]
    async with clients(server, 2) as made:
        numbers = [await client.process() for client in made]
        other = made[numbers.index(1)]
        with stopped(hung):
            await asyncio.to_thread(wait_until, lambda: not is_there(hung), 60, "the worker is killed")
        assert (await other.enqueue("hung", "q", "j"))[0] == 201
        assert (await other.dequeue("hung"))[0] == 200
        async with asyncio.timeout(60):
            while len((await other.ask("GET", "/cluster/"))[1]["members"]) < 2:
                await asyncio.sleep(0.05)
            while 'sharq_worker_hangs_total{process="0"} 1.0' not in (text := await other.text("/metrics")):
                await asyncio.sleep(0.05)
    assert 'sharq_worker_hangs_total{process="1"} 0.0' in text
    assert 'sharq_worker_restarts_total{process="0"} 1.0' in text
    assert healthy in children(server)["workers"]
    log = server.log
    assert re.search(
        rf"worker_hung worker=0 pid={hung}: it hung: no sign of life for 3\.\d s; killing it", log
    )
    assert re.search(
        r"worker_ended worker=0 reason='it hung: no sign of life for 3\.\d s, so it was killed'", log
    )


async def test_time_for_which_the_parent_stood_still_too_kills_no_worker(server: SharqServer) -> None:
    workers = children(server)["workers"]
    with stopped(server.pid, *workers):
        await asyncio.sleep(TIMEOUT_S + 1)
    # Longer than the parent would take to kill one that it holds to be hung.
    async with clients(server, 4) as made:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            assert {(await client.ask("GET", "/types/"))[0] for client in made} == {200}
            await asyncio.sleep(0.1)
    assert children(server)["workers"] == workers
    assert "worker_hung" not in server.log


@pytest.mark.parametrize("pause_s", [0.0, TIMEOUT_S])
def test_a_stop_while_a_worker_hangs_ends_in_time(server: SharqServer, pause_s: float) -> None:
    """Before the worker is found to hang, and about when it is."""
    hung, _ = children(server)["workers"]
    with stopped(hung):
        time.sleep(pause_s)
        asked_at = time.monotonic()
        server.ask_to_stop()
        server.until_stopped()
        # The time of the stop, of the kill, and of a store that ends in order; a busy machine has some to spare.
        assert time.monotonic() - asked_at < SHUTDOWN_S + 3 + 10
    assert not is_there(hung)


async def test_a_worker_that_takes_long_to_stop_does_not_hang_and_gets_no_connections() -> None:
    """It gives signs of life until its end."""
    environ = {**PATIENT, "SHARQ_SERVER_WORKER_TIMEOUT": "2000", "SHARQ_SERVER_SHUTDOWN_TIMEOUT": "30000"}
    with running_server("--workers", "2", environ=environ) as server:
        (store,) = children(server)["store"]
        leaving, staying = children(server)["workers"]
        async with clients(server, 2) as made:
            numbers = [await client.process() for client in made]
            with stopped(store):
                pending = asyncio.create_task(made[numbers.index(0)].enqueue("leaving", "q", "j"))
                await asyncio.sleep(0.3)
                os.kill(leaving, signal.SIGTERM)
                await asyncio.sleep(1.0)
                async with asyncio.timeout(20), clients(server, 4) as others:
                    assert len(others) == 4, "none of them waits for the next process of the worker"
                await asyncio.sleep(3.0)
                assert is_there(leaving)
            assert (await pending)[0] == 201
        await asyncio.to_thread(wait_until, lambda: not is_there(leaving), 60, "the worker has ended")
        assert staying in children(server)["workers"]
        assert "worker_hung" not in server.log


async def test_without_a_timeout_a_worker_that_hangs_lives_and_gets_no_connections() -> None:
    with running_server("--workers", "2", environ={"SHARQ_SERVER_WORKER_TIMEOUT": "0"}) as server:
        paused, _ = children(server)["workers"]
        with stopped(paused):
            await asyncio.sleep(4)
            async with clients(server, 4) as made, asyncio.timeout(20):
                for number, client in enumerate(made):
                    assert (await client.enqueue("paused", f"q{number}", "j"))[0] == 201
                    assert (await client.dequeue("paused"))[0] == 200
            assert is_there(paused)
        assert "worker_hung" not in server.log
