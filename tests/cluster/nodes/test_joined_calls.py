"""Calls to several partitions of one server that come together are one call."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from shard.node import NodeSettings
from sharq_core.config import StoreAddress
from tests.support.nodes.parts import PATIENT_S, job, queues_in_different_partitions, running_node
from tests.support.stopwatch import Stopwatch
from tests.support.stores.groups import (
    running_sentinel_group,
)
from tests.support.stores.server import StoreFactory, StoreServer

KIND = "sms"

IDLE_CALLS_A_SECOND = 2
"""The calls that a node makes though nobody asks it."""


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_what_comes_together_is_one_call_to_one_server(
    own_store: StoreFactory, prefix: str, is_guarded: bool, stopwatch: Stopwatch
) -> None:
    """It holds for a Sentinel group, too."""
    with ExitStack() as stack:
        if is_guarded:
            group = stack.enter_context(running_sentinel_group())
            place: str | StoreAddress = group.address
            server: StoreServer = group.servers[0]
        else:
            server = own_store()
            place = server.url
        async with running_node(place, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
            queues = queues_in_different_partitions(KIND, 16)
            before = await calls_at_rest(server)
            stopwatch.start()
            await parts.dispatch.enqueue([job(KIND, queue, "1") for queue in queues])
            assert len(await parts.dequeue(KIND, 16)) == 16
            calls = function_calls(server) - before
            own_calls = IDLE_CALLS_A_SECOND * stopwatch.elapsed_s
            assert calls <= 8 + own_calls, "with heartbeats and a refresh; 32 if each went alone"


async def calls_at_rest(server: StoreServer) -> int:
    """The number so far, once a node that has just started has read its partitions' schedules."""
    earlier, number = -1, function_calls(server)
    while number - earlier > 2:
        await asyncio.sleep(0.3)
        earlier, number = number, function_calls(server)
    return number


def function_calls(server: StoreServer) -> int:
    """So far."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_fcall", "cmdstat_fcall_ro") if name in stats)
