"""`sharq-server`: router and shard in one process, on an embedded store or on the server that [redis] names.

Responsible for the order in which things start and stop. Not here: the command line (router/command.py), the
HTTP application (router/app.py) and the shard node (shard/node.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from socket import socket

import redis.exceptions
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from router.app import make_app
from router.banner import show_banner
from router.command import Command, read_command
from router.dispatch import Dispatch
from router.listening import ListenError, addresses_of, bind_sockets
from router.polls import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from shard.node import NodeSettings, ShardNode
from sharq_core.config import Config, Secret, StoreMode
from sharq_core.errors import ConfigError
from sharq_core.messages import ShardPort
from sharq_core.store.data_dir import DataDirError
from sharq_core.store.embedded import EmbeddedStore, EmbeddedStoreError
from sharq_core.store.legacy import find_original_data

log = logging.getLogger("sharq.server")

_BACKLOG = 4096
_KEEPALIVE_S = 75.0
_READINESS_EVERY_S = 0.1
_QUICK_DEATH_S = 5.0
"""A store that dies this soon after its start will not be better for another one."""
_MAX_ASK_PAUSE_S = 30.0


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
    stopping = _stop_on_signals()
    async with AsyncExitStack() as stack:
        server = _Server(command, access_log, stack)
        if await _unless(stopping, server.start()):
            await _unless(stopping, server.watch())
    log.info("stopped")
    return 0


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process in the middle of what it does."""
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            log.critical("forced_exit signal=%s", number.name)
            os._exit(1)
        log.info("stopping signal=%s", number.name)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopping


async def _unless(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do the work, or cancel it when the stop comes first; True when it was done. Its errors are raised."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()


class _Server:
    """The parts, each of which puts its own end on the stack as soon as it runs."""

    def __init__(self, command: Command, access_log: logging.Logger | None, stack: AsyncExitStack) -> None:
        self._config = command.config
        self._data_dir = command.data_dir
        self._access_log = access_log
        self._stack = stack
        self._store: EmbeddedStore | None = None

    async def start(self) -> None:
        """Bind, start the store and the node, then listen."""
        sockets = bind_sockets(self._config.server.host, self._config.server.port)
        for bound in sockets:
            self._stack.callback(bound.close)
        url = await self._open_store()
        node = await open_node(self._config, url)
        self._stack.push_async_callback(node.stop)
        await self._listen(node, sockets)
        show_banner(addresses_of(sockets))

    async def watch(self) -> None:
        """Start the embedded store again whenever it dies; returns never.

        Raises:
            EmbeddedStoreError: it does not come up, or dies at once.
        """
        if self._store is None:
            await _report_original_data(self._config)
            await asyncio.Event().wait()
            return
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            await self._store.wait_dead()
            if loop.time() - started_s < _QUICK_DEATH_S:
                raise EmbeddedStoreError(
                    f"the embedded store died soon after its start; see {self._store.log_path}"
                )
            await self._store.restart()

    async def _open_store(self) -> Secret:
        if self._config.store.mode is not StoreMode.EMBEDDED:
            return self._config.store.url
        self._store = await EmbeddedStore.start(self._data_dir)
        self._stack.push_async_callback(self._store.stop)
        return Secret(self._store.url)

    async def _listen(self, node: ShardNode, sockets: Sequence[socket]) -> None:
        readiness = Readiness("starting")
        directory = _OneShard(node, self._config.cluster.partitions)
        polls = Polls(directory)
        app = make_app(
            Dispatch(directory),
            polls,
            _router_settings(self._config),
            CollectorRegistry(),
            readiness,
            node.cluster_info,
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


async def open_node(config: Config, store_url: Secret) -> ShardNode:
    """Make the shard node and start it; it keeps trying while its store is away."""
    node = ShardNode(NodeSettings.from_config(config), store_url.reveal())
    await node.start()
    return node


def _router_settings(config: Config) -> RouterSettings:
    return RouterSettings(
        default_lease_us=config.sharq.job_expire_interval_ms * 1000,
        default_requeue_limit=config.sharq.default_job_requeue_limit,
        max_payload_bytes=config.sharq.max_payload_bytes,
        max_body_bytes=config.sharq.max_body_bytes,
    )


async def _follow(node: ShardNode, readiness: Readiness) -> None:
    """Keeps /readyz at what the node says of itself."""
    while True:
        readiness.reason = None if node.is_ready else "the store does not answer"
        await asyncio.sleep(_READINESS_EVERY_S)


def _drain(follow: asyncio.Task[None], readiness: Readiness, polls: Polls) -> None:
    follow.cancel()
    readiness.reason = "draining"
    polls.drain()


async def _report_original_data(config: Config) -> None:
    """Says loudly that an original deployment's data lies here; asks until the store has answered."""
    pause_s = 1.0
    async with Redis.from_url(
        config.store.url.reveal(), retry=Retry(NoBackoff(), 0), socket_timeout=config.redis.timeout_ms / 1000
    ) as client:
        while True:
            try:
                found = await find_original_data(client, config.original_key_prefix)
                break
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                log.warning("store_unreachable url=%s error=%s", config.store, error)
            except redis.exceptions.RedisError as error:
                log.warning("original_data_unknown url=%s error=%s", config.store, error)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_ASK_PAUSE_S)
    if found is not None:
        log.warning(
            "original_data_found key_prefix=%s queues=%d jobs=%d%s: they are not served and were not touched",
            config.original_key_prefix,
            found.queues,
            found.jobs,
            " (at least)" if found.is_at_least else "",
        )


if __name__ == "__main__":
    sys.exit(main())
