"""A primary is killed, or hangs, under load: with durability `replicated` nothing that was acknowledged is lost, no
finished job comes back, and the node goes on with the new primary by itself.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import redis

from shard.node import NodeSettings
from sharq_core.config.kinds import Secret
from sharq_core.config.sentinel_access import SentinelAccess
from sharq_core.store.replication.durability import Durability
from tests.support.load.ledger import KIND, Ledger, kept_books
from tests.support.nodes.parts import Parts, queues_in_different_partitions, running_node
from tests.support.stores.groups import (
    SERVICE,
    Member,
    Security,
    SentinelGroup,
    make_certificates,
    running_sentinel_group,
)
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.waits import until

BACK_WITHIN_S = 60.0
"""Far above a failover of these servers, which takes about five seconds, for a machine that is busy."""

QUEUES = queues_in_different_partitions(KIND, 12)

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sentinel", "cluster", "secured sentinel"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> SentinelGroup | RedisCluster:
    """Open ones on Valkey; the secured one on the machine's Redis, with TLS, and Sentinels of their own user."""
    stack = ExitStack()
    request.addfinalizer(stack.close)
    if request.param == "sentinel":
        return stack.enter_context(running_sentinel_group())
    if request.param == "cluster":
        return stack.enter_context(running_cluster())
    certificates = make_certificates(tmp_path / "certificates")
    security = Security("sharq", certificates=certificates)
    guard = Security("watcher", "another:/%", certificates=certificates)
    found = stack.enter_context(running_sentinel_group("redis", security, guard))
    access = SentinelAccess(username="watcher", password=Secret("another:/%"))
    found.address = msgspec.structs.replace(found.address, sentinel_access=access)
    return found


async def until_acknowledged(ledger: Ledger, more: int) -> None:
    """Wait until so many more jobs were acknowledged and finished in every queue together."""
    before = len(ledger.finished)
    await until(lambda: len(ledger.finished) >= before + more, BACK_WITHIN_S)


def is_primary(server: Member) -> bool:
    try:
        return server.is_running and b"role:master" in server.ask("INFO", "replication")
    except redis.RedisError:
        return False


def open_connections(port: int) -> int:
    """Connections of this process to a port of 127.0.0.1."""
    own = {link_of(entry) for entry in Path("/proc/self/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[2].partition(":")[2], 16) == port and f"socket:[{row[9]}]" in own for row in rows)


def link_of(entry: Path) -> str:
    """Return the target of an open file; empty if it was closed meanwhile, as that of the listing itself is."""
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""


async def test_nothing_acknowledged_is_lost_with_a_killed_primary(
    group: SentinelGroup | RedisCluster, prefix: str
) -> None:
    lost, rest = group.servers[0], group.servers[1:]
    primaries = {server for server in rest if is_primary(server)}
    async with (
        running_node(group.address, NodeSettings(key_prefix=prefix), 2.0, Durability.REPLICATED) as parts,
        kept_books(parts, QUEUES) as ledger,
    ):
        await until_acknowledged(ledger, 300)
        lost.kill()
        killed_s = time.monotonic()
        await until_new_primary(rest, primaries)
        if isinstance(group, RedisCluster):
            lost.start()  # each primary has one replica, and the new one needs one to promise anything
        failed_over_s = time.monotonic()
        await until_served(parts, ledger)
        back_s = time.monotonic()
        await until_acknowledged(ledger, 300)
    print(
        f"failover {failed_over_s - killed_s:.2f} s, every queue served {back_s - failed_over_s:.2f} s later, "
        f"{len(ledger.acknowledged)} acknowledged, {len(ledger.failures)} errors"
    )
    assert ledger.lost == set()
    assert ledger.came_back == []


async def until_new_primary(servers: list[Member], old: set[Member]) -> None:
    async with asyncio.timeout(BACK_WITHIN_S):
        while not any(is_primary(server) for server in servers if server not in old):
            await asyncio.sleep(0.02)


async def until_served(parts: Parts, ledger: Ledger) -> None:
    """Wait until each queue has taken one more job than now."""
    before = set(ledger.acknowledged)
    await until(lambda: {queue for queue, _ in ledger.acknowledged - before} == set(QUEUES), BACK_WITHIN_S)
    assert parts.node.is_ready


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_no_connection_stays_at_a_primary_that_hung_and_was_replaced(prefix: str) -> None:
    with running_sentinel_group() as group:
        hung = group.servers[0]
        async with (
            running_node(group.address, NodeSettings(key_prefix=prefix), 2.0, Durability.REPLICATED) as parts,
            kept_books(parts, QUEUES) as ledger,
        ):
            await until_acknowledged(ledger, 100)
            assert open_connections(hung.port) > 0
            hung.pause()
            await until_new_primary(group.servers[1:], set())
            await until_served(parts, ledger)
            await until(lambda: open_connections(hung.port) == 0, BACK_WITHIN_S)
            hung.resume()
            await asyncio.to_thread(group.wait_until_replica, hung)
            await until_acknowledged(ledger, 100)
            # The node may look at its new replica just now, over a connection that it closes again.
            await until(lambda: open_connections(hung.port) == 0, BACK_WITHIN_S)
        assert ledger.lost == set()
        assert ledger.came_back == []


async def test_a_new_primary_is_looked_at_too(prefix: str) -> None:
    with running_sentinel_group() as group:
        for server in group.servers:
            server.ask("CONFIG", "SET", "appendonly", "yes")
        for replica in group.servers[1:]:
            replica.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
            inspector = parts.node.store.inspector
            assert not inspector.notices
            group.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
            await until(lambda: inspector.counts()["eviction"] == 1, BACK_WITHIN_S)
            assert f"127.0.0.1:{group.servers[0].port}" not in "".join(inspector.notices)
