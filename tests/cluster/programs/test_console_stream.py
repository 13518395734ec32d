"""A console's stream at the moment at which its token is revoked."""

from __future__ import annotations

import asyncio

import pytest

from router.access.token import Token
from router.api.cluster_shapes import ClusterInfo
from router.console.snapshots import Snapshots
from router.console.stream import StreamHandlers
from router.handlers.caps.reasons import CapReasons
from tests.support.nodes.parts import Parts


@pytest.mark.parametrize("queue_id", [None, "q"])
async def test_nothing_follows_if_the_token_is_revoked_while_the_stream_waits(
    parts: Parts, queue_id: str | None
) -> None:
    async def cluster_info() -> ClusterInfo:
        return ClusterInfo(version=1, partitions=64, members=[])

    rights = {"read"}
    reasons = CapReasons(parts.dispatch)
    snapshots = Snapshots(parts.dispatch, cluster_info, reasons)
    handlers = StreamHandlers(parts.dispatch, snapshots, lambda _: bool(rights), reasons)
    leave = snapshots.watch()
    try:
        events = handlers.events(Token("reader", b""), queue_id and "sms", queue_id)
        for _ in range(1 if queue_id is None else 2):
            assert await anext(events)
        following = asyncio.ensure_future(anext(events, None))
        await asyncio.sleep(0)
        rights.clear()
        assert await asyncio.wait_for(following, 30) is None
    finally:
        leave()
