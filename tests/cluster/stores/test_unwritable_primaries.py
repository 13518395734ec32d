"""Primaries of a Redis Cluster that cannot write to their disks: what the node says, and what the partitions answer."""

from __future__ import annotations

import asyncio
import shutil
import time

from shard.node import NodeSettings
from sharq_core.errors import Unavailable
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from sharq_core.store.settings_audit import LOOK_EVERY_S
from tests.support.nodes.parts import Parts, job, queues_in_different_partitions, running_node
from tests.support.stores.groups import Member
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.waits import until

KIND = "sms"
PARTITIONS = 64


def break_disk(server: Member) -> None:
    """Let the server save snapshots, and let one fail: it refuses writes from then on."""
    server.ask("CONFIG", "SET", "save", "3600 1")
    (working_folder,) = server.ask("CONFIG", "GET", "dir").values()
    shutil.rmtree(working_folder.decode())
    server.ask("BGSAVE")
    deadline_s = time.monotonic() + 10
    while b"rdb_last_bgsave_status:err" not in server.ask("INFO", "persistence"):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def mend_disk(server: Member) -> None:
    """Let the server do without snapshots again."""
    server.ask("CONFIG", "SET", "save", "")


def queue_on(cluster: RedisCluster, server: Member, prefix: str) -> str:
    """Return a queue that the server holds."""
    slots = Keys(prefix, PARTITIONS).slots
    return next(
        queue
        for queue in queues_in_different_partitions(KIND, PARTITIONS)
        if cluster.slots.owner(slots[partition_of(KIND, queue, PARTITIONS)]) is server
    )


async def refused(parts: Parts, queue: str, number: int) -> str | None:
    """Enqueue a job; return the reason of its refusal, None if it was taken."""
    (outcome,) = await parts.dispatch.enqueue([job(KIND, queue, f"j{number}")])
    if isinstance(outcome, Unavailable):
        assert not outcome.perhaps_done
        return outcome.message
    return None


async def test_a_primary_that_cannot_write_is_told_and_its_partitions_say_why(prefix: str) -> None:
    with running_cluster() as cluster:
        settings = NodeSettings(key_prefix=prefix, partitions=PARTITIONS)
        async with running_node(cluster.address, settings) as parts:
            node, (broken, *others) = parts.node, cluster.servers[:3]
            assert (node.warning, node.why_not_ready) == (None, None)
            break_disk(broken)
            assert "takes no writes" in (await refused(parts, queue_on(cluster, broken, prefix), 1) or "")
            for server in others:
                assert await refused(parts, queue_on(cluster, server, prefix), 1) is None
            assert node.warning is not None
            assert "1 of its 3 servers: it cannot write to its disk" in node.warning
            assert str(broken.port) not in node.warning
            assert node.why_not_ready is None
            for number, server in enumerate(others):
                break_disk(server)
                assert await refused(parts, queue_on(cluster, server, prefix), 2 + number) is not None
            await until(lambda: "cannot write to its disk" in (node.why_not_ready or ""))
            for server in (broken, *others):
                mend_disk(server)
            await until(lambda: node.why_not_ready is None)
            assert await refused(parts, queue_on(cluster, broken, prefix), 9) is None
            async with asyncio.timeout(3 * LOOK_EVERY_S):
                while node.warning is not None:
                    await asyncio.sleep(0.1)
