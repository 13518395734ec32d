"""Runs `sharq-server`: router and shard in one process, with an embedded store or the server that [redis] names.

This module is responsible for the start and stop order.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET
from prometheus_client import CollectorRegistry

from router.api.cluster_shapes import ClusterInfo, MemberInfo, StoreView
from router.app import make_gateway
from router.audit.audit_log import open_audit_file
from router.http.access_log import AccessLog, open_access_log
from router.http.gate import Gate, make_gate
from router.http.tokens import Guard, make_guard
from router.lifecycle import HttpServer, drain_at_end, router_settings
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.traced_gateway import TracedGateway
from shard.data_identity.acceptance import NotAccepted, accept_data_loss
from shard.data_identity.memory import DirectoryMemory
from shard.node import ShardNode
from shard.node_start import open_node
from shard.store_factory import make_configured_store
from shard.traced_node import traced
from sharq_core.config import Config, StoreMode, parse_url
from sharq_core.logs.line_queue import LineQueue
from sharq_core.process.certificates.files import api_certificates, store_certificates
from sharq_core.process.certificates.watch import watch_certificates
from sharq_core.process.command_line import log_store
from sharq_core.process.event_loop import run_program
from sharq_core.process.exposure import warn_of_exposed_api, warn_of_readable_secrets
from sharq_core.process.file_reload import follow_files
from sharq_core.process.metrics import measure_process
from sharq_core.process.sockets import ListenError, addresses_of, bind_sockets
from sharq_core.process.stop import Stop, serve_until_stopped
from sharq_core.store.embedded.data_dir import DataDirError, read_data_id, write_data_id
from sharq_core.store.embedded.orderly_end import end_in_order
from sharq_core.store.embedded.repair import NotRepaired
from sharq_core.store.embedded.server import EmbeddedStore, EmbeddedStoreError, url_of_running
from sharq_core.store.settings_audit import Inspector
from sharq_core.store.store import Store
from sharq_core.telemetry.setup import start_traces
from sharq_server.banner import show_banner
from sharq_server.cli import ServerOptions, read_command
from sharq_server.first_token import require_tokens
from sharq_server.repair import run_repair
from sharq_server.store_care import StoreCut, look_after, report_original
from sharq_server.workers.parent import WorkersParent
from sharq_server.workers.team import WorkersFailed

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import Spans


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sharq-server` until SIGTERM or SIGINT.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        0 after a requested stop, 1 if it cannot start or go on, 2 if the configuration is wrong.
    """

    def work() -> Coroutine[None, None, int]:
        command = read_command(argv)
        if command.accepts_data_loss:
            return _accept(command)
        if command.repairs:
            return run_repair(command)
        timeout_s = command.config.server.shutdown_timeout_ms / 1000
        if command.config.server.workers > 1:
            return serve_until_stopped(partial(WorkersParent, command), timeout_s)
        access_log, audit_file = open_access_log(command.config), open_audit_file(command.config)
        return serve_until_stopped(partial(_Server, command, access_log, audit_file), timeout_s)

    failures = (DataDirError, EmbeddedStoreError, ListenError, NotAccepted, NotRepaired, WorkersFailed)
    return run_program("sharq-server", work, *failures)


