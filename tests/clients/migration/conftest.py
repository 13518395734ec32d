"""Provides deployments to import from, written by their own libraries on a real Redis, and a server to import to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from sharq_client import Client
from tests.support.foreign.processes import Driver, Original, original_driver
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer, running_store

LEASE_MS = 800
"""The length of the original's leases, unless a test needs another."""

StartOriginal = Callable[..., Original]


@pytest.fixture(scope="session")
def source() -> Iterator[StoreServer]:
    """The Redis that jobs are imported from. Each test has a key prefix or a queue of its own."""
    with running_store("redis") as server:
        yield server


@pytest.fixture
def source_redis(source: StoreServer) -> Iterator[Redis]:
    """A client of the source."""
    with source.client() as client:
        yield client


@pytest.fixture(scope="session")
def caller() -> Iterator[Driver]:
    """A process that calls the original's library."""
    driver = original_driver("call")
    yield driver
    driver.end()


@pytest.fixture
def start_original(caller: Driver, source: StoreServer, prefix: str, tmp_path: Path) -> StartOriginal:
    """start_original(lease_ms=...): the original's library, whose keys have the test's prefix."""

    def start(lease_ms: int = LEASE_MS) -> Original:
        return Original(caller, source.port, prefix, tmp_path, lease_ms)

    return start


@pytest.fixture
def original(start_original: StartOriginal) -> Original:
    """The original's library, whose keys have the test's prefix."""
    return start_original()


@pytest.fixture
def client(server: SharqServer) -> Iterator[Client]:
    """A client of the server to import to."""
    with Client(server.url) as opened:
        yield opened
