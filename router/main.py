"""Runs `sharq-router`, the HTTP front end of a cluster, as a process: its start and stop order.

A router has no access to the store and discovers the shards through its seeds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial

from msgspec import UNSET, structs
from prometheus_client import CollectorRegistry

from router.api.cluster_shapes import ClusterInfo, MemberInfo, StoreView
from router.app import make_gateway
from router.audit.audit_log import open_audit_file
from router.cli import RouterOptions, read_command
from router.http.access_log import AccessLog, open_access_log
from router.http.gate import make_gate
from router.http.tokens import make_guard
from router.lifecycle import HttpServer, drain_at_end, router_settings
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.shards.directory import Directory, ShardDirectory
from router.shards.dispatch import Dispatch
from router.shards.link import ShardLink
from router.shards.metrics import LinkMetrics
from router.shards.store_states import ShardStores
from router.shards.traced_directory import TracedDirectory
from router.traced_gateway import TracedGateway
from sharq_core.errors import SharqError
from sharq_core.link import messages
from sharq_core.link.messages import DescribeStore, ShardPort
from sharq_core.link.store_state import StoreState
from sharq_core.logs.line_queue import LineQueue
from sharq_core.logs.standard_files import announce
from sharq_core.partitions import Ring
from sharq_core.process.certificates.files import api_certificates, link_certificates
from sharq_core.process.certificates.watch import watch_certificates
from sharq_core.process.event_loop import run_program
from sharq_core.process.exposure import refuse_exposed_api, warn_of_readable_secrets
from sharq_core.process.file_reload import follow_files
from sharq_core.process.metrics import measure_process
from sharq_core.process.notices import Notices
from sharq_core.process.sockets import ListenError, addresses_of, bind_sockets, inherited_sockets
from sharq_core.process.stop import Stop, serve_until_stopped
from sharq_core.process.tls import client_context, kept_context, link_tls_files
from sharq_core.telemetry.setup import start_traces
from sharq_core.version import __version__

_SERVE_ON_S = 1.5
"""The time for which it serves on after SIGTERM while /readyz reports not ready: three health checks of
deploy/haproxy/haproxy.cfg.
"""

_LINK_S = 0.5
"""The time of a call on the link, beyond the timeout of the shard's call to its store."""

MAX_NOTICE_BYTES = 1 << 20
"""The most bytes of notices in one answer of /cluster/, over all members. Each member reports the same problem of a
store.
"""

