"""Forms a Redis Cluster from six running servers, and forms it again after they restart on other ports.

Each server keeps its role and its slots in its own directory. Every step is therefore done only if it is still missing,
and the same steps serve a first start, a later start, and a start after an interrupted one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from redis.asyncio import Redis

from sharq_core.store.topology.layout import SLOTS
from sharq_server.local_cluster.child import StartError
from sharq_server.local_cluster.ports import HOST
from sharq_server.local_cluster.stores import CLUSTER_SIZE, client_of

_PRIMARIES = CLUSTER_SIZE // 2
_TIMEOUT_S = 30.0
_LOOK_AGAIN_S = 0.1


async def make_cluster(ports: Sequence[int], bus_ports: Sequence[int]) -> None:
    """Form the cluster. Return when every server sees all slots served and every replica is in sync.

    Args:
        ports: the ports of the servers, always in the same order of servers.
        bus_ports: their cluster bus ports.

    Raises:
        StartError: a step took longer than 30 s.
        redis.exceptions.RedisError: a server refused a command, or died.
    """
    async with AsyncExitStack() as stack:
        nodes = [
            _Node(await stack.enter_async_context(client_of(port)), port, bus_port)
            for port, bus_port in zip(ports, bus_ports, strict=True)
        ]
        for number, node in enumerate(nodes):
            await _prepare(node, number)
        await _introduce(nodes)
        await _until("know each other", nodes, lambda node: node.knows(ports))
        await _give_replicas(nodes)
        await _until("serve all slots", nodes, _Node.is_whole)


class _Node:
    """One server of the cluster."""

    def __init__(self, client: Redis, port: int, bus_port: int) -> None:
        self._client = client
        self.port = port
        self.bus_port = bus_port

    async def ask(self, *command: str | int) -> Any:
        """Send one command and return its reply."""
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def info(self) -> dict[str, str]:
        """Return the fields of CLUSTER INFO."""
        lines = (await self.ask("CLUSTER", "INFO")).decode().splitlines()
        return dict(line.split(":", 1) for line in lines)

    async def rows(self) -> list[list[str]]:
        """Return the rows of CLUSTER NODES: id, address, flags, primary, ping, pong, epoch, link, slots ..."""
        return [line.split() for line in (await self.ask("CLUSTER", "NODES")).decode().splitlines()]

    async def knows(self, ports: Sequence[int]) -> bool:
        """Return True if it knows every server by its current port."""
        rows = await self.rows()
        known_ports = {int(row[1].partition("@")[0].rpartition(":")[2]) for row in rows}
        return known_ports == set(ports) and not any("handshake" in row[2] for row in rows)

    async def is_whole(self) -> bool:
        """Return True if it sees every slot served and, if it is a replica, is in sync with its primary."""
        info, replication = await self.info(), (await self.ask("INFO", "replication"))
        has_data = replication["role"] == "master" or replication["master_link_status"] == "up"
        return has_data and info["cluster_state"] == "ok" and info["cluster_slots_assigned"] == str(SLOTS)


async def _prepare(node: _Node, number: int) -> None:
    """Give a new server an epoch of its own, and each of the first three servers a third of the slots."""
    info = await node.info()
    if info["cluster_known_nodes"] != "1":
        return
    if info["cluster_current_epoch"] == "0":
        await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    if number < _PRIMARIES and info["cluster_slots_assigned"] == "0":
        first, end = SLOTS * number // _PRIMARIES, SLOTS * (number + 1) // _PRIMARIES
        await node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)


async def _introduce(nodes: Sequence[_Node]) -> None:
    """Introduce each pair of servers, because those that met before look for each other on their old ports."""
    for number, node in enumerate(nodes):
        for other in nodes[number + 1 :]:
            await node.ask("CLUSTER", "MEET", HOST, other.port, other.bus_port)


async def _give_replicas(nodes: Sequence[_Node]) -> None:
    """Make each primary without slots a replica of the primary with the fewest replicas."""
    rows = await nodes[0].rows()
    replicas = Counter({row[0]: 0 for row in rows if len(row) > 8})
    replicas.update(row[3] for row in rows if "slave" in row[2])
    for node in nodes:
        me = next(row for row in await node.rows() if "myself" in row[2])
        if "master" in me[2] and len(me) <= 8:
            primary = min(replicas, key=replicas.__getitem__)
            await node.ask("CLUSTER", "REPLICATE", primary)
            replicas[primary] += 1


async def _until(step: str, nodes: Sequence[_Node], is_true: Callable[[_Node], Awaitable[bool]]) -> None:
    """Wait until a condition is true for every node."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _TIMEOUT_S
    for node in nodes:
        while not await is_true(node):
            if loop.time() > give_up_at:
                raise StartError(f"the stores did not {step} in {_TIMEOUT_S:.0f} s; see their logs")
            await asyncio.sleep(_LOOK_AGAIN_S)
