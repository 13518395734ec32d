"""The parts of a worker, in the order in which they start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.registry import Collector

from router.app import make_gateway
from router.http.access_log import AccessLog
from router.http.gate import make_gate
from router.http.tokens import Guard, make_guard
from router.lifecycle import HttpServer, drain_at_end, router_settings
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.shards.dispatch import Dispatch
from router.traced_gateway import TracedGateway
from shard.data_identity.memory import DirectoryMemory
from shard.http import Pages, make_port
from shard.link.server import LinkServer
from shard.node import ShardNode
from shard.node_start import open_node
from shard.store_factory import make_configured_store
from shard.traced_node import traced
from sharq_core.config import parse_url
from sharq_core.link.messages import FORMATS, Member, ShardPort, View
from sharq_core.logs.line_queue import LineQueue
from sharq_core.partitions import Ring
from sharq_core.process.certificates.files import api_certificates, store_certificates
from sharq_core.process.certificates.watch import watch_certificates
from sharq_core.process.exposure import warn_of_readable_secrets
from sharq_core.process.file_reload import follow_files
from sharq_core.process.metrics import measure_process
from sharq_core.process.stop import Stop
from sharq_core.store.embedded.data_dir import directory_fault
from sharq_core.store.store import Store
from sharq_core.telemetry.setup import start_traces
from sharq_server.workers.cluster_info import describe_workers, worker_name
from sharq_server.workers.connections import HandedConnections
from sharq_server.workers.directory import WorkerDirectory, link_path, notes_path
from sharq_server.workers.exposition import JoinedMetrics, families_of
from sharq_server.workers.link_sockets import LinkSockets
from sharq_server.workers.note_links import NoteServer
from sharq_server.workers.orders import (
    PARTING_S,
    Beat,
    ControlLine,
    CutNews,
    Members,
    Parting,
    Started,
    ToWorker,
    WorkerOrders,
)

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import Spans

_BEAT_S = 1.0
_LOOK_S = 0.1
_LINK_S = 0.5
"""The time of a call to another worker, beyond the timeout of that worker's call to the store."""

_LAST_PAGE_S = 0.5


