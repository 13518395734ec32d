"""`sharq-server`: router and shard in one process, on an embedded store or on the server that [redis] names.

Responsible for the order in which things start and stop. Not here: the command line (router/command.py), the
HTTP application (router/app.py) and the shard node (shard/node.py).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from logging.handlers import WatchedFileHandler
from pathlib import Path
from socket import socket

from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from router.answers import ClusterInfo, Member, StoreView
from router.app import make_app
from router.banner import show_banner
from router.command import Command, read_command
from router.dispatch import Dispatch
from router.listening import ListenError, addresses_of, bind_sockets
from router.polls import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from router.stopping import stop_on_signals, unless
from shard.node import NodeSettings, ShardNode
from sharq_core.config import Config, Secret, StoreMode
from sharq_core.errors import ConfigError
from sharq_core.messages import ShardPort
from sharq_core.store.data_dir import DataDirError
from sharq_core.store.embedded import EmbeddedStore, EmbeddedStoreError
from sharq_core.store.legacy import report_original_data

log = logging.getLogger("sharq.server")

_BACKLOG = 4096
_KEEPALIVE_S = 75.0
_READINESS_EVERY_S = 0.1
_QUICK_DEATH_S = 10.0
_MAX_QUICK_DEATHS = 3
"""A store that dies this often in a row, each time this soon, is not helped by another start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sharq-server` until SIGTERM or SIGINT.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        0 after a stop that was asked for, 1 when it cannot start or go on, 2 for a wrong configuration.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        command = read_command(argv)
        access_log = _open_access_log(command.config.server.accesslog)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(command, access_log))
    except ConfigError as error:
        return _fail(2, error)
    except (DataDirError, EmbeddedStoreError, ListenError) as error:
        return _fail(1, error)


def _fail(exit_code: int, error: Exception) -> int:
    sys.stderr.write(f"sharq-server: {error}\n")
    return exit_code


def _open_access_log(path: Path | None) -> logging.Logger | None:
    if path is None:
        return None
    try:
        handler = WatchedFileHandler(path)
    except OSError as error:
        raise ConfigError(f"[sharq-server] accesslog: {path} cannot be written: {error.strerror}") from error
    access_log = logging.getLogger("sharq.access")
    access_log.addHandler(handler)
    access_log.propagate = False
    return access_log


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, else asyncio's own loop."""
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(command: Command, access_log: logging.Logger | None) -> int:
    """Start everything, wait for the stop, and stop everything in the opposite order."""
    stopping = stop_on_signals()
    async with AsyncExitStack() as stack:
        server = _Server(command, access_log, stack)
        if await unless(stopping, server.start()):
            await unless(stopping, server.watch())
    log.info("stopped")
    return 0


class _Server:
    """The parts, each of which puts its own end on the stack as soon as it runs."""

    def __init__(self, command: Command, access_log: logging.Logger | None, stack: AsyncExitStack) -> None:
        self._config = command.config
        self._data_dir = command.data_dir
        self._access_log = access_log
        self._stack = stack
        self._registry = CollectorRegistry()
        self._store: EmbeddedStore | None = None
        self._node: ShardNode | None = None

    async def start(self) -> None:
        """Bind, start the store and the node, then listen."""
        sockets = bind_sockets(self._config.server.host, self._config.server.port)
        for bound in sockets:
            self._stack.callback(bound.close)
        url = await self._open_store()
        self._node = node = await open_node(self._config, url, self._registry)
        self._stack.push_async_callback(node.stop)
        await self._listen(node, sockets)
        show_banner(addresses_of(sockets))

    async def watch(self) -> None:
        """Look after the store; returns never.

        Raises:
            EmbeddedStoreError: the embedded store cannot be kept alive.
            ConfigError: a store that was away at the start has turned out not to be ours.
        """
        assert self._node is not None
        await asyncio.gather(self._node.until_fatal(), self._look_after_store())

    async def _look_after_store(self) -> None:
        if self._store is not None:
            await _keep_alive(self._store)
        else:
            await self._report_original_data()

    async def _open_store(self) -> Secret:
        if self._config.store.mode is not StoreMode.EMBEDDED:
            return self._config.store.url
        self._store = await EmbeddedStore.start(self._data_dir)
        self._stack.push_async_callback(self._store.stop)
        return Secret(self._store.url)

    async def _report_original_data(self) -> None:
        """Also where the store is away: as soon as it answers."""
        url, timeout_s = self._config.store.url.reveal(), self._config.redis.timeout_ms / 1000
        async with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s) as client:
            await report_original_data(client, self._config.original_key_prefix)

    async def _listen(self, node: ShardNode, sockets: Sequence[socket]) -> None:
        readiness = Readiness("starting")
        directory = _OneShard(node, self._config.cluster.partitions)
        polls = Polls(directory)
        app = make_app(
            Dispatch(directory),
            polls,
            _router_settings(self._config),
            self._registry,
            readiness,
            partial(_cluster_info, self._config, node),
        )
        runner = web.AppRunner(
            app,
            access_log=self._access_log,
            keepalive_timeout=_KEEPALIVE_S,
            handler_cancellation=False,
            shutdown_timeout=self._config.server.shutdown_timeout_ms / 1000,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        for bound in sockets:
            await web.SockSite(runner, bound, backlog=_BACKLOG).start()
        follow = asyncio.create_task(_follow(node, readiness))
        self._stack.callback(_drain, follow, readiness, polls)


async def _keep_alive(store: EmbeddedStore) -> None:
    """Start the store again whenever it dies, until it has died too often too soon."""
    loop = asyncio.get_running_loop()
    quick_deaths = 0
    while quick_deaths < _MAX_QUICK_DEATHS:
        started_s = loop.time()
        await store.wait_dead()
        quick_deaths = quick_deaths + 1 if loop.time() - started_s < _QUICK_DEATH_S else 0
        await store.restart()
    raise EmbeddedStoreError(f"the embedded store died {quick_deaths} times in a row; see {store.log_path}")


class _OneShard:
    """The directory of a router whose only shard is in the same process."""

    def __init__(self, shard: ShardPort, partitions: int) -> None:
        self._shards = (shard,)
        self._partitions = partitions

    @property
    def partitions(self) -> int:
        return self._partitions

    def owner(self, partition: int) -> ShardPort:
        return self._shards[0]

    def shards(self) -> Sequence[ShardPort]:
        return self._shards


async def open_node(config: Config, store_url: Secret, registry: CollectorRegistry) -> ShardNode:
    """Make the shard node and start it; it keeps trying while its store is away.

    Raises:
        ConfigError: the store's data was made with another number of partitions.
    """
    settings = NodeSettings(
        node_id=config.cluster.node_id or "local",
        key_prefix=config.key_prefix,
        partitions=config.cluster.partitions,
        timeout_s=config.redis.timeout_ms / 1000,
        reaps=config.sharq.enable_requeue_script,
        reap_every_s=config.sharq.job_requeue_interval_ms / 1000,
        finished_retention_us=config.sharq.finished_retention_ms * 1000,
        dead_retention_us=config.sharq.dead_retention_ms * 1000,
        dead_limit=config.sharq.dead_limit,
    )
    node = ShardNode(settings, store_url.reveal(), registry)
    try:
        await node.start()
    except BaseException:
        await node.stop()
        raise
    return node


def _router_settings(config: Config) -> RouterSettings:
    return RouterSettings(
        default_lease_us=config.sharq.job_expire_interval_ms * 1000,
        default_requeue_limit=config.sharq.default_job_requeue_limit,
        max_payload_bytes=config.sharq.max_payload_bytes,
        max_body_bytes=config.sharq.max_body_bytes,
    )


def _cluster_info(config: Config, node: ShardNode) -> ClusterInfo:
    store = StoreView(
        mode="embedded" if config.store.mode is StoreMode.EMBEDDED else "single",
        is_reachable=node.store.is_reachable,
    )
    member = Member(
        node=node.settings.node_id,
        address=None,
        is_draining=False,
        partitions=len(node.ring.owned_by(node.settings.node_id)),
        store=store,
    )
    return ClusterInfo(version=node.ring.version, partitions=node.settings.partitions, members=[member])


async def _follow(node: ShardNode, readiness: Readiness) -> None:
    """Keeps /readyz at what the node says of itself."""
    while True:
        readiness.reason = None if node.is_ready else "the store does not answer"
        await asyncio.sleep(_READINESS_EVERY_S)


def _drain(follow: asyncio.Task[None], readiness: Readiness, polls: Polls) -> None:
    follow.cancel()
    readiness.reason = "draining"
    polls.drain()


if __name__ == "__main__":
    sys.exit(main())
