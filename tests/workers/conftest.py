"""Provides a server with two workers for the tests that end none of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.processes.servers import PATIENT, SharqServer, running_server


@pytest.fixture(scope="package")
def server() -> Iterator[SharqServer]:
    """A server with default settings and two workers. A module whose tests need one of their own says so."""
    with running_server("--workers", "2", environ=PATIENT) as running:
        yield running
