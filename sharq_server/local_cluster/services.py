"""Makes the command lines of shards and routers, and checks their readiness."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from sharq_server.local_cluster.child import Program
from sharq_server.local_cluster.ports import HOST

_READY_TIMEOUT_S = 2.0

SHUTDOWN_TIMEOUT_MS = 3000
"""The time for a router's stop, whatever is configured: the whole cluster must stop in 10 s. The router serves on for
half of it.
"""

_OURS = frozenset(
    {
        "SHARQ_CLUSTER_SECRET_FILE",
        "SHARQ_SHARQ_SERVER_SHUTDOWN_TIMEOUT",
    }
)
"""Alternative names of the variables that are set here. The configuration refuses both names together."""


def service_environ(store: Mapping[str, str], secret: str) -> dict[str, str]:
    """Return the environment of shards and routers: this process's own, the store's address and this run's secret.

    Args:
        store: the variables that name the store.
    """
    inherited = {name: text for name, text in os.environ.items() if name not in _OURS}
    ours = {"SHARQ_CLUSTER_SECRET": secret, "SHARQ_SERVER_SHUTDOWN_TIMEOUT": str(SHUTDOWN_TIMEOUT_MS)}
    return {**inherited, **store, **ours}


class Services:
    """The programs of the shards and routers of one cluster.

    Args:
        environ: the environment of each.
        config: the configuration file; None for none.
    """

    def __init__(self, session: aiohttp.ClientSession, environ: dict[str, str], config: Path | None) -> None:
        self._session = session
        self._environ = environ
        self._config = [] if config is None else ["--config", str(config)]

    def shards(self, ports: Sequence[int]) -> list[Program]:
        """Return the programs shard-1, shard-2, ... on these ports."""
        return [
            self._program("shard", number, port, "shard.main", "--node-id", f"shard-{number}")
            for number, port in enumerate(ports, 1)
        ]

    def routers(
        self, ports: Sequence[int], sockets: Sequence[tuple[int, ...]], shard_ports: Sequence[int]
    ) -> list[Program]:
        """Return the programs router-1, router-2, ... on these ports, with all shards as seeds.

        Args:
            sockets: for each port, the descriptors of the sockets that listen there.
        """
        shards = ",".join(f"{HOST}:{port}" for port in shard_ports)
        return [
            self._program("router", number, port, "router.main", "--shards", shards, sockets=descriptors)
            for number, (port, descriptors) in enumerate(zip(ports, sockets, strict=True), 1)
        ]

    def _program(
        self, role: str, number: int, port: int, module: str, *arguments: str, sockets: tuple[int, ...] = ()
    ) -> Program:
        """Return a program. -P keeps it from importing a module of the same name from the working directory."""
        url = f"http://{HOST}:{port}"
        command = (
            sys.executable,
            "-P",
            "-m",
            module,
            *self._config,
            *arguments,
            "--listen",
            f"{HOST}:{port}",
            *(word for descriptor in sockets for word in ("--listen-fd", str(descriptor))),
        )
        return Program(
            role=role,
            name=f"{role}-{number}",
            url=url,
            command=command,
            environ=self._environ,
            sockets=sockets,
            is_ready=partial(_is_ready, self._session, url),
        )


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(_READY_TIMEOUT_S)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