NOTICES_LEFT_OUT = "left out, because the answer would be too long; ask the shard's metrics or its log"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sharq-router` until SIGTERM or SIGINT.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        0 after a requested stop, 1 if it cannot listen, 2 if the configuration is wrong.
    """

    def work() -> Coroutine[None, None, int]:
        command = read_command(argv)
        access_log, audit_file = open_access_log(command.config), open_audit_file(command.config)
        timeout_s = command.config.server.shutdown_timeout_ms / 1000
        return serve_until_stopped(partial(_Router, command, access_log, audit_file), timeout_s)

    return run_program("sharq-router", work, ListenError)


class _Router:
    """The parts of the process. Each pushes its own end onto the stack as soon as it runs."""

    def __init__(
        self,
        command: RouterOptions,
        access_log: AccessLog | None,
        audit_file: LineQueue | None,
        stack: AsyncExitStack,
        stop: Stop,
    ) -> None:
        self._command = command
        self._access_log = access_log
        self._audit_file = audit_file
        self._stack = stack
        self._stop = stop
        self._readiness = Readiness("starting")

    async def start(self) -> None:
        """Bind the sockets, connect to the shards, then serve."""
        stack, config = self._stack, self._command.config
        spans = start_traces(config.telemetry.traces, "sharq-router", stack, self._stop)
        guard = make_guard(config)
        listen = self._command.listen
        sockets = inherited_sockets(self._command.sockets) or bind_sockets(
            listen.host, listen.port, option="--listen"
        )
        for bound in sockets:
            stack.callback(bound.close)
        refuse_exposed_api(sockets, config.auth)
        directory = await self._connect()
        shards: Directory = directory if spans is None else TracedDirectory(directory, spans)
        readiness, polls, registry = self._readiness, Polls(shards), CollectorRegistry()
        registry.register(LinkMetrics(directory))
        stores = ShardStores(directory)
        measure_process(registry, stack)
        notices = self._watch_files(registry)
        gateway = make_gateway(
            Dispatch(shards),
            polls,
            router_settings(config),
            registry,
            readiness,
            partial(_cluster_info, directory, stores, notices),
            guard,
            make_gate(config, sockets),
            self._audit_file,
        )
        http = HttpServer(sockets, config, registry, self._access_log, self._stop)
        await http.serve(stack, gateway if spans is None else TracedGateway(gateway, spans))
        stack.callback(asyncio.create_task(stores.run()).cancel)
        if guard is not None:
            follow_files(stack, [guard.path], guard.read_again)
        readiness.warning = partial(_warning, directory, stores, notices)
        readiness.why_not = partial(_why_not_ready, directory, stores)
        drain_at_end(stack, readiness, polls, _SERVE_ON_S)
        for address in addresses_of(sockets):
            announce(f"sharq-router {__version__} listening on {address}\n")

    async def _connect(self) -> ShardDirectory:
        """Return the directory of the shards, which connects to them from now on."""
        config, secret = self._command.config, self._command.config.cluster.secret
        directory = ShardDirectory(
            config.cluster.shards,
            secret.reveal() if secret else None,
            config.redis.timeout_ms / 1000 + _LINK_S,
            kept_context(self._stack, link_tls_files(config.cluster), client_context),
        )
        await directory.start()
        self._stack.push_async_callback(directory.close)
        return directory

    def _watch_files(self, registry: CollectorRegistry) -> Notices:
        """Return the notices of this router: readable secrets, and certificates that end soon."""
        config, notices = self._command.config, Notices()
        warn_of_readable_secrets(config, notices)
        files = (*api_certificates(config.server), *link_certificates(config.cluster))
        watch_certificates(self._stack, registry, files, notices)
        return notices

    async def supervise(self) -> None:
        """Wait forever: nothing here needs supervision."""
        await asyncio.Event().wait()

    def why_not_ready(self) -> str | None:
        """Return the reason that /readyz gives; None if the router is ready."""
        return self._readiness.reason


def _why_not_ready(directory: ShardDirectory, stores: ShardStores) -> str | None:
    return stores.data_lost if directory.shards() else _why_none(directory, stores)


def _warning(directory: ShardDirectory, stores: ShardStores, notices: Notices) -> str | None:
    """Return the warning of /readyz for a ready router; None for no problem."""
    of_link = directory.why_one_unreached
    return notices.beside(
        _warning_of_stores(stores), f"a shard cannot be reached: {of_link}" if of_link else None
    )


def _warning_of_stores(stores: ShardStores) -> str | None:
    if stores.away:
        return f"no shard reaches its store: {stores.away}"
    return f"a part of the store cannot be used: {stores.trouble}" if stores.trouble else None


def _why_none(directory: ShardDirectory, stores: ShardStores) -> str:
    """Return the reason why no shard can be called. A shard that does not reach the store is not a member."""
    reason = directory.why_unreached or (f"its store cannot be used: {stores.away}" if stores.away else None)
    return f"no shard can be reached: {reason}" if reason else "no shard can be reached"


async def _cluster_info(directory: ShardDirectory, stores: ShardStores, notices: Notices) -> ClusterInfo:
    view = directory.view
    reason = UNSET if directory.shards() else _why_none(directory, stores)
    if view is None:
        return ClusterInfo(
            version=0,
            partitions=directory.partitions,
            members=[],
            reason=reason,
            notices=list(notices.all()),
        )
    # This is the ring of all members, also of those that this router does not reach.
    ring = Ring.build(view.version, view.serving(), view.partitions)
    links = {link.address: link for link in directory.links()}
    members = [
        _member(member, len(ring.owned_by(member.node_id)), links.get(member.address))
        for member in view.members
    ]
    return ClusterInfo(
        version=view.version,
        partitions=view.partitions,
        members=within_budget(await asyncio.gather(*members)),
        reason=reason,
        notices=list(notices.all()),
    )


def within_budget(members: Sequence[MemberInfo], most_bytes: int = MAX_NOTICE_BYTES) -> list[MemberInfo]:
    """Return the members; those whose notices would exceed most_bytes in all say so instead."""
    bounded: list[MemberInfo] = []
    for member in members:
        store = member.store
        size = 0 if store is None else sum(len(notice.encode()) for notice in store.notices)
        if store is None or size <= most_bytes:
            bounded.append(member)
            most_bytes -= size
        else:
            cut = structs.replace(store, notices=[NOTICES_LEFT_OUT])
            bounded.append(structs.replace(member, store=cut))
    return bounded


async def _member(member: messages.Member, partitions: int, link: ShardLink | None) -> MemberInfo:
    state = None if link is None or link.is_suspect else await _state_of(link)
    return MemberInfo(
        node=member.node_id,
        address=member.address,
        is_draining=member.is_draining,
        partitions=partitions,
        store=None if state is None else _view_of(state),
        reason=(link.reason if link is not None else "it has not answered yet") or UNSET,
        notices=[] if state is None else list(state.node_notices),
    )


async def _state_of(link: ShardPort) -> StoreState | None:
    """Return the shard's description of its store and itself; None if the shard does not respond."""
    try:
        return await link.call(DescribeStore())
    except SharqError:
        return None


def _view_of(state: StoreState) -> StoreView:
    return StoreView(
        mode=state.mode,
        is_reachable=state.is_reachable,
        notices=list(state.notices),
        partitions_away=state.partitions_away,
        reason=state.reason or UNSET,
    )


if __name__ == "__main__":
    sys.exit(main())