class _Server:
    """The parts of the process. Each pushes its own end onto the stack as soon as it runs."""

    def __init__(
        self,
        command: ServerOptions,
        access_log: AccessLog | None,
        audit_file: LineQueue | None,
        stack: AsyncExitStack,
        stop: Stop,
    ) -> None:
        self._config = command.config
        self._data_dir = command.data_dir
        self._makes_token = command.makes_token
        self._access_log = access_log
        self._audit_file = audit_file
        self._stack = stack
        self._stop = stop
        self._registry = CollectorRegistry()
        self._store: EmbeddedStore | None = None
        self._node: ShardNode | None = None
        self._guard: Guard | None = None
        self._spans: Spans | None = None
        self._readiness = Readiness("starting")

    async def start(self) -> None:
        """Listen and report that the server is starting, start the store and the node, then serve."""
        self._spans = start_traces(self._config.telemetry.traces, "sharq-server", self._stack, self._stop)
        sockets = bind_sockets(self._config.server.host, self._config.server.port, option="--port")
        for bound in sockets:
            self._stack.callback(bound.close)
        if self._makes_token:
            self._config = require_tokens(self._config, self._data_dir)
        self._guard = make_guard(self._config)
        measure_process(self._registry, self._stack)
        warn_of_exposed_api(sockets, self._config.auth)
        log_store(self._config)
        http = HttpServer(sockets, self._config, self._registry, self._access_log, self._stop)
        if self._config.store.mode is StoreMode.EMBEDDED:
            await http.open(self._stack)  # reading the data may take minutes
        store = await self._make_store()
        self._node = node = await open_node(
            self._config,
            store,
            self._registry,
            self._config.cluster.node_id or "local",
            memory=None
            if self._store is None
            else DirectoryMemory(self._data_dir, self._store.directory_fault),
        )
        self._stack.push_async_callback(_stop_node, node, self._stop)
        warn_of_readable_secrets(self._config, node.notices)
        files = (
            *api_certificates(self._config.server),
            *store_certificates(self._config.redis, self._config.store),
        )
        watch_certificates(self._stack, self._registry, files, node.notices)
        await self._serve(node, http, make_gate(self._config, sockets))
        show_banner(addresses_of(sockets))

    async def supervise(self) -> None:
        """Supervise the store. This does not return.

        Raises:
            EmbeddedStoreError: the embedded store cannot be kept running.
            ConfigError: a store that was unreachable at the start turned out not to hold this cluster's data.
        """
        assert self._node is not None
        await asyncio.gather(self._node.until_fatal(), self._look_after_store())

    def why_not_ready(self) -> str | None:
        """Return the reason that /readyz gives; None if the server is ready."""
        return self._readiness.reason

    async def _look_after_store(self) -> None:
        assert self._node is not None
        if self._store is not None:
            await look_after(self._store, partial(_tell_cut, self._node.store.inspector))
        elif self._config.store.mode is StoreMode.SERVER:
            await report_original(self._config)

    async def _make_store(self) -> Store:
        if self._config.store.mode is not StoreMode.EMBEDDED:
            return make_configured_store(self._config.redis, self._config.store)
        self._store = await EmbeddedStore.start(self._data_dir, self._config.embedded.max_memory_bytes)
        self._stack.push_async_callback(end_in_order, self._store, self._stop)
        store = make_configured_store(self._config.redis, parse_url(self._store.url))
        _tell_cut(store.inspector, StoreCut(self._store))
        return store

    async def _serve(self, node: ShardNode, http: HttpServer, gate: Gate) -> None:
        readiness, spans = self._readiness, self._spans
        shard = node if spans is None else traced(node, spans)
        directory = OneShard(shard, self._config.cluster.partitions)
        polls = Polls(directory)
        gateway = make_gateway(
            Dispatch(directory),
            polls,
            router_settings(self._config),
            self._registry,
            readiness,
            partial(_cluster_info, self._config, node),
            self._guard,
            gate,
            self._audit_file,
        )
        await http.serve(self._stack, gateway if spans is None else TracedGateway(gateway, spans))
        readiness.warning = partial(_warning, node)
        readiness.why_not = partial(_why_not_ready, node)
        drain_at_end(self._stack, readiness, polls, serve_on_s=0)
        if self._guard is not None:
            follow_files(self._stack, [self._guard.path], self._guard.read_again)


async def _accept(command: ServerOptions) -> int:
    """Carry out `--accept-data-loss`, also for an embedded store, with or without a server that runs on it."""
    config = command.config
    if config.store.mode is not StoreMode.EMBEDDED:
        await accept_data_loss(config, config.store)
    elif (url := await url_of_running(command.data_dir)) is not None:
        await accept_data_loss(config, parse_url(url))
    elif not command.data_dir.is_dir():
        raise NotAccepted(f"there is no data directory {command.data_dir}: nothing to accept")
    else:
        await _accept_at_rest(config, command.data_dir)
    return 0


async def _accept_at_rest(config: Config, data_dir: Path) -> None:
    store = await EmbeddedStore.start(data_dir, config.embedded.max_memory_bytes)
    try:
        accepted = await accept_data_loss(config, parse_url(store.url), read_data_id(data_dir))
        if accepted is not None:
            write_data_id(data_dir, accepted.data_id)
    finally:
        await store.stop()


async def _stop_node(node: ShardNode, stop: Stop) -> None:
    await stop.within(node.stop(), "calls to the store")


def _tell_cut(inspector: Inspector, cut: StoreCut) -> None:
    """Add the data that the store's files had lost before its start to the notices. It stays until the process ends."""
    inspector.cut_bytes += cut.lost_bytes
    if cut.text:
        inspector.tell("data_cut", cut.text)


async def _cluster_info(config: Config, node: ShardNode) -> ClusterInfo:
    store = StoreView(
        mode="embedded" if config.store.mode is StoreMode.EMBEDDED else node.store.mode,
        is_reachable=node.store.is_reachable,
        notices=list(node.store.inspector.notices),
        reason=node.store.reason or UNSET,
    )
    member = MemberInfo(
        node=node.settings.node_id,
        address=None,
        is_draining=False,
        partitions=len(node.ring.owned_by(node.settings.node_id)),
        store=store,
        notices=list(node.notices.all()),
    )
    return ClusterInfo(version=node.ring.version, partitions=node.settings.partitions, members=[member])


def _why_not_ready(node: ShardNode) -> str | None:
    return node.why_not_ready


def _warning(node: ShardNode) -> str | None:
    return node.notices.beside(node.warning)


if __name__ == "__main__":
    sys.exit(main())
