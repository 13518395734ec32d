"""Named caps keep their bound over partitions and shards while processes die, hang and move (LIMITS, section 7).

What is counted is in tests/support/load/named_caps.py.
"""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from tests.chaos.named import JOBS, NamedFault, home_of, play_named, promise_of, put_cap
from tests.chaos.promises.test_limits import kill_routers, kill_store, ring_of
from tests.chaos.stage import Stage, is_quick
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.support.load.crowd import Crowd
from tests.support.load.promise import NamedCap, Rate
from tests.support.processes.servers import SharqProcess

pytestmark = pytest.mark.timeout(300)


def owner_of_ledger(stage: Stage, crowd: Crowd) -> SharqProcess:
    """Return the shard that owns the home of the first cap."""
    name = ring_of(stage).owners[home_of(crowd.history.promise.named[0])]
    return next(shard for shard in stage.cluster.shards if shard.name == name)


async def kill_shards(stage: Stage, crowd: Crowd) -> None:
    """The owner of a ledger; in the full run each of them, one after the other."""
    owner = owner_of_ledger(stage, crowd)
    for shard in stage.cluster.shards:
        if shard is owner or not is_quick():
            shard.kill()
            await crowd.go_on(stage.pace.lead_s / 2)
            await come_back(shard)
            await until_serving(stage, len(stage.cluster.shards))


async def kill_shards_quickly(stage: Stage, crowd: Crowd) -> None:
    """Grants are lost again and again: a new process of the same name asks while those of the old one may be used."""
    for _ in range(2 if is_quick() else 6):
        for shard in stage.cluster.shards[:2]:
            shard.kill()
            await come_back(shard)
        await crowd.go_on(stage.pace.lead_s / 2)
    await until_serving(stage, len(stage.cluster.shards))


async def pause_shards(stage: Stage, crowd: Crowd) -> None:
    """A shard wakes with grants that are over, within its TTL and past it, and sends what it had not sent."""
    for pause_s in (0.03, 0.3, 1.5, *([] if is_quick() else [stage.pace.long_s])):
        for shard in stage.cluster.shards[: 1 if is_quick() else 3]:
            shard.signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            shard.signal(signal.SIGCONT)
            await crowd.go_on(0.1)
    await until_serving(stage, len(stage.cluster.shards))


async def pause_store(stage: Stage, crowd: Crowd) -> None:
    """The store wakes with takes and dequeues in its sockets, whose time is over."""
    for pause_s in (0.02, 0.2, stage.pace.hold_s, *([] if is_quick() else [stage.pace.hold_s + 2])):
        stage.store.pause()
        await asyncio.sleep(pause_s)
        stage.store.resume()
        await crowd.go_on(0.1)


async def join_and_leave(stage: Stage, crowd: Crowd) -> None:
    """Partitions of ledgers and queues move to a new shard and back, in order, and once more without notice."""
    cluster = stage.cluster
    for is_killed in (False, True):
        newcomer = cluster.make_shard(f"newcomer-{crowd.kind}-{is_killed}")
        await come_back(newcomer)
        await until_serving(stage, len(cluster.shards) + 1)
        await crowd.go_on(stage.pace.lead_s)
        if is_killed:
            newcomer.kill()
        else:
            await stop(newcomer)
        await until_serving(stage, len(cluster.shards))


FAULTS: dict[str, NamedFault] = {
    "kill -9 of each router": kill_routers,
    "kill -9 of shards": kill_shards,
    "kill -9 of shards that come back at once": kill_shards_quickly,
    "kill -9 of the store, restart from its AOF": kill_store,
    "SIGSTOP and SIGCONT of shards": pause_shards,
    "SIGSTOP and SIGCONT of the store": pause_store,
    "shards join and leave": join_and_leave,
}


QUICK_FAULTS = ["kill -9 of shards"]
"""A scenario takes a minute or two, until every limit has held a lease back."""


@pytest.mark.parametrize("scenario", QUICK_FAULTS if is_quick() else FAULTS)
async def test_named_caps_are_kept_through(shared_stage: Stage, scenario: str) -> None:
    await play_named(shared_stage, scenario, FAULTS[scenario])


@pytest.mark.skipif(is_quick(), reason="a minute; in the full run")
async def test_new_limits_are_kept_when_reserved_slots_are_used_up(shared_stage: Stage) -> None:
    async def fault(stage: Stage, crowd: Crowd) -> None:
        first = crowd.history.promise.named[0]
        for limits in (
            (Rate(90, 1, JOBS),),
            (Rate(5, 4), Rate(20, 1.5, JOBS)),
            (Rate(60, 3, JOBS),),
            first.limits,
        ):
            changed = NamedCap(first.name, limits)
            crowd.history.named_changes.append(await put_cap(http, stage, changed))
            await crowd.go_on(stage.pace.lead_s)

    async with aiohttp.ClientSession() as http:
        await play_named(shared_stage, "four changes of a cap", fault)


@pytest.mark.skipif(is_quick(), reason="a minute; in the full run")
@pytest.mark.parametrize("scenario", ["kill -9 of shards", "kill -9 of the store, restart from its AOF"])
async def test_leases_of_a_cap_at_one_time_are_kept_through(shared_stage: Stage, scenario: str) -> None:
    """Permits are lost with a shard, and their leases end by time; the ledger never gives more than there may be."""
    await play_named(shared_stage, f"max_leased, {scenario}", FAULTS[scenario], promise_of(max_leased=3))
