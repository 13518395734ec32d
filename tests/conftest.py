"""Provides stores for tests: a shared one of each kind with a key prefix for each test, or a private one."""

from __future__ import annotations

import gc
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.alone import pytest_runtest_protocol  # noqa: F401
from tests.support.first_import import pytest_collection  # noqa: F401
from tests.support.order import pytest_collection_modifyitems  # noqa: F401
from tests.support.stopwatch import Stopwatch, running_stopwatch
from tests.support.stores.server import KINDS, StoreFactory, StoreServer, running_store

# How long an example takes depends on what else the machine does.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")


def pytest_configure() -> None:
    """Let children react to Ctrl-C and to hangups even if the tests run in the background, or under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # children do not inherit a handler, as they do SIG_IGN


def pytest_collection_finish() -> None:
    """Take what is there before the first test out of the later collections, which then take a few milliseconds."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what a test has left behind, so that an open connection fails that very test.

    Otherwise it would be collected in the course of another test, and fail that one. What is still in use belongs to
    wider fixtures. It is taken out of the later collections, each of which takes a millisecond then instead of ten.
    """
    yield
    if request.node.funcargs is not None:  # it is None after an interruption
        request.node.funcargs.clear()  # pytest would keep the test's fixtures until after its end
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=KINDS)
def store(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    """A shared store of each kind, one a test process: use it with `prefix`; never flush or stop it."""
    with running_store(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def store_url(store: StoreServer) -> str:
    """The shared store's redis:// address."""
    return store.url


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def stopwatch() -> Iterator[Stopwatch]:
    """Holds times against the product's promises, whatever else the machine does."""
    with running_stopwatch() as started:
        yield started


@pytest.fixture
def own_store() -> Iterator[StoreFactory]:
    """Starts private servers that the test may pause, kill, fill and start again; all end with the test."""
    with ExitStack() as servers:

        def start(*arguments: str, kind: str = "valkey") -> StoreServer:
            return servers.enter_context(running_store(kind, *arguments))

        yield start


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MiB."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a file system of its own can be mounted by root only")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)
