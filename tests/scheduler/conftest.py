"""Stores with the function library loaded, and a driver for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from sharq_core.scheduler import library
from tests.scheduler.driver import Driver
from tests.stores import StoreServer


@pytest.fixture(scope="session")
def client(store: StoreServer) -> Iterator[redis.Redis]:
    """A client of each shared store, with the library loaded."""
    with store.client(timeout_s=20.0) as connected:
        connected.function_load(library.source(), replace=True)
        yield connected


@pytest.fixture
def driver(client: redis.Redis, prefix: str) -> Driver:
    """An empty deployment of one partition."""
    return Driver(client, prefix)
