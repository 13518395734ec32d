"""How many connections a node keeps to a server."""

from __future__ import annotations

import asyncio

from sharq_core.scheduler.executor import function_library
from sharq_core.store.node import CONNECTIONS, StoreNode
from tests.cluster.nodes import until
from tests.conftest import StoreFactory

PING = [[b"PING"]]
TIMEOUT_S = 10.0


async def test_connections_that_nobody_used_for_a_while_are_closed_and_those_in_use_are_kept(
    own_store: StoreFactory,
) -> None:
    server = own_store()
    node = StoreNode(server.url, function_library(), timeout_s=TIMEOUT_S)
    with server.client() as client:

        def connected() -> int:
            return len(client.client_list()) - 1

        try:
            await asyncio.gather(*(node.execute(PING) for _ in range(10 * CONNECTIONS)))
            assert connected() == CONNECTIONS
            await node.tidy()
            assert connected() == CONNECTIONS, "all were used since"
            await asyncio.gather(node.execute(PING), node.execute(PING))
            await node.tidy()
            await until(lambda: connected() == 2)
            opened = node.connects
            await asyncio.gather(*(node.execute(PING) for _ in range(10 * CONNECTIONS)))
            assert node.connects == opened + CONNECTIONS - 2
        finally:
            await node.close()
