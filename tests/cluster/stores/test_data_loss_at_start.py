"""Nodes that start on a store that lost its data: they wait with the others, or begin anew if nobody was there."""

from __future__ import annotations

import asyncio

import pytest
import redis

from sharq_core.errors import ConfigError, Unavailable
from sharq_core.link.messages import GetQueue
from sharq_core.models import QueueKey
from sharq_core.partitions import Ring
from sharq_core.scheduler.data_set import DataCalls
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MembershipCalls
from tests.support.nodes.data_loss import (
    BUSY_S,
    accept,
    data_set,
    is_stopped,
    noticed,
    refused,
)
from tests.support.nodes.members import KIND, PARTITIONS, Nodes, agree, job_in, running_nodes
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreServer
from tests.support.waits import until


async def test_a_node_that_starts_on_the_emptied_store_waits_with_the_others(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    (a,) = await nodes.join("a")
    client.flushall()
    await noticed(a)
    b = nodes.make("b")
    joining = asyncio.create_task(b.join())
    await until(lambda: b.node.guard.whole_reason is not None)
    assert "accepts the loss" in await refused(b)
    assert not b.node.is_ready
    await accept(server, prefix)
    await joining
    await until(lambda: agree(a, b))


async def test_a_node_that_begins_anew_before_the_others_noticed_stops_with_them(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a,) = await nodes.join("a")

    async def look_away() -> None:
        raise Unavailable("it looks elsewhere")

    monkeypatch.setattr(a.node.guard, "look", look_away)
    client.flushall()
    b = nodes.make("b")
    await b.join()
    assert b.node.is_ready, "nobody has said anything yet"
    monkeypatch.undo()
    for node in (a, b):
        node.node.guard.suspect()
    await a.node.guard.look()
    await noticed(a, b)
    assert is_stopped(a)
    assert is_stopped(b)
    await accept(server, prefix)
    await until(lambda: agree(a, b) and a.node.is_ready and b.node.is_ready)


async def test_all_nodes_started_again_after_a_wipe_still_know_of_it(
    nodes: Nodes, client: redis.Redis
) -> None:
    (a,) = await nodes.join("a")
    client.flushall()
    await noticed(a)
    await a.stop()
    b = nodes.make("b")
    await b.node.start()
    assert b.node.guard.whole_reason is not None
    with pytest.raises(Unavailable, match="accepts the loss"):
        await b.node.call(GetQueue(QueueKey(KIND, "q")))


async def test_a_node_of_another_number_never_joins_while_one_lives(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    (a,) = await nodes.join("a")
    client.flushall()
    await noticed(a)
    other = DataCalls(Keys(prefix, 32))
    async with data_set(server, prefix, 32) as data:
        record = await data._executor.one(other.claim("an id"))
        assert record.partitions == PARTITIONS
        with pytest.raises(ConfigError, match="32 is configured, but the store's data was made with 64"):
            await data.accept_loss()
        outcome = await data._executor.one(
            MembershipCalls(Keys(prefix, 32)).heartbeat(a.membership._me, 1_000_000)
        )
    assert "made with 64" in getattr(outcome, "reason", "")
    assert a.known == ["a"]


async def test_a_node_that_starts_and_goes_on_by_its_setting_accepts_what_others_miss(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    (a,) = await nodes.join("a")
    client.flushall()
    await noticed(a)
    async with running_nodes(server.url, prefix, continues_on_data_loss=True) as others:
        (b,) = await others.join("b")
        await until(lambda: agree(a, b) and a.node.is_ready and b.node.is_ready)
        assert a.node.guard.data_id == b.node.guard.data_id


async def test_data_of_an_older_version_is_taken_over_without_alarm(
    nodes: Nodes, client: redis.Redis, prefix: str
) -> None:
    keys = Keys(prefix, PARTITIONS)
    (old,) = await nodes.join("old")
    await old.enqueue(job_in(5, "kept"))
    await old.stop()
    client.delete(keys.identity, keys.members)
    for partition in range(PARTITIONS):
        client.hdel(keys.counters(partition), ":id")
    (a,) = await nodes.join("a")
    assert a.node.guard.losses == 0
    assert client.hget(keys.counters(63), ":id") == a.node.guard.data_id.encode()
    assert await a.dequeue() == ["kept"]


async def test_a_record_that_was_lost_while_nobody_ran_is_told_by_the_partitions(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    """One primary of a Cluster was wiped, with the record, while all nodes were away."""
    (a,) = await nodes.join("a")
    await a.stop()
    keys = Keys(prefix, PARTITIONS)
    client.delete(keys.identity, keys.members, keys.partition_count, *map(keys.counters, range(20)))
    b = nodes.make("b")
    await b.node.start()
    assert b.node.guard.whole_reason is not None
    await accept(server, prefix)
    await b.join()
    await until(lambda: b.node.is_ready)


async def test_a_start_with_many_partitions_is_quick(
    server: StoreServer, prefix: str, stopwatch: Stopwatch
) -> None:
    async with data_set(server, prefix, 4096) as data:
        record = await data._executor.one(data.calls.claim("an id"))
        stopwatch.start()
        ids = await data.begin(record)
        stopwatch.assert_within(1.0 + BUSY_S)
        assert set(ids.values()) == {"an id"}
        assert len(ids) == 4096
        assert Ring.build(1, frozenset({"a"}), 4096)
