"""The function library that calls meet: a server that comes back with an older one is given ours before it gets calls,
and calls that met none keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from shard.node import NodeSettings
from sharq_core.config import StoreMode
from sharq_core.errors import Unavailable
from sharq_core.models import Enqueued
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import function_library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.surveys import SurveyCalls
from sharq_core.store.commands import FcallCommand, pack
from sharq_core.store.node import StoreNode
from tests.support.nodes.parts import Parts, job, queues_in_different_partitions, running_node
from tests.support.stores.groups import OPEN, running_sentinel_group
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import KINDS, StoreFactory, StoreServer
from tests.support.waits import until

KIND = "sms"
TIMEOUT_S = 5.0
DEADLINE_S = 60.0
OURS = function_library()
AOF = ("--appendonly", "yes", "--appendfsync", "always")

OLDER = OURS.source.replace(f"return {library.REVISION} end", f"return {library.REVISION - 1} end")
"""Our library as its revision before said it was: all functions are there."""


def revision_of(server: StoreServer) -> int:
    with server.client() as client:
        return cast(int, client.fcall(f"{library.LIBRARY}_revision", 0))


def make_older(server: StoreServer) -> None:
    with server.client() as client:
        client.function_load(OLDER, replace=True)


async def enqueue(parts: Parts, job_id: str, *queues: str) -> list[object]:
    return [*await parts.dispatch.enqueue([job(KIND, queue, job_id) for queue in queues or ("q",)])]


async def until_enqueued(parts: Parts, job_id: str, *queues: str) -> None:
    """Repeat an enqueue until the store takes it."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(isinstance(one, Enqueued) for one in await enqueue(parts, job_id, *queues)):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_store_node(server: StoreServer) -> AsyncIterator[StoreNode]:
    node = StoreNode(server.url, OURS, timeout_s=TIMEOUT_S)
    try:
        yield node
    finally:
        await node.close()


def enqueue_call(prefix: str, *job_ids: str) -> FunctionCall[list[Enqueued]]:
    """Jobs for one queue."""
    functions = Functions(Keys(prefix, 64), Retention())
    return functions.enqueue(0, KIND, [job(KIND, "q", job_id) for job_id in job_ids])


