"""The command lines of shards and routers, and how one asks them whether they are ready."""

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
"""What a router has for its stop, whatever is configured: all must be over in 10 s. For half of it it serves on."""

_OURS = frozenset(
    {
        "SHARQ_CLUSTER_SECRET_FILE",
        "SHARQ_SHARQ_SERVER_SHUTDOWN_TIMEOUT",
    }
)
"""Other names of what is set here; both of a pair are refused."""


def service_environ(store: Mapping[str, str], secret: str) -> dict[str, str]:
    """The environment of shards and routers: ours, the store's address, and the secret of this run.

    Args:
        store: variables that name the store.
    """
    inherited = {name: text for name, text in os.environ.items() if name not in _OURS}
    ours = {"SHARQ_CLUSTER_SECRET": secret, "SHARQ_SERVER_SHUTDOWN_TIMEOUT": str(SHUTDOWN_TIMEOUT_MS)}
    return {**inherited, **store, **ours}


class Services:
    """Makes the programs of one cluster.

    Args:
        environ: of each.
        config: None for no file.
    """

    def __init__(self, session: aiohttp.ClientSession, environ: dict[str, str], config: Path | None) -> None:
        self._session = session
        self._environ = environ
        self._config = [] if config is None else ["--config", str(config)]

    def shards(self, ports: Sequence[int]) -> list[Program]:
        """shard-1, shard-2, ... on these ports."""
        return [
            self._program("shard", number, port, "shard.main", "--node-id", f"shard-{number}")
            for number, port in enumerate(ports, 1)
        ]

    def routers(
        self, ports: Sequence[int], sockets: Sequence[tuple[int, ...]], shard_ports: Sequence[int]
    ) -> list[Program]:
        """router-1, router-2, ... on these ports, told of all shards.

        Args:
            sockets: for each port the descriptors of the sockets that listen there.
        """
        shards = ",".join(f"{HOST}:{port}" for port in shard_ports)
        return [
            self._program("router", number, port, "router.main", "--shards", shards, sockets=descriptors)
            for number, (port, descriptors) in enumerate(zip(ports, sockets, strict=True), 1)
        ]

    def _program(
        self, role: str, number: int, port: int, module: str, *arguments: str, sockets: tuple[int, ...] = ()
    ) -> Program:
        """-P: a module of this name in the working directory is not ours."""
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
