"""Nodes whose store loses its data, or part of it, or holds another data set: noticed, refused, and the way on."""

from __future__ import annotations

import asyncio
import logging

import pytest
import redis

from shard.data_identity import guard
from sharq_core.errors import Unavailable
from sharq_core.link.messages import DescribeStore, GetQueue
from sharq_core.models import QueueKey
from sharq_core.scheduler.keys import Keys
from tests.scheduler.drivers.driver import execute
from tests.support.nodes.data_loss import (
    accept,
    empty,
    has_noticed,
    is_stopped,
    looked,
    noticed,
    refused,
    served,
)
from tests.support.nodes.members import KIND, PARTITIONS, Nodes, agree, job_in, running_nodes
from tests.support.stores.server import StoreServer
from tests.support.waits import DEADLINE_S, until


async def test_a_flushed_store_is_noticed_by_every_node_and_refused_until_it_is_accepted(
    nodes: Nodes,
    client: redis.Redis,
    server: StoreServer,
    prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, b, c = await nodes.join("a", "b", "c")
    await until(lambda: agree(a, b, c))
    views, lost_id = [node.views[-1] for node in (a, b, c)], a.node.guard.data_id
    client.flushall()
    await noticed(a, b, c)
    assert all(map(is_stopped, (a, b, c)))
    assert "accepts the loss" in await refused(a)
    for node in (a, b, c):
        with pytest.raises(Unavailable, match="accepts the loss"):
            await node.dequeue()
        with pytest.raises(Unavailable):
            await node.node.call(GetQueue(QueueKey(KIND, "q")))
        assert (await node.node.call(DescribeStore())).data_lost == node.node.guard.whole_reason
    said = [record for record in caplog.records if "data_lost" in record.getMessage()]
    assert {record.levelno for record in said} == {logging.CRITICAL}
    assert lost_id in said[0].getMessage()
    assert "--accept-data-loss" in said[0].getMessage()
    accepted = await accept(server, prefix)
    assert accepted is not None
    assert (accepted.generation, accepted.found) == (2, {"": PARTITIONS})
    await until(
        lambda: all(node.node.is_ready for node in (a, b, c)) and not any(map(has_noticed, (a, b, c)))
    )
    assert {node.node.guard.data_id for node in (a, b, c)} == {accepted.data_id} != {lost_id}
    await until(lambda: client.hlen(Keys(prefix, PARTITIONS).members) == 5)
    await served(a, a.owned[0], "after")
    await until(lambda: agree(a, b, c) and a.membership.view.version > views[0].version)
    for node, view in zip((a, b, c), views, strict=True):
        assert {each.members for each in node.views[node.views.index(view) :]} == {view.members}, "no flap"
    assert await accept(server, prefix) is None, "nothing is lost any more"


async def test_nothing_is_acknowledged_by_a_store_that_was_started_again_empty(
    nodes: Nodes, server: StoreServer
) -> None:
    """Each connection is new then, and looks before it is used."""
    (a,) = await nodes.join("a")
    await a.enqueue(job_in(1, "gone"))
    await asyncio.to_thread(empty, server)
    async with asyncio.timeout(DEADLINE_S):
        while not is_stopped(a):
            await refused(a)
            await asyncio.sleep(0.005)
    with server.client() as client:
        assert not [key for key in client.scan_iter(count=1000) if b":jobs:" in key]


async def test_no_job_is_acknowledged_by_a_flushed_store_even_before_the_next_look(
    nodes: Nodes, client: redis.Redis, prefix: str
) -> None:
    (a,) = await nodes.join("a")
    await a.enqueue(job_in(1, "gone"))
    client.flushall()
    for number in range(50):
        await refused(a, number % PARTITIONS)
    await until(lambda: is_stopped(a))
    assert not [key for key in client.scan_iter(count=1000) if b":jobs:" in key]


async def test_a_store_that_keeps_its_data_is_served_on_without_a_word(
    nodes: Nodes, server: StoreServer
) -> None:
    (a,) = await nodes.join("a")
    await a.enqueue(job_in(1, "kept"))
    for _ in range(3):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await until(lambda: a.node.store.is_reachable)
    async with asyncio.timeout(DEADLINE_S):
        while await a.dequeue() != ["kept"]:
            await asyncio.sleep(0.02)
    assert a.node.guard.losses == a.node.guard.pulse.rollbacks == 0


async def test_swapped_data_is_noticed_and_served_again_when_it_is_swapped_back(
    nodes: Nodes, client: redis.Redis
) -> None:
    a, b = await nodes.join("a", "b")
    await a.enqueue(job_in(1, "kept"))
    execute(client, "SWAPDB", 0, 1)
    await noticed(a, b)
    execute(client, "SWAPDB", 0, 1)
    await until(lambda: a.node.is_ready and b.node.is_ready)
    await until(lambda: a.owned != [] and agree(a, b))
    owner = a if 1 in a.owned else b
    async with asyncio.timeout(DEADLINE_S):
        while await owner.dequeue() != ["kept"]:
            await asyncio.sleep(0.02)


async def test_the_data_of_another_deployment_is_noticed_and_left_alone(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    """Both deployments stop, and both go on when each has its own data again."""
    other_url = f"redis://127.0.0.1:{server.port}/1"
    async with running_nodes(other_url, prefix) as others:
        (z,) = await others.join("z")
        (a,) = await nodes.join("a")
        await looked(a, z)
        execute(client, "SWAPDB", 0, 1)
        await noticed(a, z)
        assert is_stopped(a)
        assert is_stopped(z)
        execute(client, "SWAPDB", 0, 1)
        await until(lambda: a.node.is_ready and z.node.is_ready)
        assert (a.known, z.known) == (["a"], ["z"])


async def test_data_that_was_swapped_in_may_be_accepted(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    async with running_nodes(f"redis://127.0.0.1:{server.port}/1", prefix) as others:
        (z,) = await others.join("z")
        await z.enqueue(job_in(1, "theirs"))
        await z.membership.leave()
    (a,) = await nodes.join("a")
    execute(client, "SWAPDB", 0, 1)
    await noticed(a)
    assert await accept(server, prefix) is not None
    await until(lambda: a.node.is_ready)
    async with asyncio.timeout(DEADLINE_S):
        while await a.dequeue() != ["theirs"]:
            await asyncio.sleep(0.02)


async def test_a_lost_partition_is_refused_and_the_others_go_on(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str
) -> None:
    (a,) = await nodes.join("a")
    keys = Keys(prefix, PARTITIONS)
    for key in client.scan_iter(match=keys.counters(3).decode().replace("counters", "*")):
        client.delete(key)
    await noticed(a)
    assert a.node.guard.lost_partitions == 1
    assert await refused(a, 3) == "one of the jobs was refused"
    await served(a, 4, "elsewhere")
    assert not a.node.is_ready, "the shard says it"
    assert a.node.why_not_ready is None, "a load balancer goes on"
    assert (await a.node.call(DescribeStore())).data_lost is None
    accepted = await accept(server, prefix)
    assert accepted is not None
    assert accepted.found[""] == 1
    await until(lambda: a.node.is_ready)
    await served(a, 3, "again")


async def test_a_deleted_record_is_written_anew_while_all_partitions_are_there(
    nodes: Nodes, client: redis.Redis, prefix: str
) -> None:
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    views = [node.views[-1] for node in (a, b)]
    keys = Keys(prefix, PARTITIONS)
    client.delete(keys.members, keys.identity, keys.partition_count)
    await until(lambda: client.hget(keys.identity, "state") == b"whole")
    await until(lambda: client.hlen(keys.members) == 4)
    assert client.get(keys.partition_count) == str(PARTITIONS).encode()
    await served(a, a.owned[0], "on")
    await looked(a, b)
    assert a.node.guard.losses == b.node.guard.losses == 0
    assert a.node.guard.pulse.rollbacks == b.node.guard.pulse.rollbacks == 0
    for node, view in zip((a, b), views, strict=True):
        assert {each.members for each in node.views[node.views.index(view) :]} == {view.members}


async def test_nodes_that_go_on_by_their_setting_say_so_and_go_on(
    server: StoreServer, client: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_nodes(server.url, prefix, continues_on_data_loss=True) as nodes:
        a, b = await nodes.join("a", "b")
        await until(lambda: agree(a, b))
        before = a.node.guard.data_id
        client.flushall()
        await until(lambda: a.node.guard.data_id == b.node.guard.data_id != before)
        assert a.node.is_ready
        assert b.node.is_ready
        await served(a, a.owned[0], "after")
        assert a.node.guard.losses + b.node.guard.losses >= 1
        assert [one for one in caplog.records if "data_loss_accepted" in one.getMessage()]
        await until(lambda: agree(a, b))


async def test_an_older_copy_of_the_data_is_said_and_served(
    nodes: Nodes, client: redis.Redis, server: StoreServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of some time ago was put in place of the data."""
    monkeypatch.setattr(guard, "LOOK_EVERY_S", 0.2)
    (a,) = await nodes.join("a")
    identity = Keys(prefix, PARTITIONS).identity
    await looked(a)
    await looked(a)
    backup = client.dump(identity)
    assert backup is not None
    client.hincrby(identity, "pulse", 50)
    await until(lambda: (a.node.guard.pulse.seen or 0) > 50)
    a.node.guard.pulse.per_s = 5.0
    client.restore(identity, 0, backup, replace=True)
    await until(lambda: a.node.guard.pulse.rollbacks == 1)
    assert any("older copy" in notice for notice in a.node.store.inspector.notices)
    assert a.node.is_ready
    await served(a, a.owned[0], "on")
