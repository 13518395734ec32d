"""A corpus of hostile bodies against one server and against a cluster: the longest hold of each event loop.

A short run has the cluster only, with bodies of one size: tests/api/bounds/test_hostile_bodies.py has the server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from sharq_core.config import parse_url
from tests.chaos.stage import is_quick
from tests.support.http.holds import LIMIT_MS, Hold, measure_well
from tests.support.http.hostile_bodies import FULL_BYTES, corpus
from tests.support.processes.servers import SharqCluster, SharqServer
from tests.support.stores.server import running_store

SIZES = (300_000,) if is_quick() else (60_000, 300_000, FULL_BYTES)
SEEDS = (1,) if is_quick() else (1, 2, 3)
SHOWN = 5


@contextmanager
def server() -> Iterator[tuple[str, list[str]]]:
    """A `sharq-server`."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        one = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url}, is_watched=True)
        try:
            one.start()
            yield one.url, []
        finally:
            one.stop()


@contextmanager
def cluster() -> Iterator[tuple[str, list[str]]]:
    """A router and two shards."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        all_of_it = SharqCluster(Path(directory), parse_url(store.url), routers=1, shards=2, is_watched=True)
        try:
            all_of_it.start()
            yield all_of_it.urls[0], [shard.url for shard in all_of_it.shards]
        finally:
            all_of_it.stop()


@pytest.mark.alone
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("running", [cluster] if is_quick() else [server, cluster])
@pytest.mark.parametrize("size", SIZES)
async def test_no_body_holds_an_event_loop(running: type, size: int) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as http:
        with running() as (url, shards):
            for seed in SEEDS:
                holds = await measure_well(http, url, corpus(seed, size), shards)
                show(holds, seed, size)
                assert [hold for hold in holds if hold.cpu_ms > LIMIT_MS] == []
                assert [hold for hold in holds if hold.status >= 500 or not hold.status] == []


def show(holds: list[Hold], seed: int, size: int) -> None:
    """Print the longest."""
    print(f"\n{len(holds)} holds, bodies of {size} bytes, seed {seed}:")
    for hold in holds[:SHOWN]:
        print(f"  {hold.cpu_ms:5.1f} ms ({hold.wall_ms:.1f} ms by the wall), {hold.process}: {hold.name}")
