"""The audit of the store's own settings: its notices, and the settings on which a strict node does not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client import generate_latest

from shard.node import NodeSettings
from sharq_core.errors import ConfigError
from sharq_core.link.messages import DescribeStore
from sharq_core.scheduler.executor import function_library
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.durability import Durability
from sharq_core.store.settings_audit import CHECKS, Inspector, faults, parse_info
from tests.support.nodes.parts import Parts, running_node
from tests.support.processes.servers import SharqServer, get_json
from tests.support.stores.groups import Pair, running_pair
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import KINDS, StoreFactory, StoreServer
from tests.support.waits import until

DEADLINE_S = 30.0

GOOD = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "connected_slaves": "1",
    "slave0": "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0",
    "min_slaves_good_slaves": "1",
}


def metric(parts: Parts) -> dict[str, float]:
    """sharq_store_notices by check."""
    lines = generate_latest(parts.registry).decode().splitlines()
    rows = [line.split() for line in lines if line.startswith("sharq_store_notices{")]
    return {name.split('"')[1]: float(value) for name, value in rows}


@pytest.mark.parametrize("durability", Durability)
def test_a_server_that_keeps_everything_has_no_notice(durability: Durability) -> None:
    assert faults(GOOD, durability) == {}


@pytest.mark.parametrize(
    ("changed", "durability", "check", "words"),
    [
        (
            {"redis_version": "6.2.14"},
            Durability.FAST,
            "version",
            "Redis 6.2.14 is too old: the function library needs",
        ),
        ({"redis_version": "7.0.15"}, Durability.SYNCED, "version", "WAITAOF"),
        ({"valkey_version": "7.1.9"}, Durability.FAST, "version", "Valkey 7.1.9"),
        ({"maxmemory_policy": "volatile-lru"}, Durability.FAST, "eviction", "set noeviction"),
        ({"aof_enabled": "0"}, Durability.FAST, "persistence", "after the last snapshot"),
        ({"aof_enabled": "0"}, Durability.SYNCED, "persistence", "every call is answered 504"),
        ({"aof_last_write_status": "err"}, Durability.FAST, "persistence", "disk full"),
        ({"slave0": "ip=a,state=wait_bgsave"}, Durability.REPLICATED, "replicas", "no replica follows it"),
        ({"slave0": "ip=a,state=online,lag=11"}, Durability.REPLICATED, "replicas", "no replica follows it"),
    ],
)
def test_each_thing_that_is_off_is_named(
    changed: dict[str, str], durability: Durability, check: str, words: str
) -> None:
    found = faults({**GOOD, **changed}, durability)
    assert list(found) == [check]
    assert words in found[check]


def test_replicas_are_not_missed_where_nothing_is_promised_of_them() -> None:
    facts = {name: text for name, text in GOOD.items() if "slave" not in name}
    assert faults(facts, Durability.FAST) == {}
    assert list(faults(facts, Durability.REPLICATED)) == ["replicas", "min_replicas"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("durability", [Durability.FAST, Durability.REPLICATED])
def test_what_real_servers_say_is_understood(kind: str, durability: Durability) -> None:
    with running_pair(kind, "--appendonly", "yes", "--min-replicas-to-write", "1") as pair:
        assert faults(parse_info(pair.primary.ask("INFO")), durability) == {}


async def test_what_is_off_is_told_until_it_is_mended(
    own_store: StoreFactory, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_store("--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        state = await parts.node.call(DescribeStore())
        assert state.notices == (
            "maxmemory-policy is allkeys-lru, so jobs are evicted when its memory is full; set noeviction "
            f"(127.0.0.1:{server.port})",
        )
        assert metric(parts) == {check: float(check == "eviction") for check in CHECKS}
        assert f"store_notice check=eviction server=127.0.0.1:{server.port}" in caplog.text
        configure(server, "maxmemory-policy", "noeviction")
        parts.node.store.inspector.look_soon()
        await until(lambda: metric(parts) == dict.fromkeys(CHECKS, 0.0))
        assert (await parts.node.call(DescribeStore())).notices == ()


def configure(server: StoreServer, name: str, value: str) -> None:
    with server.client() as client:
        client.config_set(name, value)


@asynccontextmanager
async def looked_at(
    server: StoreServer, durability: Durability
) -> AsyncIterator[Callable[[], Awaitable[list[str]]]]:
    """Looks at a server each time it is called, and returns the checks that are off."""
    node = StoreNode(server.url, function_library(), timeout_s=1.0)
    inspector = Inspector(durability, is_strict=False)

    async def look() -> list[str]:
        await inspector.look([node])
        return [check for check, count in inspector.counts().items() if count]

    try:
        yield look
    finally:
        await node.close()


FIT = ("--appendonly", "yes", "--min-replicas-to-write", "1")


async def test_a_replica_that_is_gone_for_one_look_is_no_notice_and_one_that_stays_away_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_pair("valkey", *FIT) as pair:
        async with looked_at(pair.primary, Durability.REPLICATED) as look:
            assert await look() == []
            await leave(pair)
            assert await look() == []
            await come_back(pair)
            assert await look() == []
            assert "store_notice" not in caplog.text
            await leave(pair)
            assert [await look(), await look()] == [[], ["replicas"]]
            await come_back(pair)
            assert [await look(), await look()] == [["replicas"], []]
    assert caplog.text.count("store_notice ") == 1


async def leave(pair: Pair) -> None:
    pair.replica.kill()
    await until(lambda: b"connected_slaves:0" in pair.primary.ask("INFO", "replication"))


async def come_back(pair: Pair) -> None:
    pair.replica.start()
    pair.replica.ask("REPLICAOF", "127.0.0.1", pair.primary.port)
    await until(lambda: b"state=online" in pair.primary.ask("INFO", "replication"))


async def test_a_missing_replica_is_said_at_once_at_the_start() -> None:
    with running_pair("valkey", *FIT) as pair:
        await leave(pair)
        async with looked_at(pair.primary, Durability.REPLICATED) as look:
            assert await look() == ["replicas"]


async def test_a_primary_that_is_made_a_replica_keeps_its_notices_until_it_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_pair("valkey") as pair:
        async with looked_at(pair.primary, Durability.REPLICATED) as look:
            known = await look()
            assert known == ["persistence", "min_replicas"]
            pair.replica.ask("REPLICAOF", "NO", "ONE")
            pair.primary.ask("REPLICAOF", "127.0.0.1", pair.replica.port)
            assert [await look(), await look()] == [known, known]
    assert "store_notice_gone" not in caplog.text


async def test_a_server_that_is_busy_or_silent_keeps_its_notices_and_has_no_new_one(
    own_store: StoreFactory,
) -> None:
    server = own_store("--busy-reply-threshold", "20")
    async with looked_at(server, Durability.FAST) as look:
        known = await look()
        assert known == ["persistence"]
        async with endless_script(server):
            assert await look() == known
        server.pause()
        assert [await look(), await look()] == [known, known]


@asynccontextmanager
async def endless_script(server: StoreServer) -> AsyncIterator[None]:
    """The server answers BUSY to everything."""
    script = asyncio.create_task(asyncio.to_thread(run_endlessly, server))
    with server.client() as client:
        await until(lambda: is_busy(client))
        yield
        client.script_kill()
    await script


def run_endlessly(server: StoreServer) -> None:
    with server.client(timeout_s=DEADLINE_S) as client, pytest.raises(redis.ResponseError, match="killed"):
        client.eval("while true do end", 0)


def is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


async def test_what_goes_off_later_is_noticed_without_a_restart(own_store: StoreFactory, prefix: str) -> None:
    server = own_store("--appendonly", "yes")
    async with running_node(server.url, NodeSettings(key_prefix=prefix), is_strict=True) as parts:
        assert metric(parts) == dict.fromkeys(CHECKS, 0.0)
        configure(server, "maxmemory-policy", "allkeys-random")
        await until(lambda: metric(parts)["eviction"] == 1)
        assert parts.node.is_ready, "strict is about the start"


async def test_a_strict_node_does_not_start_and_names_all_that_is_off(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store("--maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match=r"strict_store.* allkeys-lru.* append-only file is off"):
        async with running_node(server.url, NodeSettings(key_prefix=prefix), is_strict=True):
            raise AssertionError
    with server.client() as client:
        assert client.dbsize() == 0


async def test_a_server_that_refuses_info_is_not_taken_for_a_good_one(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store("--appendonly", "yes")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-info")
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        assert metric(parts)["info"] == 1
        assert "INFO is refused" in parts.node.store.inspector.notices[0]


async def test_primaries_of_a_cluster_that_are_off_alike_are_named_in_one_notice(prefix: str) -> None:
    with running_cluster() as cluster:
        async with running_node(cluster.address, NodeSettings(key_prefix=prefix)) as parts:
            (notice,) = parts.node.store.inspector.notices
            ports = sorted(f"127.0.0.1:{server.port}" for server in cluster.servers[:3])
            assert notice.endswith(f"set appendonly yes ({', '.join(ports)})")
            assert metric(parts)["persistence"] == 3


def test_a_server_tells_of_its_store_under_cluster_and_a_strict_one_exits(
    own_store: StoreFactory, tmp_path: Path
) -> None:
    store = own_store()
    environ = {"SHARQ_REDIS_URL": store.url}
    server = SharqServer(tmp_path, environ=environ)
    try:
        server.start()
        (member,) = get_json(f"{server.url}/cluster/")["members"]
        assert "append-only file is off" in member["store"]["notices"][0]
        server.until(lambda: "store_notice check=persistence" in server.log)
    finally:
        server.stop()
    strict = SharqServer(tmp_path, environ={**environ, "SHARQ_REDIS_STRICT_STORE": "true"})
    strict.name, strict.log_path = "strict", tmp_path / "strict.log"
    strict.launch()
    assert strict.wait(DEADLINE_S) == 2
    assert (
        "sharq-server: [redis] strict_store: the store is not fit: the append-only file is off" in strict.log
    )


def test_the_embedded_store_is_fit_for_a_strict_server(tmp_path: Path) -> None:
    server = SharqServer(tmp_path, environ={"SHARQ_REDIS_STRICT_STORE": "true"})
    try:
        server.start()
        (member,) = get_json(f"{server.url}/cluster/")["members"]
        assert member["store"] == {
            "mode": "embedded",
            "is_reachable": True,
            "notices": [],
            "partitions_away": 0,
        }
    finally:
        server.stop()
