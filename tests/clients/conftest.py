"""Provides a running sharq-server, as the tests of the HTTP surface have it, and clients of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sharq_client import Client
from tests.api.conftest import http, kind, own_server, serve, server, start, store
from tests.clients.both import OPENERS, OpenClient
from tests.support.processes.servers import SharqServer

__all__ = ["http", "kind", "own_server", "serve", "server", "start", "store"]


@pytest.fixture(params=list(OPENERS))
def open_client(request: pytest.FixtureRequest) -> OpenClient:
    """The async client, and the sync client behind its interface: a test that opens clients with it runs twice."""
    return OPENERS[request.param]


@pytest.fixture
def client(server: SharqServer) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(server.url) as opened:
        yield opened
