"""Named caps keep their bound when stores fail over, when the clock of a store steps, and while ledgers and queues move
between servers; each ledger fails alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from sharq_core.scheduler.keys import Keys
from tests.chaos.audit import cluster_clients
from tests.chaos.named import home_of, play_named, promise_of
from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick, stage
from tests.chaos.stores.test_failover import EVENTS, ROUNDS, play_events, sentinel_stage
from tests.support.load.crowd import Crowd
from tests.support.load.promise import Promise
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.stores.shifted_clock import ShiftedClock

pytestmark = [pytest.mark.timeout(900), pytest.mark.skipif(is_quick(), reason="minutes; in the full run")]


@pytest.mark.parametrize("durability", ["replicated", "fast"])
@pytest.mark.parametrize("event", EVENTS)
async def test_named_caps_are_kept_through_failovers(
    event: str, durability: str, seed: int, report: Report
) -> None:
    """The new primary may lack reservations, and the ledger begins a horizon later.

    With `fast` it lacks jobs and leases, too, and only the caps are judged.
    """

    async def fault(stage: Stage, crowd: Crowd) -> None:
        await play_events(stage, group, crowd, event, ROUNDS)

    with sentinel_stage(durability, 2, seed, report) as (found, group):
        await play_named(found, f"{event}, {durability}, 2 replicas", fault, may_forget=durability == "fast")


@pytest.mark.parametrize(
    ("name", "shifts_s"),
    [
        ("back by 20 s", (-20.0,)),
        ("ahead by an hour", (3600.0,)),
        ("back and ahead by three seconds, twice", (-3.0, 0.0, -3.0, 0.0)),
    ],
)
async def test_named_caps_are_kept_when_the_stores_clock_steps(
    stage_by_clock: Stage, clock: ShiftedClock, name: str, shifts_s: tuple[float, ...]
) -> None:
    async def fault(stage: Stage, crowd: Crowd) -> None:
        for shift_s in shifts_s:
            crowd.history.clock_shifts_ms.append(int(shift_s * 1000))
            clock.set(shift_s)
            await asyncio.sleep(stage.pace.hold_s)
            await stage.go_on(crowd)

    await play_named(stage_by_clock, f"the store's clock: {name}", fault)


async def test_only_the_queues_of_a_ledger_that_is_away_stand_still(seed: int, report: Report) -> None:
    """Its server hangs: no queue with that cap gives a job anywhere, and the queues of the other servers go on."""
    with _cluster_stage(seed, report) as (found, group):

        async def fault(stage: Stage, crowd: Crowd) -> None:
            ledger = crowd.history.promise.named[0]
            server = _server_of(stage, group, home_of(ledger))
            hung_ms = time.time() * 1000
            group.servers[server].pause()
            await asyncio.sleep(stage.pace.long_s)
            woke_ms = time.time() * 1000
            group.servers[server].resume()
            reachable = {
                queue
                for queue in crowd.queues
                if _server_of(stage, group, partition_of(crowd.kind, queue, DEFAULT_PARTITIONS)) != server
            }
            await stage.go_on(crowd)
            during = [
                lease.job[0]
                for lease in crowd.history.leases
                if hung_ms + ledger.settled_ms < lease.at_ms < woke_ms - 1
            ]
            names = crowd.history.promise.cap_names
            assert not [queue for queue in during if ledger.name in names(queue)], "its queues stand still"
            for sets in {names(queue) for queue in reachable if ledger.name not in names(queue)}:
                served = [queue for queue in during if names(queue) == sets and queue in reachable]
                assert served, f"queues with {sets or 'no cap'} go on"

        await play_named(
            found,
            "the server of a ledger hangs, a Redis Cluster",
            fault,
            _promise_with_ledgers_apart(found, group),
        )


@pytest.mark.parametrize("way", ["whole", "key by key"])
async def test_named_caps_are_kept_while_their_ledgers_and_queues_move(
    way: str, seed: int, report: Report
) -> None:
    """The partitions of ledgers and queues move to the next server of a Redis Cluster, until all are back."""
    with _cluster_stage(seed, report) as (found, group):

        def move(slot: int) -> None:
            target = group.servers[(group.servers.index(group.slots.owner(slot)) + 1) % len(group.servers)]
            if way == "whole":
                group.slots.move_whole(slot, slot, target)
            else:
                group.slots.move_by_keys(slot, target)

        async def fault(stage: Stage, crowd: Crowd) -> None:
            ledgers = {home_of(cap) for cap in crowd.history.promise.named}
            queues = {partition_of(crowd.kind, queue, DEFAULT_PARTITIONS) for queue in crowd.queues}
            slots = Keys(stage.prefix, DEFAULT_PARTITIONS).slots
            for _ in group.servers:
                for partition in sorted(ledgers | queues):
                    await asyncio.to_thread(move, slots[partition])
                await stage.go_on(crowd)

        await play_named(found, f"ledgers and queues move, {way}, a Redis Cluster", fault)


@contextmanager
def _cluster_stage(seed: int, report: Report) -> Iterator[tuple[Stage, RedisCluster]]:
    """A cluster on a Redis Cluster of three servers."""
    with (
        running_cluster(replicas=0) as group,
        stage(
            group.servers[0],
            seed,
            report,
            address=group.address,
            audited=lambda prefix: cluster_clients(group, prefix),
        ) as found,
    ):
        yield found, group


def _promise_with_ledgers_apart(found: Stage, group: RedisCluster) -> Promise:
    """Return a promise whose caps have their ledgers on two servers."""
    while True:
        promise = promise_of()
        if len({_server_of(found, group, home_of(cap)) for cap in promise.named}) == 2:
            return promise


def _server_of(found: Stage, group: RedisCluster, partition: int) -> int:
    """Return the number of the server that holds a partition."""
    slot = Keys(found.prefix, DEFAULT_PARTITIONS).slots[partition]
    port = group.slots.owner(slot).port
    return next(number for number, server in enumerate(group.servers) if server.port == port)
