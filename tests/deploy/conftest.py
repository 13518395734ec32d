"""One run of the compose file's layout serves all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.layout import Layout, running_layout


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """HAProxy, two routers, three shards, a Redis Cluster of six, and Prometheus."""
    with running_layout() as layout:
        yield layout
