"""The server that a node takes for the primary: the majority of real Sentinels decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from shard.node import NodeSettings
from sharq_core.errors import Unavailable
from sharq_core.models import Enqueued
from sharq_core.store.connections import ServerConnections
from sharq_core.store.node import StoreNode
from sharq_core.store.topology.layout import Layout
from sharq_core.store.topology.sentinel import SentinelGroup as Topology
from sharq_core.store.topology.sentinel import SentinelUrls
from tests.durability.test_library_loader import OURS
from tests.support.nodes.parts import Parts, job, running_node
from tests.support.stores.groups import (
    OPEN,
    SERVICE,
    Member,
    SentinelGroup,
    running_member,
    running_sentinel_group,
)
from tests.support.stores.server import StoreFactory

pytestmark = pytest.mark.slow

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def group() -> Iterator[SentinelGroup]:
    with running_sentinel_group() as running:
        yield running


@pytest.fixture
def stranger() -> Iterator[Member]:
    """A server that is nobody's replica."""
    with running_member("valkey", OPEN) as running:
        yield running


def no_node(url: str) -> StoreNode:
    raise AssertionError(url)


async def read(sentinels: list[Member], group: SentinelGroup) -> Layout:
    """Return what a node learns that knows these Sentinels."""
    urls = [SentinelUrls(one.url, one.url) for one in sentinels]
    return await Topology(urls, SERVICE, group.address.url_of).read(no_node)


def url_of(server: Member) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


async def test_all_replicas_are_successors_of_the_primary(group: SentinelGroup) -> None:
    layout = await read([*group.sentinels], group)
    primary, *replicas = group.servers
    assert layout.urls() == (url_of(primary),)
    expected = {frozenset({f"127.0.0.1:{replica.port}"}) for replica in replicas}
    assert set(layout.successors[url_of(primary)].needed) == expected


async def test_a_sentinel_that_lies_is_outvoted_whatever_its_epoch(
    group: SentinelGroup, stranger: Member
) -> None:
    liar = group.sentinels[0]
    liar.kill()
    config = liar.directory / "sentinel.conf"
    honest = config.read_text()
    config.write_text(
        f"sentinel monitor {SERVICE} 127.0.0.1 {stranger.port} 2\nsentinel config-epoch {SERVICE} 999\n"
    )
    try:
        liar.start()
        layout = await read([*group.sentinels], group)
        assert layout.urls() == (url_of(group.servers[0]),)
        with pytest.raises(
            Unavailable, match="no majority of the Sentinels names one primary: 1 of 2 names "
        ):
            await read([liar, group.sentinels[1]], group)
    finally:
        liar.kill()
        config.write_text(honest)
        liar.start()


async def test_one_sentinel_of_three_is_no_majority(group: SentinelGroup) -> None:
    for silent in group.sentinels[1:]:
        silent.pause()
    try:
        with pytest.raises(
            Unavailable, match=r"no majority .*: 1 of 3 names .*; no answer in time; no answer in time"
        ):
            await read([*group.sentinels], group)
    finally:
        for silent in group.sentinels[1:]:
            silent.resume()


async def test_a_node_stays_with_its_primary_while_no_majority_names_one(
    group: SentinelGroup, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, and not at each look."""
    async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
        for silent in group.sentinels[1:]:
            silent.pause()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while "store_layout_unknown" not in caplog.text:
                    parts.node.store.mark_stale()
                    await asyncio.sleep(0.05)
            for number in range(5):
                parts.node.store.mark_stale()
                assert isinstance(await enqueue(parts, str(number)), Enqueued)
                await asyncio.sleep(0.2)
            assert caplog.text.count("store_layout_unknown") == 1
            warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
            assert {record.message.split()[0] for record in warnings} <= {
                "store_layout_unknown",
                "store_notice",
            }
        finally:
            for silent in group.sentinels[1:]:
                silent.resume()


async def enqueue(parts: Parts, job_id: str) -> object:
    (outcome,) = await parts.dispatch.enqueue([job("sms", "q", job_id)])
    return outcome


async def test_a_server_that_was_silent_gets_calls_again_only_after_it_was_asked_who_is_the_primary(
    own_store: StoreFactory,
) -> None:
    server = own_store()
    may_go_on = asyncio.Event()
    node = StoreNode(server.url, OURS, timeout_s=0.5, until_confirmed=may_go_on.wait)  # type: ignore[arg-type]
    ping = [[b"PING"]]
    try:
        assert await node.execute(ping) == [b"PONG"]
        server.pause()
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance((await node.execute(ping))[0], Unavailable):
                await asyncio.sleep(0.05)
        server.resume()
        probe = ServerConnections(server.url, 1.0, _nothing)
        await probe.release(await probe.open())
        await probe.close()
        assert isinstance((await node.execute(ping))[0], Unavailable)
        may_go_on.set()
        async with asyncio.timeout(DEADLINE_S):
            while await node.execute(ping) != [b"PONG"]:
                await asyncio.sleep(0.01)
    finally:
        await node.close()


async def _nothing(_connection: object) -> None:
    """The server answers: it was connected to."""
