"""Runs `sharq-cluster`: starts stores, shards and routers in order, reports deaths, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from socket import socket

import aiohttp
from redis.exceptions import RedisError

from sharq_core.logs.plurals import counted
from sharq_core.logs.standard_files import announce
from sharq_core.process.event_loop import run_program
from sharq_core.process.sighup import on_reload
from sharq_core.process.sockets import ListenError
from sharq_core.process.stop import Stop, serve_until_stopped
from sharq_core.store.embedded.data_dir import DataDirError, lock_data_dir
from sharq_core.store.embedded.orderly_end import write_out
from sharq_core.version import __version__
from sharq_server.local_cluster.child import Child, Crew, Program, StartError
from sharq_server.local_cluster.cli import ClusterOptions, read_command
from sharq_server.local_cluster.ports import close_all, free_ports, listen_on
from sharq_server.local_cluster.redis_cluster import make_cluster
from sharq_server.local_cluster.services import Services, service_environ
from sharq_server.local_cluster.state_file import write_state, write_targets
from sharq_server.local_cluster.stores import (
    CLUSTER,
    LocalStore,
    local_stores,
    port_count,
    refuse_other_kind,
    store_environ,
    store_programs,
)

log = logging.getLogger("sharq.cluster")

_STORE_READY_S = 300.0
"""The time for a store to become ready. It may have to read a long file."""
_SERVICE_READY_S = 60.0

_ROUTER_STOP_S = 3.5
_SHARD_STOP_S = 3.0
_STORE_STOP_S = 2.5
"""The times of the three stops, together under 10 s."""
_STOP_S = 10.0

_RESERVE_EVERY_S = 10.0
"""The time in seconds between two looks at the disk space that is reserved for the stop."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sharq-cluster` until SIGTERM or SIGINT.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        0 after a requested stop, 1 if it cannot start, 2 if the arguments or the configuration are wrong.
    """

    def work() -> Coroutine[None, None, int]:
        return serve_until_stopped(partial(_Cluster, read_command(argv)), _STOP_S)

    return run_program("sharq-cluster", work, DataDirError, ListenError, OSError, RedisError, StartError)


class _Cluster:
    """The processes of the cluster. The end of each is on the stack before it starts."""

    def __init__(self, command: ClusterOptions, stack: AsyncExitStack, stop: Stop) -> None:
        self._command = command
        self._stop = stop
        self._stack = stack
        self._lock: int
        self._children: list[Child] = []
        self._services: list[Child] = []
        self._router_sockets: list[list[socket]] = []

    async def start(self) -> None:
        """Start the stores, then shards and routers, and announce when all are ready.

        Raises:
            ConfigError, DataDirError, ListenError, OSError, RedisError, StartError: the cluster cannot start.
        """
        command = self._command
        self._lock = await lock_data_dir(command.data_dir)
        self._stack.callback(os.close, self._lock)
        refuse_other_kind(command.store, command.data_dir)
        self._router_sockets = listen_on(command.router_ports)
        for sockets in self._router_sockets:
            self._stack.callback(close_all, sockets)
        # Not earlier: a cluster that cannot start must not remove the files of the one that runs.
        for path in filter(None, (command.state_file, command.targets_file)):
            path.unlink(missing_ok=True)
        ports = free_ports(port_count(command.store) + command.shards, command.router_ports)
        shard_ports, store_ports = ports[: command.shards], ports[command.shards :]
        await self._start_stores(store_ports)
        await self._start_services(store_ports, shard_ports)
        on_reload("each router and shard (see their logs)", self._reload_services, self._stack)
        self._say_ready()

    async def supervise(self) -> None:
        """Log the death of each child. This does not return."""
        await asyncio.gather(*map(_tell_of_death, self._children), asyncio.Event().wait())

    def why_not_ready(self) -> str | None:
        """Return None: `start` has waited until every process was ready, and a death changes nothing here."""
        return None

    def _reload_services(self) -> Sequence[str]:
        for child in self._services:
            child.send(signal.SIGHUP)
        return ()

    async def _start_stores(self, ports: Sequence[int]) -> None:
        command = self._command
        crew = self._crew(store_programs(command.store, command.data_dir, ports), _STORE_STOP_S)
        await crew.start()
        await crew.until_ready(_STORE_READY_S)
        stores = local_stores(command.store, command.data_dir, ports)
        self._stack.push_async_callback(write_out, stores, self._stop)
        self._stack.callback(asyncio.create_task(_keep_reserves(stores)).cancel)
        if command.store == CLUSTER:
            half = len(ports) // 2
            await make_cluster(ports[:half], ports[half:])

    async def _start_services(self, store_ports: Sequence[int], shard_ports: Sequence[int]) -> None:
        command = self._command
        environ = service_environ(store_environ(command.store, store_ports), secrets.token_urlsafe(32))
        async with aiohttp.ClientSession() as session:
            services = Services(session, environ, command.config)
            shards = self._crew(services.shards(shard_ports), _SHARD_STOP_S)
            descriptors = [tuple(bound.fileno() for bound in sockets) for sockets in self._router_sockets]
            programs = services.routers(command.router_ports, descriptors, shard_ports)
            routers = self._crew(programs, _ROUTER_STOP_S)
            self._services = [*shards.children, *routers.children]
            await shards.start()
            await routers.start()
            for sockets in self._router_sockets:
                close_all(sockets)
            await shards.until_ready(_SERVICE_READY_S)
            await routers.until_ready(_SERVICE_READY_S)

    def _crew(self, programs: Sequence[Program], stop_s: float) -> Crew:
        """Return children that do not run yet. They will be stopped before those of earlier crews."""
        logs = self._command.data_dir / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        crew = Crew([Child(program, logs, self._lock) for program in programs])
        self._children = [*crew.children, *self._children]
        self._stack.push_async_callback(_stop, crew, stop_s)
        return crew

    def _say_ready(self) -> None:
        command = self._command
        states = {child.program.name: child.state for child in self._children}
        if command.targets_file is not None:
            self._stack.callback(command.targets_file.unlink, missing_ok=True)
            write_targets(command.targets_file, command.data_dir.name, states)
        if command.state_file is not None:
            self._stack.callback(command.state_file.unlink, missing_ok=True)
            write_state(command.state_file, list(states.values()))
        urls = " ".join(state.url for state in states.values() if state.role == "router")
        about = f"{counted(command.shards, 'shard')}, store {command.store}, data in {command.data_dir}"
        announce(f"sharq-cluster {__version__} is ready: {urls} ({about})\n")


async def _keep_reserves(stores: Sequence[LocalStore]) -> None:
    """Keep the disk space that is reserved for the stop; never return."""
    while True:
        for store in stores:
            await asyncio.to_thread(store.keep_reserve)
        await asyncio.sleep(_RESERVE_EVERY_S)


async def _tell_of_death(child: Child) -> None:
    report = await child.until_dead()
    if report is not None:
        log.error("process_died it is not restarted, the others go on: %s", report)


async def _stop(crew: Crew, timeout_s: float) -> None:
    for name in await crew.stop(timeout_s):
        log.error("process_killed name=%s reason=did_not_stop_in_%.1fs", name, timeout_s)


if __name__ == "__main__":
    sys.exit(main())
