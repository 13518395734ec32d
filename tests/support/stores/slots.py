"""Reads and moves the slots of a running Redis Cluster, as its operators do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import redis

from tests.support.tools import missing_tool
from tests.support.waits import wait_until

HOST = "127.0.0.1"
DEADLINE_S = 60.0
MOVE_DEADLINE_S = 200.0
"""For redis-cli, which moves key by key."""


class Node(Protocol):
    """One server, by its port."""

    @property
    def port(self) -> int: ...

    def ask(self, *words: str | int | bytes) -> Any:
        """Send one command; its answer as it came."""


class NodeAt:
    """A server without user and TLS, which any launcher may have started."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.port = urlsplit(url).port or 6379

    def ask(self, *words: str | int | bytes) -> Any:
        """Send one command; its answer as it came."""
        with redis.Redis.from_url(self._url) as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)


NodeT = TypeVar("NodeT", bound=Node)


class Slots(Generic[NodeT]):
    """The slots as the servers see them, the first one unless another is named."""

    def __init__(self, nodes: Sequence[NodeT]) -> None:
        self._nodes = nodes

    def node_id(self, node: NodeT) -> str:
        """Return a server's name in the Cluster."""
        name: bytes = node.ask("CLUSTER", "MYID")
        return name.decode()

    def primaries(self) -> list[NodeT]:
        """Return the servers that hold slots."""
        ports = {primary[1] for _, _, primary, *_ in self._nodes[0].ask("CLUSTER", "SLOTS")}
        return [node for node in self._nodes if node.port in ports]

    def owner(self, slot: int, asked: NodeT | None = None) -> NodeT:
        """Return the primary that holds a slot."""
        rows = (asked or self._nodes[0]).ask("CLUSTER", "SLOTS")
        port = next(primary[1] for first, last, primary, *_ in rows if first <= slot <= last)
        return next(node for node in self._nodes if node.port == port)

    def first_of(self, node: NodeT) -> int:
        """Return the first slot that a primary holds."""
        rows = self._nodes[0].ask("CLUSTER", "SLOTS")
        return min(int(first) for first, _, primary, *_ in rows if primary[1] == node.port)

    def move_whole(self, first: int, last: int, target: NodeT) -> None:
        """Move slots of one primary as Valkey 9 does, all their keys at once; return when everyone knows."""
        source, name = self.owner(first), self.node_id(target)
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", name)
        self._wait_until_moved(last, target)

    def move_by_keys(self, slot: int, target: NodeT) -> None:
        """Move a slot key by key; return when everyone knows."""
        source, names = self.owner(slot), {node.port: self.node_id(node) for node in self._nodes}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])
        self._wait_until_moved(slot, target)

    def reshard(self, first: int, last: int, target: NodeT) -> None:
        """Move the first slots that a primary has as `redis-cli --cluster reshard` does; return when everyone knows."""
        if shutil.which("redis-cli") is None:
            missing_tool("redis-cli")
        source = self.owner(first)
        ends = ["--cluster-from", self.node_id(source), "--cluster-to", self.node_id(target)]
        command = ["redis-cli", "--cluster", "reshard", f"{HOST}:{source.port}", *ends]
        command += ["--cluster-slots", str(last - first + 1), "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOVE_DEADLINE_S)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        self._wait_until_moved(last, target)

    def _wait_until_moved(self, slot: int, target: NodeT) -> None:
        for node in self._nodes:
            wait_until(partial(self._is_owner, target, slot, node), DEADLINE_S, "the slots have moved")

    def _is_owner(self, target: NodeT, slot: int, asked: NodeT) -> bool:
        return self.owner(slot, asked) is target
