"""Provides nodes in the test's own process, a router's end that is linked to one, and a store that keeps its data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import redis

from shard.node import NodeSettings
from sharq_core.config import parse_url
from tests.support.http.contract import Api, Reply
from tests.support.nodes.links import Router, router_end, shard_end
from tests.support.nodes.members import Nodes, running_nodes
from tests.support.nodes.parts import PATIENT_S, Parts, running_node
from tests.support.processes.servers import PATIENT, SharqCluster
from tests.support.stores.server import KINDS, WRITTEN_AOF, StoreFactory, StoreServer, running_store
from tests.support.stores.shifted_clock import ShiftedClock
from tests.support.waits import until_answer


@pytest.fixture(scope="session", params=["valkey"])
def store(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    """A shared Valkey; tests/scheduler runs every function on each kind. A module that is run on each says so."""
    with running_store(request.param) as server:
        yield server


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    """A node and the router's parts over it. The store answers every test, so that a slow answer is no failure."""
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as running:
        yield running


@pytest.fixture
async def router(parts: Parts) -> AsyncIterator[Router]:
    """A router's end that is linked to the node."""
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        yield end


@pytest.fixture
def server(own_store: StoreFactory) -> StoreServer:
    """A private store that keeps its data over a restart."""
    return own_store(*WRITTEN_AOF)


@pytest.fixture
def client(server: StoreServer) -> Iterator[redis.Redis]:
    """A connection to that store."""
    with server.client(timeout_s=5.0) as connected:
        yield connected


@pytest.fixture
async def nodes(server: StoreServer, prefix: str) -> AsyncIterator[Nodes]:
    """Member nodes on that store."""
    async with running_nodes(server.url, prefix) as running:
        yield running


@pytest.fixture
def clock(tmp_path: Path) -> ShiftedClock:
    """A clock that the test sets."""
    return ShiftedClock(tmp_path)


@pytest.fixture(params=KINDS)
def shifted_store(request: pytest.FixtureRequest, clock: ShiftedClock) -> Iterator[StoreServer]:
    """A private server by the clock that the test sets."""
    with running_store(request.param, environ=clock.environ) as server:
        yield server


@pytest.fixture
def two_shards(tmp_path: Path, store: StoreServer, prefix: str) -> Iterator[SharqCluster]:
    """A router and two shards as processes. The members notice the absence of a shard only after half a minute."""
    environ = {"SHARQ_REDIS_KEY_PREFIX": prefix, "SHARQ_CLUSTER_HEARTBEAT_TTL": "30000", **PATIENT}
    cluster = SharqCluster(tmp_path, parse_url(store.url), environ, routers=1, shards=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
async def api_of_two(two_shards: SharqCluster) -> AsyncIterator[Api]:
    """The HTTP interface of their router, which knows that each shard has its partitions and reaches both."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as http:
        api = await Api.open(two_shards.urls[0], http)
        await until_answer(lambda: api.get("/cluster/"), serve_all_partitions)
        yield api


def serve_all_partitions(answer: Reply) -> bool:
    members = answer.json["members"]
    return len(members) == 2 and all(member["partitions"] and member["store"] for member in members)
