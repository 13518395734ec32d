"""Toxiproxy between the shards and the store, and between the routers and one shard, under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick, stage
from tests.chaos.test_processes import until_serving
from tests.chaos.toxics import BOTH, Proxies, Toxic, running_toxiproxy
from tests.support.load.crowd import Crowd
from tests.support.stores.server import AOF, running_store

TOXICS: dict[str, list[Toxic]] = {
    "latency 60 ms, jitter 40 ms": [Toxic("latency", way, {"latency": 60, "jitter": 40}) for way in BOTH],
    "black hole": [Toxic("timeout", way, {"timeout": 0}) for way in BOTH],
    "answers lost": [Toxic("timeout", "downstream", {"timeout": 0})],
    "calls lost": [Toxic("timeout", "upstream", {"timeout": 0})],
    "connections reset": [Toxic("reset_peer", "downstream", {"timeout": 0})],
    "answers cut off": [Toxic("limit_data", "downstream", {"bytes": 700})],
    "10 KB/s": [Toxic("bandwidth", way, {"rate": 10}) for way in BOTH],
}

PLACES = ("store", "shard")

QUICK_BEFORE_A_SHARD = ("black hole", "connections reset", "answers cut off")
"""The faults of a short run; a long one has all of them."""

FAULTS = [
    (place, toxic)
    for place in PLACES
    for toxic in TOXICS
    if not (is_quick() and place == "shard" and toxic not in QUICK_BEFORE_A_SHARD)
]


@pytest.fixture(scope="module")
def proxied(seed: int, report: Report) -> Iterator[tuple[Stage, Proxies]]:
    """A cluster with a proxy before its store and one before each shard."""
    with ExitStack() as stack:
        proxies = stack.enter_context(running_toxiproxy())
        store = stack.enter_context(running_store("valkey", *AOF))
        found = stack.enter_context(
            stage(
                store,
                seed,
                report,
                store_url=f"redis://127.0.0.1:{proxies.port_before(store.port)}/0",
                reached_at=proxies.port_before,
            )
        )
        yield found, proxies


def port_of(stage: Stage, place: str) -> int:
    """The store's port, or that of a shard which the routers reach through its proxy."""
    return stage.store.port if place == "store" else stage.cluster.shards[0].port


@pytest.mark.parametrize(("place", "toxic"), FAULTS)
async def test_a_bad_network_loses_nothing(proxied: tuple[Stage, Proxies], place: str, toxic: str) -> None:
    stage, proxies = proxied

    async def fault(crowd: Crowd) -> None:
        async with proxies.toxic(port_of(stage, place), *TOXICS[toxic]):
            await asyncio.sleep(stage.pace.hold_s)
        await until_serving(stage, 3)

    await stage.play(f"before the {place}: {toxic}", fault)


@pytest.mark.parametrize("place", PLACES)
async def test_a_network_that_comes_and_goes_loses_nothing(
    proxied: tuple[Stage, Proxies], place: str
) -> None:
    stage, proxies = proxied

    async def fault(crowd: Crowd) -> None:
        for _ in range(4):
            async with proxies.down(port_of(stage, place)):
                await asyncio.sleep(stage.pace.hold_s / 8)
            await asyncio.sleep(stage.pace.hold_s / 8)
        await until_serving(stage, 3)

    await stage.play(f"before the {place}: up and down", fault)