def test_the_older_library_differs_from_ours() -> None:
    assert OURS.source != OLDER


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_was_restarted_on_an_older_library_gets_ours_before_its_next_call(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    server = own_store(*AOF, kind=kind)
    async with running_node(server.url, NodeSettings(key_prefix=prefix), TIMEOUT_S) as parts:
        assert isinstance((await enqueue(parts, "a"))[0], Enqueued)
        make_older(server)
        await asyncio.to_thread(restart, server)
        await until_enqueued(parts, "b")
        assert revision_of(server) == library.REVISION


def restart(server: StoreServer) -> None:
    server.stop()
    server.start()


async def test_a_server_of_no_calls_yet_gets_the_library_before_the_first(
    own_store: StoreFactory, prefix: str
) -> None:
    """As one that turns up in a redirection."""
    server = own_store()
    make_older(server)
    async with running_store_node(server) as node:
        (answer,) = await node.call([enqueue_call(prefix, "a").command])
        assert isinstance(answer, list)
        assert revision_of(server) == library.REVISION


async def test_a_server_is_asked_for_its_library_once_a_connection_and_not_once_a_call(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_store_node(server) as node:
        for number in range(50):
            await node.call([enqueue_call(prefix, str(number)).command])
        with server.client() as client:
            calls = client.info("commandstats")["cmdstat_fcall"]["calls"]
        assert calls <= 50 + 3


async def test_a_newer_library_stays(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    newer = OURS.source.replace(f"return {library.REVISION} end", f"return {library.REVISION + 1} end")
    async with running_store_node(server) as node:
        await node.load_library()
        with server.client() as client:
            client.function_load(newer, replace=True)
        await node.tidy()
        await node.call([enqueue_call(prefix, "a").command])
    assert revision_of(server) == library.REVISION + 1


async def test_a_library_made_older_meanwhile_is_replaced_without_a_call_that_misses_it(
    own_store: StoreFactory,
) -> None:
    """An older node may have brought its own after a FUNCTION FLUSH."""
    server = own_store()
    async with running_store_node(server) as node:
        await node.load_library()
        make_older(server)
        await node.tidy()
    assert revision_of(server) == library.REVISION


async def test_a_full_server_goes_on_with_its_older_library(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    make_older(server)
    with server.client() as client:
        client.config_set("maxmemory", "1")
    async with running_store_node(server) as node:
        call = SurveyCalls(Keys(prefix, 64), 1).refresh(0)
        (answer,) = await node.call([call.command])
        assert isinstance(answer, list)
    assert revision_of(server) == library.REVISION - 1


@pytest.mark.slow
async def test_a_promoted_replica_with_an_older_library_gets_ours_before_its_calls(prefix: str) -> None:
    """It has what the primary before it had last."""
    with running_sentinel_group() as group:
        old, heir = group.servers[0], group.servers[1]
        make_older(old)
        async with running_node(group.address, NodeSettings(key_prefix=prefix), TIMEOUT_S) as parts:
            assert revision_of(old) == library.REVISION
            make_older(old)
            await until(lambda: revision_of(heir) == library.REVISION - 1)
            old.kill()
            await until_enqueued(parts, "a")
            (primary,) = parts.node.store.nodes()
            (server,) = [one for one in group.servers if primary.name.endswith(f":{one.port}")]
            assert revision_of(server) == library.REVISION


@pytest.mark.slow
async def test_a_promoted_replica_that_was_asked_for_the_layout_gets_the_library_too(prefix: str) -> None:
    with running_cluster() as cluster:
        heir = cluster.servers[3]
        address = OPEN.place(StoreMode.CLUSTER, heir.port)
        async with running_node(address, NodeSettings(key_prefix=prefix), TIMEOUT_S) as parts:
            for server in cluster.servers[:3]:
                make_older(server)
            await until(lambda: revision_of(heir) == library.REVISION - 1)
            cluster.servers[0].kill()
            await until_enqueued(parts, "a", *queues_in_different_partitions(KIND, 24))
            assert revision_of(heir) == library.REVISION


class Load(FcallCommand, frozen=True):
    """In place of a call: the library is loaded."""

    def packed(self) -> bytes:
        (packed,) = pack([[b"FUNCTION", b"LOAD", OURS.source]])
        return packed


async def test_a_call_that_missed_the_library_is_not_done_behind_a_later_one_of_its_queue(
    own_store: StoreFactory, prefix: str
) -> None:
    """Another node loads the library between the two: as the second command of the three does here (I3)."""
    server = own_store()
    async with running_store_node(server) as node:
        await node.load_library()
        with server.client() as client:
            client.function_flush()
        first, second = enqueue_call(prefix, "1").command, enqueue_call(prefix, "2").command
        answers = await node.call([first, Load(b"", first.keys, [], ()), second])
        assert isinstance(answers[0], Unavailable)
        assert isinstance(answers[2], list)
        with server.client() as client:
            assert client.hlen(Keys(prefix, 64).of(0, KIND, ("jobs",)).names[0]) == 1


async def test_calls_that_all_missed_the_library_are_done_in_order(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_store_node(server) as node:
        await node.load_library()
        with server.client() as client:
            client.function_flush()
        answers = await node.call([enqueue_call(prefix, str(number)).command for number in range(5)])
        assert all(isinstance(answer, list) for answer in answers)
    async with running_node(server.url, NodeSettings(key_prefix=prefix), TIMEOUT_S) as parts:
        assert [one.job_id for one in await parts.dequeue(KIND, 5)] == [str(number) for number in range(5)]
