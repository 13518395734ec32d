"""Stores with the function library loaded, a driver for each test, and the profiles of the state machines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings

from sharq_core.scheduler import library
from tests.scheduler.drivers.capped import CappedDriver
from tests.scheduler.drivers.driver import Driver
from tests.scheduler.drivers.jobs import JobDriver
from tests.scheduler.drivers.types import TypeDriver
from tests.scheduler.drivers.windows import WindowDriver
from tests.support.extent import is_full
from tests.support.stores.server import KINDS, StoreServer, running_store

_PROFILE = settings(
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
settings.register_profile("quick", _PROFILE, max_examples=120 if is_full() else 15, stateful_step_count=50)
settings.register_profile("thorough", _PROFILE, max_examples=1500, stateful_step_count=80)


@pytest.fixture(scope="session")
def shared_client(store: StoreServer) -> Iterator[redis.Redis]:
    """A client of each shared store, with the library loaded."""
    with store.client(timeout_s=20.0) as connected:
        connected.function_load(library.source(), replace=True)
        yield connected


@pytest.fixture
def client(shared_client: redis.Redis) -> Iterator[redis.Redis]:
    """The same; what a test leaves is removed, because each look at the store's keys would have to pass it."""
    yield shared_client
    shared_client.flushdb()


@pytest.fixture(scope="module", params=KINDS)
def lone_client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """The same of a server that nobody else uses, so that what it does can be counted."""
    with running_store(request.param) as server, server.client(timeout_s=20.0) as connected:
        connected.function_load(library.source())
        yield connected


@pytest.fixture
def driver(client: redis.Redis, prefix: str) -> Driver:
    """An empty deployment of one partition."""
    return Driver(client, prefix)


@pytest.fixture
def lone_driver(lone_client: redis.Redis, prefix: str) -> Driver:
    """The same on a server that nobody else uses."""
    return Driver(lone_client, prefix)


@pytest.fixture
def sms(client: redis.Redis, prefix: str) -> TypeDriver:
    """An empty gathered type."""
    return TypeDriver(client, prefix)


@pytest.fixture
def jobs(client: redis.Redis, prefix: str) -> JobDriver:
    """An empty deployment of one partition, for calls about single jobs."""
    return JobDriver(client, prefix)


@pytest.fixture
def windows(client: redis.Redis, prefix: str) -> WindowDriver:
    """An empty deployment of one partition, for calls about windows."""
    return WindowDriver(client, prefix)


@pytest.fixture
def gathered(client: redis.Redis, prefix: str) -> WindowDriver:
    """The same of a gathered type."""
    return WindowDriver(client, prefix, queue_type="sms~a")


@pytest.fixture
def caps(client: redis.Redis, prefix: str) -> CappedDriver:
    """An empty deployment of one partition, for queues with caps."""
    return CappedDriver(client, prefix)


@pytest.fixture
def lone_capped(lone_client: redis.Redis, prefix: str) -> CappedDriver:
    """The same on a server that nobody else uses."""
    return CappedDriver(lone_client, prefix)
