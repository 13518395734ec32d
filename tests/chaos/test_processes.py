"""Routers, shards, the store and workers are killed, paused and stopped under load."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import pytest

from tests.chaos.stage import QUIET_S, Stage
from tests.support.load.crowd import LEASE_MS, STEADY, Crowd, Habits
from tests.support.load.history import Dequeue, Outcome
from tests.support.processes.servers import SharqProcess, serving
from tests.support.waits import until


async def until_serving(stage: Stage, nodes: int) -> None:
    """Wait until every running router sees this number of shards."""
    routers = [router for router in stage.cluster.routers if router.is_running]
    for router in routers:
        await until(lambda router=router: len(serving(router)) == nodes, QUIET_S, f"{nodes} shards serve")  # type: ignore[misc]


async def come_back(process: SharqProcess) -> None:
    """Start a process that had ended; returns when it is ready."""
    process.launch()
    await until(lambda: process.status("/readyz") == 200, QUIET_S, f"{process.name} is ready")


async def stop(process: SharqProcess) -> None:
    """End a process in order."""
    assert await asyncio.to_thread(process.stop) == 0, process.log


async def replace_router(crowd: Crowd, router: SharqProcess) -> None:
    """Stop and start a router as behind a load balancer, which lets it go as soon as it says that it is not ready."""
    router.signal(signal.SIGTERM)
    await until(lambda: router.status("/readyz") != 200, QUIET_S, "the router says that it stops")
    crowd.stop_using(router.url)
    assert await asyncio.to_thread(router.wait) == 0, router.log
    await come_back(router)
    crowd.start_using(router.url)


async def replace_shard(stage: Stage, shard: SharqProcess) -> None:
    """Stop and start a shard."""
    await stop(shard)
    await come_back(shard)
    await until_serving(stage, len(stage.cluster.shards))


async def test_a_killed_router_loses_nothing(shared_stage: Stage) -> None:
    router = shared_stage.cluster.routers[0]

    async def fault(crowd: Crowd) -> None:
        router.kill()
        await asyncio.sleep(shared_stage.pace.hold_s)
        await come_back(router)

    await shared_stage.play("kill -9 of a router", fault)


async def test_a_killed_shard_loses_nothing(shared_stage: Stage) -> None:
    shard = shared_stage.cluster.shards[0]

    async def fault(crowd: Crowd) -> None:
        shard.kill()
        await shared_stage.go_on(crowd)
        await come_back(shard)
        await until_serving(shared_stage, 3)

    await shared_stage.play("kill -9 of a shard", fault)


async def test_a_killed_store_comes_back_with_everything_acknowledged(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        shared_stage.store.kill()
        await asyncio.sleep(shared_stage.pace.hold_s)
        shared_stage.store.start()

    await shared_stage.play("kill -9 of the store, restart from its AOF", fault)


async def test_a_stopped_store_comes_back_with_everything_acknowledged(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        await asyncio.to_thread(shared_stage.store.stop)
        shared_stage.store.start()

    await shared_stage.play("stop and start of the store", fault)


HOARDER = """\
import sys, urllib.request
while True:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="POST"), timeout=10).read()
    print("leased", flush=True)
"""
"""A worker process that leases and never finishes."""


async def test_a_killed_worker_process_loses_nothing(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        url = f"{shared_stage.cluster.urls[0]}/dequeue/{crowd.kind}/?count=5&wait=5000&lease={LEASE_MS}"
        began_s = time.monotonic()
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOARDER, url, stdout=asyncio.subprocess.PIPE
        )
        assert worker.stdout is not None
        for _ in range(5):
            assert await asyncio.wait_for(worker.stdout.readline(), QUIET_S) == b"leased\n"
        worker.kill()
        await worker.wait()
        crowd.history.dequeues.append(Dequeue(began_s=began_s, ended_s=time.monotonic(), outcome=Outcome.OK))

    _, history = await shared_stage.play("kill -9 of a worker process that holds jobs", fault, habits=STEADY)
    assert any(lease.attempt > 1 for lease in history.leases), "what it held came back"


async def test_workers_that_vanish_lose_nothing(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        await asyncio.sleep(shared_stage.pace.hold_s)

    counts, _ = await shared_stage.play(
        "workers vanish, or finish after their lease's end", fault, habits=Habits(vanishes=0.2, is_late=0.2)
    )
    assert counts.redelivered


async def test_a_paused_shard_wakes_up_and_does_no_harm(shared_stage: Stage) -> None:
    shard = shared_stage.cluster.shards[0]

    async def fault(crowd: Crowd) -> None:
        shard.signal(signal.SIGSTOP)
        await asyncio.sleep(shared_stage.pace.long_s)
        shard.signal(signal.SIGCONT)
        await until_serving(shared_stage, 3)

    await shared_stage.play("SIGSTOP of a shard past its TTL, SIGCONT", fault)


async def test_a_paused_store_wakes_up_and_nothing_is_done_twice(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        shared_stage.store.pause()
        await asyncio.sleep(shared_stage.pace.hold_s + 2)
        shared_stage.store.resume()

    await shared_stage.play("SIGSTOP of the store past its timeout, SIGCONT", fault)


async def test_all_shards_may_die_and_come_back(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        for shard in shared_stage.cluster.shards:
            shard.kill()
        await asyncio.sleep(shared_stage.pace.hold_s)
        for shard in shared_stage.cluster.shards:
            shard.launch()
        await until_serving(shared_stage, 3)

    await shared_stage.play("kill -9 of all shards, restart", fault)


@pytest.mark.parametrize("what", ["router", "shard"])
async def test_a_process_that_is_stopped_in_order_fails_no_request(shared_stage: Stage, what: str) -> None:
    cluster = shared_stage.cluster

    async def fault(crowd: Crowd) -> None:
        if what == "router":
            await replace_router(crowd, cluster.routers[0])
        else:
            await replace_shard(shared_stage, cluster.shards[0])

    await shared_stage.play(f"stop and start of a {what}", fault, habits=STEADY, may_fail=False)


async def test_a_rolling_restart_of_all_routers_and_shards_fails_no_request(shared_stage: Stage) -> None:
    cluster = shared_stage.cluster

    async def fault(crowd: Crowd) -> None:
        for shard in cluster.shards:
            await replace_shard(shared_stage, shard)
        for router in cluster.routers:
            await replace_router(crowd, router)

    await shared_stage.play("rolling restart of all shards and routers", fault, habits=STEADY, may_fail=False)
