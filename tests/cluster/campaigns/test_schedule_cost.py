"""Schedules between their times: a shard sleeps until the next slot, and asks the store nothing."""

from __future__ import annotations

import asyncio

from shard.node import NodeSettings
from tests.cluster.campaigns.test_schedules import DAILY, job_of, routing
from tests.cluster.nodes.test_long_polls import calls_by_function
from tests.support.nodes.parts import PATIENT_S, running_node
from tests.support.stores.server import StoreServer

SCHEDULES = 1_000
WATCHED_S = 3.0
ROUNDS = 2
"""Calls by which two equal times may differ, because a round of a shard falls into one or the other."""


async def test_schedules_cost_the_store_no_call_between_their_times(server: StoreServer) -> None:
    """A node that has put them, and one that has read them at its start, make the calls that each node makes."""
    settings = NodeSettings()
    async with running_node(server.url, settings, PATIENT_S) as parts:
        await asyncio.sleep(1.5)
        without = await calls_in_a_while(server)
        schedules = routing(parts.node)
        for first in range(0, SCHEDULES, 100):
            numbers = range(first, first + 100)
            await asyncio.gather(*(schedules.put(f"s{n}", DAILY, job_of(f"q{n}"), b"{}") for n in numbers))
        await asyncio.sleep(1.5)
        after_puts = await calls_in_a_while(server)
    async with running_node(server.url, settings, PATIENT_S) as parts:
        await asyncio.sleep(1.5)
        assert len(parts.node.parts.calendar.schedules) == SCHEDULES
        after_start = await calls_in_a_while(server)
    assert max(after_puts, after_start) <= without + ROUNDS


async def calls_in_a_while(server: StoreServer) -> int:
    """The function calls that the store gets in WATCHED_S."""
    with server.client() as client:
        before = calls_by_function(client)
        await asyncio.sleep(WATCHED_S)
        return calls_by_function(client) - before
