"""The commands of docs/operations.md as they are printed, on the layout of Compose under load: no request fails."""

from __future__ import annotations

import asyncio
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.compose.test_rolling import MORE_JOBS, assert_nothing_failed, restart, until_owners
from tests.deploy.layout import STORE_PORT, Layout, Service, ask_store, until
from tests.deploy.steps import printed, run
from tests.support.load.clients import running_load

PAGE = "operations.md"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


async def test_store_servers_are_added_and_removed_without_a_failed_request(
    layout: Layout, tmp_path: Path
) -> None:
    old, new, replica = layout.of("valkey")[0], layout.add_store("valkey-7"), layout.add_store("valkey-8")
    primary, with_replica = printed(PAGE, "Adding a server to a Redis Cluster")
    (removal,) = printed(PAGE, "Removing a server from a Redis Cluster")
    for store in (new, replica):
        store.launch()
        await asyncio.to_thread(until, partial(is_alive, store), f"{store.name} does not answer")
    share = f"--cluster-weight {ask_store(new, 'CLUSTER', 'MYID')}=0.1"  # all of it takes redis-cli minutes
    places = {"OLD": place(old), "NEW": place(new), "REPLICA": place(replica), "GONE": place(new)}
    places |= {"COUNT": str(len(layout.of("valkey")) - 1), "OPTIONS": share}
    async with running_load(layout.front.url) as load:
        await load.go_on(MORE_JOBS)
        await asyncio.to_thread(run, primary, tmp_path, **places)
        assert slots_of(new) > 500, "about two partitions"
        await load.go_on(MORE_JOBS)
        await asyncio.to_thread(run, with_replica, tmp_path, **places)
        await asyncio.to_thread(until, lambda: replicas_of(new) == 1, "it has no replica")
        await load.go_on(MORE_JOBS)
        await asyncio.to_thread(run, removal, tmp_path, **places)
        await load.go_on(MORE_JOBS)
        assert place(new) not in str(ask_store(old, "CLUSTER", "NODES"))
        new.stop()
        await load.go_on(MORE_JOBS)
    assert_nothing_failed(load, layout)


async def test_haproxy_is_reloaded_without_a_failed_request(layout: Layout) -> None:
    async with running_load(layout.front.url) as load:
        for _ in range(3):
            await load.go_on(MORE_JOBS)
            loaded = layout.front.log.count("Loading success")
            layout.front.signal(signal.SIGUSR2)
            layout.front.until(lambda loaded=loaded: layout.front.log.count("Loading success") > loaded)  # type: ignore[misc]
            await load.go_on(MORE_JOBS)
    assert_nothing_failed(load, layout)


async def test_an_idle_connection_is_answered_after_a_reload(layout: Layout) -> None:
    reader, writer = await asyncio.open_connection(layout.front.address, layout.front.port)
    for word in ("keep-alive", "close"):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().lower()
        assert head.startswith("http/1.1 200")
        assert ("connection: close" in head) == (word == "close")
        await reader.readexactly(int(re.findall(r"content-length: (\d+)", head)[0]))
        if word == "keep-alive":
            loaded = layout.front.log.count("Loading success")
            layout.front.signal(signal.SIGUSR2)
            layout.front.until(lambda loaded=loaded: layout.front.log.count("Loading success") > loaded)  # type: ignore[misc]
    writer.close()


async def test_the_link_secret_is_changed_without_a_failed_request(layout: Layout) -> None:
    first, *others = layout.of("shard")
    processes = [*layout.of("shard"), *layout.of("router")]
    async with running_load(layout.front.url) as load:
        for process in processes:
            process.environ["SHARQ_CLUSTER_SECRET"] = "another secret of tests"
        await restart(load, first)
        for router in layout.of("router"):
            await restart(load, router)
            await asyncio.to_thread(layout.until_in_turn, router)
        for shard in others:
            await restart(load, shard)
        await asyncio.to_thread(until_owners, layout, len(layout.of("shard")))
        await load.go_on(MORE_JOBS)
    # A dequeue may come back empty meanwhile: its router does not see what a shard of the other secret was given.
    assert set(load.answers) <= {200, 201, 404}, (load.answers, load.last_failure)


def place(store: Service) -> str:
    return f"{store.address}:{STORE_PORT}"


def is_alive(store: Service) -> bool:
    return store.is_running and "Ready to accept connections" in store.log


def slots_of(store: Service) -> int:
    """Return the number of slots that a server has, by its own view."""
    ranges = [row for row in ask_store(store, "CLUSTER", "SLOTS") if row[2][0] == store.address]
    return sum(last - first + 1 for first, last, *_ in ranges)


def replicas_of(store: Service) -> int:
    return len(ask_store(store, "ROLE")[2])
