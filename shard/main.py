"""`sharq-shard`: runs one shard node as a process. The node joins the cluster, answers routers, drains, and leaves.

This module is responsible for the order in which the parts start and stop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from socket import socket

from aiohttp import web
from prometheus_client import CollectorRegistry

from shard.cli import ShardOptions, read_command
from shard.cluster.membership import Membership, NotAMember
from shard.data_identity.acceptance import NotAccepted, accept_data_loss
from shard.http import Pages, make_port, measure
from shard.link.server import LinkServer
from shard.node import ShardNode
from shard.node_start import open_node
from shard.store_factory import make_configured_store
from shard.traced_node import traced
from sharq_core.http_port.acceptor import PortSite
from sharq_core.http_port.metrics import PortMetrics
from sharq_core.link.messages import View
from sharq_core.logs.standard_files import announce
from sharq_core.partitions import Ring
from sharq_core.process.certificates.files import link_certificates, store_certificates
from sharq_core.process.certificates.watch import watch_certificates
from sharq_core.process.command_line import log_store
from sharq_core.process.event_loop import run_program
from sharq_core.process.exposure import refuse_exposed_link, warn_of_readable_secrets
from sharq_core.process.metrics import measure_process
from sharq_core.process.sockets import ListenError, bind_sockets, public_address
from sharq_core.process.stop import Stop, serve_until_stopped
from sharq_core.process.tls import kept_context, link_tls_files, server_context
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.telemetry.setup import start_traces
from sharq_core.version import __version__
from sharq_core.web_pages import Hosts

_BACKLOG = 1024
_SHUTDOWN_TIMEOUT_S = 1.0
"""Time for a page that a client still reads; the links are already closed by then."""

_REFUSAL_S = 30.0
"""The time for which the reason of a refused link is a notice."""

_LEAST_LEAVE_S = 0.5
_DRAIN_BEATS = 2
_MAX_DRAIN_S = 1.5
"""A draining node keeps serving for two heartbeats, so that every other node sees the new view, but at most 1.5 s."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sharq-shard` until SIGTERM or SIGINT.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        0 after a requested stop or an accepted data loss; 1 if the node cannot start or continue, for example because
            another process holds its node_id; 2 if the configuration is invalid.
    """

    def work() -> Coroutine[None, None, int]:
        command = read_command(argv)
        if command.accepts_data_loss:
            return _accept(command)
        timeout_s = command.config.server.shutdown_timeout_ms / 1000
        return serve_until_stopped(partial(_Process, command), timeout_s)

    return run_program("sharq-shard", work, ListenError, NotAMember, NotAccepted)


async def _accept(command: ShardOptions) -> int:
    await accept_data_loss(command.config, command.config.store)
    return 0


class _Process:
    """The parts of one shard process; each pushes its own shutdown onto the stack as soon as it runs."""

    def __init__(self, command: ShardOptions, stack: AsyncExitStack, stop: Stop) -> None:
        self._command = command
        self._config = command.config
        self._stack = stack
        self._stop = stop
        self._is_draining = False
        self._node: ShardNode
        self._membership: Membership
        self._links: LinkServer

    async def start(self) -> None:
        """Bind the sockets, open the node, then listen, so that health is answered while the store is still away."""
        spans = start_traces(self._config.telemetry.traces, "sharq-shard", self._stack, self._stop)
        listen = self._command.listen
        sockets = bind_sockets(listen.host, listen.port, option="--listen")
        for bound in sockets:
            self._stack.callback(bound.close)
        refuse_exposed_link(sockets, self._config)
        registry = CollectorRegistry()
        measure_process(registry, self._stack)
        log_store(self._config)
        store = make_configured_store(self._config.redis, self._config.store)
        self._node = await open_node(
            self._config, store, registry, self._command.node_id, ring=Ring(0, (), ())
        )
        self._stack.push_async_callback(self._stop_node)
        self._watch_own_files(registry)
        self._membership = self._make_membership()
        secret = self._config.cluster.secret
        self._links = LinkServer(
            self._node if spans is None else traced(self._node, spans),
            secret.reveal() if secret else None,
            self._hello,
            asks_certificate=self._config.cluster.link_tls_ca is not None,
            on_refusal=self._note_refusal,
        )
        self._node.tell_away(self._links.push_away)
        measure(registry, self._node, self._membership, self._links)
        await self._listen(sockets, registry)
        self._stack.push_async_callback(self._leave)

    def _watch_own_files(self, registry: CollectorRegistry) -> None:
        config = self._config
        warn_of_readable_secrets(config, self._node.notices)
        files = (*link_certificates(config.cluster), *store_certificates(config.redis, config.store))
        watch_certificates(self._stack, registry, files, self._node.notices)

    async def supervise(self) -> None:
        """Join the cluster and stay a member; never returns.

        Raises:
            ConfigError: a store that was away at the start turned out to be unfit for this node.
            NotAMember: another process holds the node_id.
        """
        await asyncio.gather(self._node.until_fatal(), self._stay())

    def why_not_ready(self) -> str | None:
        """Return the reason that /readyz gives; None if the node is ready."""
        if self._is_draining:
            return "draining"
        if not self._node.is_ready:
            return self._node.guard.reason or self._node.why_no_store
        if self._node.guard.whole_reason is not None:
            return self._node.guard.whole_reason
        if self._leaves_all():
            reason = self._node.store.reason
            message = (
                "this node cannot reach its store, or has not had stable contact with it for long enough"
            )
            return f"{message}: {reason}" if reason else message
        return None if self._membership.is_member else "not a member yet"

    async def _stay(self) -> None:
        await self._node.until_open()
        await self._membership.join()
        name, listen = self._command.node_id, self._command.listen
        announce(f"sharq-shard {__version__} node={name} listening on {listen}\n")
        await self._membership.run()

    def _make_membership(self) -> Membership:
        cluster = self._config.cluster
        keys = Keys(self._config.key_prefix, cluster.partitions)
        return Membership(
            Executor(self._node.store, keys),
            keys,
            self._command.node_id,
            str(self._command.advertised),
            interval_s=cluster.heartbeat_interval_ms / 1000,
            ttl_s=cluster.heartbeat_ttl_ms / 1000,
            on_view=self._on_view,
            is_away=self._leaves_all,
            guard=self._node.guard,
        )

    async def _listen(self, sockets: Sequence[socket], registry: CollectorRegistry) -> None:
        is_bare = public_address(sockets) is None and self._config.cluster.secret is None
        hosts = Hosts(self._config.server.allowed_hosts or (), is_bound=is_bare)
        port = make_port(
            Pages(self._links, registry, self.why_not_ready, self._warning, hosts),
            self._config.server,
        )
        registry.register(PortMetrics(port, "sharq_shard"))
        self._stack.callback(asyncio.create_task(port.watch()).cancel)
        make_context = partial(server_context, on_refusal=self._note_refusal)
        tls = kept_context(self._stack, link_tls_files(self._config.cluster), make_context)
        runner = web.ServerRunner(port, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        for bound in sockets:
            await PortSite(runner, bound, tls, _BACKLOG).start()

    def _hello(self) -> tuple[str, View]:
        return self._command.node_id, self._membership.view

    def _on_view(self, view: View) -> None:
        self._node.follow(view)
        self._links.push_view(view)

    def _warning(self) -> str | None:
        """Return the warning of /readyz for a ready node; None for no problem."""
        return self._node.notices.beside(self._node.warning)

    def _note_refusal(self, reason: str) -> None:
        """Keep the reason of the last refused link among the notices; a router tries again every few seconds."""
        self._node.notices.tell("link", f"a link is refused: {reason}", for_s=_REFUSAL_S)

    def _leaves_all(self) -> bool:
        """Return True if this node leaves all partitions to other nodes, which serve those whose server they reach."""
        return len(self._node.contact.away) == self._config.cluster.partitions

    async def _stop_node(self) -> None:
        await self._stop.within(self._node.stop(), "calls to the store")

    async def _leave(self) -> None:
        """Announce the drain, keep serving until the others have seen it, leave the membership and close the links.

        If the store hangs, the time left for the stop bounds everything before the links are closed.
        """
        self._is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop.left_s(_LEAST_LEAVE_S)):
                await self._membership.drain()
                self._links.push_draining()
                if len(self._links):
                    beats_s = _DRAIN_BEATS * self._config.cluster.heartbeat_interval_ms / 1000
                    await asyncio.sleep(min(beats_s, _MAX_DRAIN_S))
                await self._membership.leave()
        await self._links.close()


if __name__ == "__main__":
    sys.exit(main())
