"""A whole `sharq-cluster --store cluster` serves HTTP while slots, and with them queues, move between its primaries."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from tests.support.extent import is_full
from tests.support.load.crowd import STEADY, running_crowd
from tests.support.load.history import History
from tests.support.load.verdict import check
from tests.support.processes.commands import ClusterCommand
from tests.support.stores.slots import NodeAt, Slots

PARTITIONS = 64
PREFIX = "moved"
QUEUES = 60
INTERVAL_MS = 200
ROUND_S = 1.0
SEED = 1
MOVED_SLOTS = 1_500
"""About six partitions."""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[ClusterCommand]:
    """A cluster on three primaries and three replicas."""
    command = ClusterCommand(tmp_path, "--store", "cluster", SHARQ_REDIS_KEY_PREFIX=PREFIX)
    try:
        yield command
    finally:
        command.end()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["redis-cli", "whole"] if is_full() else ["whole"])
async def test_slots_are_moved_under_load_without_a_failed_request(command: ClusterCommand, way: str) -> None:
    slots = Slots([NodeAt(url) for url in await asyncio.to_thread(command.urls, "store")])
    move = slots.reshard if way == "redis-cli" else slots.move_whole
    source, target, _ = slots.primaries()
    kind = f"t-{uuid.uuid4().hex[:12]}"
    history = History(SEED, INTERVAL_MS, lambda queue: partition_of(kind, queue, PARTITIONS))
    urls = command.urls("router")
    async with running_crowd(urls, kind, history, queues=QUEUES, habits=STEADY) as crowd:
        partitions = {queue: partition_of(kind, queue, PARTITIONS) for queue in crowd.queues}
        places = {queue: Keys(PREFIX, PARTITIONS).slots[number] for queue, number in partitions.items()}
        before = {queue for queue, slot in places.items() if slots.owner(slot) is source}
        await crowd.go_on(ROUND_S)
        first = slots.first_of(source)
        await asyncio.to_thread(move, first, first + MOVED_SLOTS - 1, target)
        await crowd.go_on(ROUND_S)
        await crowd.drain()
    moved = {queue for queue in before if slots.owner(places[queue]) is target}
    assert moved
    assert history.failures == []
    assert not check(history).violations
