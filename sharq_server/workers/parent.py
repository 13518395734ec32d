"""The parent of the workers: listens, runs the embedded store, starts the workers, and hands connections over to them.

This module is responsible for the order in which all starts and stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from socket import socket

from msgspec import structs
from prometheus_client import CollectorRegistry

from router.http.tokens import make_guard
from router.lifecycle import HttpServer
from sharq_core.config import StoreMode
from sharq_core.process.command_line import log_store
from sharq_core.process.exposure import warn_of_exposed_api
from sharq_core.process.sighup import on_reload
from sharq_core.process.sockets import addresses_of, bind_sockets
from sharq_core.process.stop import Stop
from sharq_core.store.embedded.memory_limit import default_limit_bytes
from sharq_core.store.embedded.orderly_end import end_in_order
from sharq_core.store.embedded.server import EmbeddedStore
from sharq_server.banner import show_banner
from sharq_server.cli import ServerOptions
from sharq_server.first_token import require_tokens
from sharq_server.store_care import StoreCut, look_after, report_original
from sharq_server.workers.connections import AcceptLoop
from sharq_server.workers.handle import WorkerHandle
from sharq_server.workers.link_sockets import is_private
from sharq_server.workers.orders import CutNews, Members, StoreDirectory, WorkerOrders
from sharq_server.workers.team import WorkerTeam

log = logging.getLogger("sharq.server")


class WorkersParent:
    """The parts of the parent. Each pushes its own end onto the stack as soon as it runs."""

    def __init__(self, command: ServerOptions, stack: AsyncExitStack, stop: Stop) -> None:
        self._command = command
        self._config = command.config
        self._stack = stack
        self._stop = stop
        self._store: EmbeddedStore | None = None
        self._cut: CutNews | None = None
        self._secret = secrets.token_hex(32)
        self._sockets: list[socket] = []
        self._links: Path
        self._team: WorkerTeam | None = None

    async def start(self) -> None:
        """Listen and say that the server is starting, start the store and the workers, then hand connections over."""
        stack, config = self._stack, self._config
        self._sockets = bind_sockets(config.server.host, config.server.port, option="--port")
        for bound in self._sockets:
            stack.callback(bound.close)
        if self._command.makes_token:
            config = self._config = require_tokens(config, self._command.data_dir)
        make_guard(config)  # a file of tokens that cannot be used is reported before anything else starts
        warn_of_exposed_api(self._sockets, config.auth)
        log_store(config)
        self._links = Path(tempfile.mkdtemp(prefix="sharq-workers-"))
        stack.callback(shutil.rmtree, self._links, ignore_errors=True)
        async with AsyncExitStack() as starting:
            if config.store.mode is StoreMode.EMBEDDED:
                await self._say_starting(starting)
                await self._start_store()
            team = self._team = WorkerTeam(config.server, self._orders)
            stack.push_async_callback(team.stop, self._stop)
            await team.start()
        accept_loop = AcceptLoop(self._sockets, team.channels)
        addresses = addresses_of(self._sockets)
        accept_loop.start()
        stack.callback(accept_loop.close)
        on_reload("the workers' files", self._reload_workers, stack)
        show_banner(addresses, config.server.workers)

    async def supervise(self) -> None:
        """Supervise the store and the workers. This does not return.

        Raises:
            EmbeddedStoreError: the embedded store cannot be kept running.
            ConfigError: the store turned out not to hold this server's data.
            WorkersFailed: a worker cannot be kept running.
        """
        assert self._team is not None
        await asyncio.gather(self._team.supervise(), self._look_after_store())

    def why_not_ready(self) -> str | None:
        """Return the reason for which no worker is ready; None if one is."""
        return "starting" if self._team is None else self._team.why_not_ready()

    async def _look_after_store(self) -> None:
        if self._store is not None:
            await look_after(self._store, self._tell_cut)
        elif self._config.store.mode is StoreMode.SERVER:
            await report_original(self._config)

    async def _say_starting(self, starting: AsyncExitStack) -> None:
        """Answer that the server is starting: reading the store's data may take minutes."""
        sockets = [bound.dup() for bound in self._sockets]
        await HttpServer(sockets, self._config, CollectorRegistry(), None, self._stop).open(starting)

    async def _start_store(self) -> None:
        config = self._config
        limit = config.embedded.max_memory_bytes or default_limit_bytes(servers=config.server.workers)
        self._store = await EmbeddedStore.start(self._command.data_dir, limit)
        self._stack.push_async_callback(end_in_order, self._store, self._stop)
        self._tell_cut(StoreCut(self._store))

    def _tell_cut(self, cut: StoreCut) -> None:
        """Tell the workers, those that are started later, too, which data the store's files had lost."""
        if not cut.text:
            return
        lost_bytes = cut.lost_bytes + (self._cut.lost_bytes if self._cut else 0)
        self._cut = CutNews(lost_bytes, cut.text)
        if self._team is not None:
            self._team.tell(CutNews(cut.lost_bytes, cut.text))

    def _reload_workers(self) -> Sequence[str]:
        """Let all workers read their files again."""
        assert self._team is not None
        self._team.send(signal.SIGHUP)
        return ()

    def _orders(self, worker: WorkerHandle, members: Members) -> WorkerOrders:
        self._keep_links()
        store, command = self._store, self._command
        return WorkerOrders(
            number=worker.number,
            workers=self._config.server.workers,
            restarts=worker.restarts.count,
            hangs=worker.hangs,
            config=structs.replace(self._config, notices=()),
            config_file=command.config_file,
            options=dict(command.settings),
            store_url=None if store is None else store.url,
            directory=None if store is None else StoreDirectory(store.data_dir, store.lock),
            members=members,
            parent=os.getpid(),
            umask=_umask(),
            cut=self._cut,
            addresses=tuple(addresses_of(self._sockets)),
            links=self._links,
            secret=self._secret,
        )

    def _keep_links(self) -> None:
        """Make the directory of the sockets again if something removed it, as programs that clean /tmp do.

        The workers that run put their sockets back once they hear of the worker that starts now.
        """
        if is_private(self._links):
            return
        try:
            self._links.mkdir(mode=0o700)
        except FileExistsError:
            self._leave_foreign_links()
        else:
            log.error(
                "worker_sockets_gone directory=%s: it was removed under the running server", self._links
            )

    def _leave_foreign_links(self) -> None:
        """Go on with another directory: someone else has made one of the old name, who could read what is sent."""
        foreign, self._links = self._links, Path(tempfile.mkdtemp(prefix="sharq-workers-"))
        self._stack.callback(shutil.rmtree, self._links, ignore_errors=True)
        log.critical(
            "worker_sockets_taken directory=%s: it was removed under the running server, and someone else made it "
            "again; workers that start now do not reach the others, so that their waiting dequeues may hear of jobs "
            "late: restart the server when you can",
            foreign,
        )


def _umask() -> int:
    """Return the mode bits that new files do not get. The system tells them only in exchange for others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
