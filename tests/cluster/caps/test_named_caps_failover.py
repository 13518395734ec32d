"""A slot of a named cap that a former primary gave is not used at its successor, which may give it, too."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from shard.node import NodeSettings
from sharq_core.models import LeasedJob
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from tests.cluster.caps.test_named_caps import lease_times, put_cap
from tests.durability.test_failover import is_primary
from tests.support.nodes.parts import Parts, enqueued, job, running_node
from tests.support.stores.groups import Member
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.waits import until

KIND, CAP = "sms", "account"
PARTITIONS = 64
INTERVAL_US = 3_000_000
"""Slots are reserved so far ahead, and a new primary leaves out as much."""


def server_of(group: RedisCluster, prefix: str, partition: int) -> Member:
    return group.slots.owner(Keys(prefix, PARTITIONS).slots[partition])


def queue_beside(group: RedisCluster, prefix: str, server: Member) -> str:
    """Return a queue whose partition is on a server."""
    names = (f"q{number}" for number in itertools.count())
    return next(
        name for name in names if server_of(group, prefix, partition_of(KIND, name, PARTITIONS)) is server
    )


def replica_of(group: RedisCluster, primary: Member) -> Member:
    return next(server for server in group.servers if server.ask("ROLE")[2] == primary.port)


async def work(parts: Parts, leased: list[LeasedJob], count: int) -> None:
    while len(leased) < count:
        leased += await parts.dequeue(KIND, wait_us=20_000_000)


@pytest.mark.slow
async def test_no_slot_of_a_former_primary_is_used_at_its_successor(prefix: str) -> None:
    """The former primary is alive: another node might have heard of the new one earlier, and have slots of it."""
    with running_cluster() as group:
        primary = server_of(group, prefix, partition_of("cap", CAP, PARTITIONS))
        replica, queue = replica_of(group, primary), queue_beside(group, prefix, primary)
        async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
            await put_cap(parts.node, CAP, INTERVAL_US)
            await enqueued(parts, *(job(KIND, queue, f"j{n}", caps=(CAP,)) for n in range(3)))
            leased: list[LeasedJob] = []
            working = asyncio.create_task(work(parts, leased, 2))
            counts = parts.node.parts.caps.ledgers._counts
            await until(lambda: len(leased) == 1 and counts.taken >= 2, what="a slot is reserved ahead")
            ordered_us = time.time_ns() // 1000
            replica.ask("CLUSTER", "FAILOVER", "FORCE")
            await until(lambda: is_primary(replica))
            await working
        first_us, second_us = lease_times(leased)
        assert first_us < ordered_us
        assert second_us >= ordered_us + INTERVAL_US