class WorkerService:
    """The parts of one worker. Each pushes its own end onto the stack as soon as it runs."""

    def __init__(
        self,
        orders: WorkerOrders,
        line: ControlLine,
        channel: socket.socket,
        access_log: AccessLog | None,
        audit_file: LineQueue | None,
        stack: AsyncExitStack,
        stop: Stop,
    ) -> None:
        self._orders = orders
        self._config = orders.config
        self._line = line
        self._channel = channel
        self._access_log = access_log
        self._audit_file = audit_file
        self._stack = stack
        self._stop = stop
        self._registry = CollectorRegistry()
        self._readiness = Readiness("starting")
        self._members = orders.members
        self._followings: set[asyncio.Task[None]] = set()
        self._node: ShardNode
        self._directory: WorkerDirectory
        self._links: LinkServer
        self._sockets: LinkSockets
        self._guard: Guard | None = None
        self._spans: Spans | None = None

    async def start(self) -> None:
        """Open the node and the links to the other workers, then take connections."""
        config, stack, orders = self._config, self._stack, self._orders
        self._spans = start_traces(config.telemetry.traces, "sharq-server", stack, self._stop)
        await self._line.open()
        stack.callback(self._line.close)
        stack.callback(asyncio.create_task(self._beat()).cancel)
        self._guard = make_guard(config)
        measure_process(self._registry, stack)
        _count_ends(self._registry, orders)
        store = self._make_store()
        self._node = await open_node(
            config,
            store,
            self._registry,
            worker_name(config, orders.number),
            ring=self._ring(),
            memory=self._memory(),
            serves_all=True,
        )
        self._tell_cut(orders.cut)
        stack.push_async_callback(self._stop_node)
        warn_of_readable_secrets(config, self._node.notices)
        files = (*api_certificates(config.server), *store_certificates(config.redis, config.store))
        watch_certificates(stack, self._registry, files, self._node.notices)
        shard = self._node if self._spans is None else traced(self._node, self._spans)
        await self._open_links(shard)
        await self._serve()
        self._line.say(Started())
        stack.callback(asyncio.create_task(self._hear()).cancel)

    async def supervise(self) -> None:
        """Wait for an error after which this worker can never serve. This does not return.

        Raises:
            ConfigError: a store that was unreachable at the start turned out not to hold this cluster's data.
        """
        await self._node.until_fatal()

    def why_not_ready(self) -> str | None:
        """Return the reason that /readyz gives; None if the worker is ready."""
        return self._readiness.reason

    def _make_store(self) -> Store:
        url = self._orders.store_url
        return make_configured_store(
            self._config.redis, self._config.store if url is None else parse_url(url)
        )

    def _memory(self) -> DirectoryMemory | None:
        directory = self._orders.directory
        if directory is None:
            return None
        return DirectoryMemory(directory.path, partial(directory_fault, directory.path, directory.lock))

    def _view(self) -> View:
        members = tuple(
            Member(worker_name(self._config, number), str(number), "", formats=FORMATS)
            for number in self._members.numbers
        )
        return View(self._members.version, self._config.cluster.partitions, members)

    def _ring(self) -> Ring:
        view = self._view()
        return Ring.build(view.version, view.serving(), view.partitions)

    async def _open_links(self, shard: ShardPort) -> None:
        """Answer the calls of the other workers, tell them what is due, and connect to them."""
        orders, secret = self._orders, self._orders.secret
        self._stack.callback(self._leave_directory)
        self._links = LinkServer(shard, secret, lambda: (self._node.settings.node_id, self._view()))
        pages = Pages(self._links, CollectorRegistry(), self.why_not_ready, lambda: None)
        port = make_port(pages, self._config.server)
        self._stack.callback(asyncio.create_task(port.watch()).cancel)
        runner = web.ServerRunner(port, shutdown_timeout=_LAST_PAGE_S)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        notes = NoteServer(self._node.due_notes, secret, partial(families_of, self._registry))
        self._sockets = LinkSockets(runner, notes, orders.links, orders.number)
        self._stack.push_async_callback(self._links.close)
        self._stack.push_async_callback(notes.close)
        await self._sockets.listen()
        self._directory = WorkerDirectory(
            orders.number,
            shard,
            self._node.due_notes,
            self._config.cluster.partitions,
            orders.links,
            secret,
            self._config.redis.timeout_ms / 1000 + _LINK_S,
        )
        self._stack.push_async_callback(self._directory.close)
        await self._directory.follow(self._members.numbers)
        self._stack.callback(asyncio.create_task(self._directory.run()).cancel)

    async def _serve(self) -> None:
        config, node, readiness = self._config, self._node, self._readiness
        first, *others = (HandedConnections(self._channel, address) for address in self._orders.addresses)
        http = HttpServer([first], config, self._registry, self._access_log, self._stop)
        polls = Polls(self._directory)
        gateway = make_gateway(
            Dispatch(self._directory),
            polls,
            router_settings(config),
            self._registry,
            readiness,
            lambda: describe_workers(config, node, self._directory, self._members),
            self._guard,
            make_gate(config, [first, *others]),
            self._audit_file,
            self._all_metrics,
        )
        await http.serve(self._stack, gateway if self._spans is None else TracedGateway(gateway, self._spans))
        readiness.warning = lambda: node.notices.beside(node.warning)
        readiness.why_not = lambda: node.why_not_ready
        drain_at_end(self._stack, readiness, polls, serve_on_s=0)
        if self._guard is not None:
            follow_files(self._stack, [self._guard.path], self._guard.read_again)

    async def _all_metrics(self) -> Collector:
        """Return the metrics of all workers; those of one that does not answer are left out."""
        siblings = dict(self._directory.siblings)
        scraped = await asyncio.gather(*(sibling.notes.scrape() for sibling in siblings.values()))
        by_worker = {self._orders.number: families_of(self._registry)}
        by_worker |= {
            number: list(families)
            for number, families in zip(siblings, scraped, strict=True)
            if families is not None
        }
        return JoinedMetrics(by_worker)

    async def _hear(self) -> None:
        """Do what the parent says. Its end stops this process; on Linux the kernel sends SIGTERM then."""
        await self._line.listen(self._take)
        if sys.platform != "linux":
            self._end()

    def _take(self, message: ToWorker) -> None:
        match message:
            case Members():
                self._members = message
                self._node.follow(self._view())
                self._restore_sockets()
                self._follow(message.numbers)
            case Parting():
                self._follow(())
                asyncio.get_running_loop().call_later(PARTING_S, self._end)
            case CutNews():
                self._tell_cut(message)

    def _end(self) -> None:
        """Begin the stop, unless a signal to this process has begun it."""
        if not self._stop.was_asked:
            self._stop.ask(signal.SIGTERM)

    def _follow(self, numbers: Sequence[int]) -> None:
        task = asyncio.create_task(self._directory.follow(numbers))
        self._followings.add(task)
        task.add_done_callback(self._followings.discard)

    def _restore_sockets(self) -> None:
        """Be there for a worker that has started, whatever became of the directory of the sockets."""
        task = asyncio.create_task(self._sockets.restore())
        self._followings.add(task)
        task.add_done_callback(self._followings.discard)

    def _tell_cut(self, cut: CutNews | None) -> None:
        """Add lost data to the notices; the first worker alone counts it, so that the sum over all is right."""
        if cut is None:
            return
        inspector = self._node.store.inspector
        inspector.cut_bytes += cut.lost_bytes if self._orders.number == 0 else 0
        inspector.tell("data_cut", cut.text)

    async def _beat(self) -> None:
        """Tell the parent each change of the readiness, and once a second that this worker lives, also as it stops."""
        last_beat: Beat | None = None
        last_beat_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            beat = Beat(self.why_not_ready(), self._stop.was_asked)
            if beat != last_beat or loop.time() - last_beat_at > _BEAT_S:
                self._line.say(beat)
                last_beat, last_beat_at = beat, loop.time()
            await asyncio.sleep(_LOOK_S)

    async def _stop_node(self) -> None:
        await self._stop.within(self._node.stop(), "calls to the store")

    def _leave_directory(self) -> None:
        """Remove this worker's sockets, and the directory if the parent has ended and no other worker needs it."""
        links, number = self._orders.links, self._orders.number
        with suppress(OSError):
            link_path(links, number).unlink(missing_ok=True)
            notes_path(links, number).unlink(missing_ok=True)
            if os.getppid() != self._orders.parent:
                links.rmdir()


def _count_ends(registry: CollectorRegistry, orders: WorkerOrders) -> None:
    restarts = Counter(
        "sharq_worker_restarts",
        "Times that this worker was started again after it had ended",
        registry=registry,
    )
    restarts.inc(orders.restarts)
    hangs = Counter(
        "sharq_worker_hangs",
        "Times that this worker hung, was killed and was started again",
        registry=registry,
    )
    hangs.inc(orders.hangs)
