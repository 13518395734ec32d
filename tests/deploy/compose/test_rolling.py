"""Upgrades and changes of size under load, behind HAProxy: no request fails. docs/operations.md has the same steps."""

from __future__ import annotations

import asyncio

import pytest

from tests.deploy.layout import Layout, Service, ask_store, is_whole, until
from tests.deploy.prometheus import value_of
from tests.support.load.clients import CLIENTS, Load, running_load
from tests.support.processes.servers import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
MORE_JOBS = 100


async def test_every_router_and_shard_is_restarted_without_a_failed_request(layout: Layout) -> None:
    async with running_load(layout.front.url) as load:
        for router in layout.of("router"):
            await restart(load, router)
            await asyncio.to_thread(layout.until_in_turn, router)
        for shard in layout.of("shard"):
            await restart(load, shard)
            await asyncio.to_thread(until_owners, layout, 3)
        await load.go_on(MORE_JOBS)
    assert_nothing_failed(load, layout)


async def test_every_store_server_is_restarted_without_a_failed_request(layout: Layout) -> None:
    async with running_load(layout.front.url) as load:
        for store in layout.of("valkey"):
            if role(store) == "slave":
                await restart_store(load, layout, store)
        for store in layout.of("valkey"):
            if role(store) == "master":
                await asyncio.to_thread(hand_over, layout, store)
                await restart_store(load, layout, store)
        await load.go_on(MORE_JOBS)
    assert_nothing_failed(load, layout)


async def test_shard_is_added_and_removed_without_a_failed_request_and_metrics_show_it(
    layout: Layout,
) -> None:
    prometheus = layout.services["prometheus"].url
    async with running_load(layout.front.url) as load:
        await load.go_on(MORE_JOBS)
        added = layout.add_shard("shard-4")
        await start(added)
        await asyncio.to_thread(until_owners, layout, 4)
        await load.go_on(MORE_JOBS)
        await until_metric(prometheus, "min(sharq_shard_members)", 4)
        removed = layout.services.pop("shard-2")
        assert await asyncio.to_thread(removed.stop) == 0
        await asyncio.to_thread(until_owners, layout, 3)
        await load.go_on(MORE_JOBS)
        await until_metric(prometheus, "max(sharq_shard_members)", 3)
    assert_nothing_failed(load, layout)
    assert "shard-2" not in serving(layout.of("router")[0])


async def restart(load: Load, service: Service) -> None:
    """Stop it in order, let work go on without it, and start it again."""
    await load.go_on(MORE_JOBS)
    assert await asyncio.to_thread(service.stop) == 0, service.log
    await load.go_on(MORE_JOBS)
    await start(service)


async def start(service: Service) -> None:
    """Start it and wait until it is ready. It ends with the thread that launches it: with this one."""
    service.launch()
    await asyncio.to_thread(service.until_status, 200)


async def restart_store(load: Load, layout: Layout, store: Service) -> None:
    """As restart; returns when the whole Cluster has its replicas again, in step."""
    await load.go_on(MORE_JOBS)
    assert await asyncio.to_thread(store.stop) == 0, store.log
    await load.go_on(MORE_JOBS)
    store.launch()
    await asyncio.to_thread(until, lambda: is_in_step(store), f"{store.name} is not in step")
    await asyncio.to_thread(until, lambda: all(map(is_whole, layout.of("valkey"))), "the store is not whole")


def hand_over(layout: Layout, primary: Service) -> None:
    """Let a replica of a primary take its place, as CLUSTER FAILOVER does it: without losing a write."""
    replicas = {address for address, _, _ in ask_store(primary, "ROLE")[2]}
    replica = next(store for store in layout.of("valkey") if store.address in replicas)
    ask_store(replica, "CLUSTER", "FAILOVER")
    until(lambda: role(primary) == "slave" and role(replica) == "master", f"{replica.name} did not take over")


def role(store: Service) -> str:
    """`master` or `slave`, in the server's own words."""
    return str(ask_store(store, "ROLE")[0])


def is_in_step(store: Service) -> bool:
    return is_whole(store) and "master_link_status:up" in ask_store(store, "INFO", "replication")


def until_owners(layout: Layout, count: int) -> None:
    """Wait until every router sees this many shards own partitions."""
    for router in layout.of("router"):
        until(lambda router=router: len(serving(router)) == count, f"{count} owners: {serving(router)}")  # type: ignore[misc]


async def until_metric(prometheus: str, promql: str, wanted: float) -> None:
    await asyncio.to_thread(
        until, lambda: value_of(prometheus, promql) == wanted, f"{promql} is not {wanted}"
    )


def assert_nothing_failed(load: Load, layout: Layout) -> None:
    """A dequeue that a stop ends answers 404; the most of these are twice a client and process."""
    assert set(load.answers) <= {200, 201, 404}, (load.answers, load.last_failure, layout.front.log)
    assert load.answers[404] <= 4 * CLIENTS, load.answers
