"""A node in the test's own process, and the end of a router that is linked to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shard.node import NodeSettings
from tests.support.nodes.links import Router, router_end, shard_end
from tests.support.nodes.parts import Parts, running_node


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store_url, NodeSettings(key_prefix=prefix)) as running:
        yield running


@pytest.fixture
async def router(parts: Parts) -> AsyncIterator[Router]:
    """A router's end that is linked to the node."""
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        yield end
