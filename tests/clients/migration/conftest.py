"""Provides deployments to import from, written by their own libraries on a real Redis, and a server to import to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from sharq_client import Client
from tests.support.foreign.processes import Original
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


@pytest.fixture
def start_original(source: StoreServer, prefix: str) -> Iterator[StartOriginal]:
    """start_original(lease_ms=...): the original's library, whose keys have the test's prefix."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory, ExitStack() as originals:

        def start(lease_ms: int = LEASE_MS) -> Original:
            original = Original(source.port, prefix, Path(directory), lease_ms)
            originals.callback(original.end)
            return original

        yield start


@pytest.fixture
def original(start_original: StartOriginal) -> Original:
    """The original's library, whose keys have the test's prefix."""
    return start_original()


@pytest.fixture
def client(server: SharqServer) -> Iterator[Client]:
    """A client of the server to import to."""
    with Client(server.url) as opened:
        yield opened
