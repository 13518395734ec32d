"""Provides a running sharq-server that a process's tests share: each test uses types of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.support.http.fronted import Serve, serving
from tests.support.http.roles import Roles, running_roles
from tests.support.processes.commands import Server, StartServer
from tests.support.processes.servers import PATIENT, ServerFactory, SharqServer, running_server
from tests.support.stores.server import StoreServer, running_store


@pytest.fixture(scope="session", params=["valkey"])
def store(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    """A shared Valkey: what HTTP adds is the same on every store. A module that is run on each says so itself."""
    with running_store(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def server(store: StoreServer) -> Iterator[SharqServer]:
    """A server with default settings on the shared store, for which it waits longer: no test is about that time."""
    prefix = f"api-{uuid.uuid4().hex[:12]}"
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT}
    with running_server(environ=environ) as running:
        yield running


@pytest.fixture(scope="session")
def roles() -> Iterator[Roles]:
    """A server whose tokens have words. A test that changes the file writes it back."""
    with running_roles() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[ServerFactory]:
    """Starts private servers; all end with the test."""
    with ExitStack() as servers:

        def start(*arguments: str, environ: dict[str, str] | None = None) -> SharqServer:
            return servers.enter_context(running_server(*arguments, environ=environ))

        yield start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client; a test that hangs is ended by its total timeout."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as session:
        yield session


@pytest.fixture
def kind() -> str:
    """A queue type of this test alone."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers in one directory on free ports; what still runs at the end is killed."""
    servers: list[Server] = []

    def start_server(*arguments: str, **environ: str) -> Server:
        directory = tmp_path / str(len(servers))
        directory.mkdir()
        data_dir = [] if "--data-dir" in arguments else ["--data-dir", str(tmp_path / "data")]
        port = [] if "--port" in arguments else ["--port", "0"]
        servers.append(Server(directory, *arguments, *data_dir, *port, **environ))
        return servers[-1]

    yield start_server
    for server in servers:
        server.end()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """serve(handle): a gateway before one handler, on a free port."""
    async with serving() as start:
        yield start
