"""Runs Redis Clusters of real servers, with or without user and TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sharq_core.config import StoreMode
from sharq_core.store.topology.layout import SLOTS
from tests.support.ports import free_port
from tests.support.stores.groups import (
    NODE_TIMEOUT_MS,
    OPEN,
    Member,
    Security,
    all_running,
    made,
    replica_arguments,
    short_folder,
)
from tests.support.stores.slots import Slots
from tests.support.waits import wait_until


class RedisCluster:
    """Three primaries, each with its replicas.

    Args:
        replicas: how many each has.

    Attributes:
        address: where a node finds it.
        servers: the first three are the first primaries.
        slots: who holds which; they may be moved while it runs.
    """

    def __init__(self, folder: Path, kind: str, security: Security, replicas: int) -> None:
        self._replicas = replicas
        tls = ["--tls-cluster", "yes"] if security.certificates else []
        self.servers = [
            Member(
                kind,
                made(folder / f"s{number}"),
                security,
                *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-require-full-coverage", "no"),
                *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
                *("--cluster-allow-replica-migration", "no"),
                *replica_arguments(security),
                *tls,
            )
            for number in range(3 * (1 + replicas))
        ]
        ports = [server.port for server in self.servers[:2]]
        self.address = security.place(StoreMode.CLUSTER, *ports)
        self.slots = Slots(self.servers)

    def join(self) -> None:
        """Make one Cluster of the running servers."""
        primaries, replicas = self.servers[:3], self.servers[3:]
        bounds = [SLOTS * number // 3 for number in range(4)]
        for number, server in enumerate(self.servers):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, server in enumerate(primaries):
            server.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for server in self.servers[1:]:
            bus = int(server._arguments[server._arguments.index("--cluster-port") + 1])
            self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        for server in self.servers:
            wait_until(partial(_knows, server, len(self.servers)))
        for primary, replica in zip(primaries * self._replicas, replicas, strict=True):
            name = self.slots.node_id(primary)
            wait_until(partial(_has_heard_of, replica, name))
            replica.ask("CLUSTER", "REPLICATE", name)
        for server in self.servers:
            wait_until(partial(self._is_whole_at, server))
        for primary in primaries:
            wait_until(partial(self._has_replicas, primary))

    def is_whole(self) -> bool:
        """Return True if all nodes see all slots served, each by a primary whose replicas are in step."""
        primaries = [server for server in self.servers if b"role:master" in server.ask("INFO", "replication")]
        return all(map(self._is_whole_at, self.servers)) and all(map(self._has_replicas, primaries))

    def _has_replicas(self, primary: Member) -> bool:
        info: bytes = primary.ask("INFO", "replication")
        return info.count(b"state=online") == self._replicas

    def _is_whole_at(self, server: Member) -> bool:
        rows = server.ask("CLUSTER", "SLOTS")
        states = all(len(row) == 3 + self._replicas for row in rows)
        return _info(server)["cluster_state"] == "ok" and len(rows) == 3 and states


@contextmanager
def running_cluster(
    kind: str = "valkey", security: Security = OPEN, *, replicas: int = 1
) -> Iterator[RedisCluster]:
    """A Redis Cluster, gone at the end."""
    with short_folder() as folder:
        cluster = RedisCluster(folder, kind, security, replicas)
        with all_running(cluster.servers):
            cluster.join()
            yield cluster


def _knows(server: Member, count: int) -> bool:
    """Return True if a server has heard of this number of nodes, itself among them."""
    return int(_info(server)["cluster_known_nodes"]) == count


def _has_heard_of(server: Member, name: str) -> bool:
    return name.encode() in server.ask("CLUSTER", "NODES")


def _info(server: Member) -> dict[str, str]:
    lines = server.ask("CLUSTER", "INFO").decode().splitlines()
    return dict(line.split(":", 1) for line in lines)
