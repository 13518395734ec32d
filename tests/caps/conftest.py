"""Stores with the function library loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from sharq_core.scheduler import library
from tests.support.stores.server import StoreServer


@pytest.fixture(scope="session")
def shared_client(store: StoreServer) -> Iterator[redis.Redis]:
    """A client of each shared store, with the library loaded."""
    with store.client(timeout_s=20.0) as connected:
        connected.function_load(library.source(), replace=True)
        yield connected


@pytest.fixture
def client(shared_client: redis.Redis) -> Iterator[redis.Redis]:
    """The same; what a test leaves is removed."""
    yield shared_client
    shared_client.flushdb()
