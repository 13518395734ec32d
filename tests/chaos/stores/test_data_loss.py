"""The store loses everything under load: nothing is acknowledged until that is accepted, and then all goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from tests.chaos.stage import INTERVAL_MS, QUIET_S, Stage
from tests.support.load.crowd import STEADY, Crowd, running_crowd
from tests.support.load.history import Enqueue, History, Outcome
from tests.support.stores.server import StoreServer
from tests.support.waits import until

NOTICED_WITHIN_S = 2.0
BUSY_S = 4.0


def flush(store: StoreServer) -> None:
    """FLUSHALL: connections and library stay."""
    with store.client() as client:
        client.flushall()


def restart_empty(store: StoreServer) -> None:
    """The server dies and comes back on an empty directory."""
    store.kill()
    for path in (store.directory / "appendonlydir").iterdir():
        path.unlink()
    store.start()


def accept(stage: Stage) -> None:
    """Run the command with which an operator accepts a loss."""
    subprocess.run(
        [sys.executable, "-m", "shard.main", "--accept-data-loss"],
        env={**os.environ, **stage.cluster.environ},
        check=True,
        timeout=QUIET_S,
    )


def acknowledged_since(history: History, since_s: float) -> list[Enqueue]:
    """Jobs that were sent since then and acknowledged."""
    return [call for call in history.enqueues if call.outcome is Outcome.OK and call.began_s > since_s]


@pytest.mark.parametrize(
    ("what", "lose"), [("FLUSHALL", flush), ("an empty restart of the store", restart_empty)]
)
async def test_a_store_that_lost_everything_takes_nothing_until_that_is_accepted(
    own_stage: Stage, what: str, lose: Callable[[StoreServer], None]
) -> None:
    stage = own_stage
    history = History(1, INTERVAL_MS)
    processes = (*stage.cluster.shards, *stage.cluster.routers)
    async with running_crowd(
        stage.cluster.urls, f"t-{uuid.uuid4().hex[:12]}", history, habits=STEADY
    ) as crowd:
        await stage.go_on(crowd)
        await asyncio.to_thread(lose, stage.store)
        lost_s = time.monotonic()
        for process in processes:
            await asyncio.to_thread(process.until_status, 503)
        assert time.monotonic() - lost_s < NOTICED_WITHIN_S + BUSY_S
        await refused_for_a_while(stage, crowd)
    late = acknowledged_since(history, lost_s)
    assert not late, late[:3]
    assert all(call.is_documented for call in history.calls)
    await asyncio.to_thread(accept, stage)
    for process in processes:
        await asyncio.to_thread(process.until_status, 200)

    async def nothing(_: Crowd) -> None:
        """The load goes on as if nothing had been."""

    await stage.play(f"{what}, accepted: afterwards", nothing, habits=STEADY, may_fail=False)


async def refused_for_a_while(stage: Stage, crowd: Crowd) -> None:
    """The load goes on, and every job that is sent now is refused with the reason."""
    since_s = time.monotonic()
    await asyncio.sleep(stage.pace.hold_s)
    await until(
        lambda: any(call.began_s > since_s for call in crowd.history.enqueues), QUIET_S, "jobs are sent"
    )
    sent = [call for call in crowd.history.enqueues if call.began_s > since_s]
    assert {call.outcome for call in sent} == {Outcome.NO}
    assert {call.why for call in sent} == {"unavailable"}
