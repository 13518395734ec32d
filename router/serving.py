"""What every process that serves the HTTP API does alike: settings, sockets, draining.

Not here: what answers (router/app.py), and the order of a whole process (router/standalone.py for
`sharq-server`, router/process.py for `sharq-router`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from socket import socket

from aiohttp import web
from prometheus_client import CollectorRegistry

from router.access_log import AccessLog
from router.connection_metrics import ConnectionMetrics
from router.connections import Connections, bounds_of
from router.front import Front
from router.polls import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from sharq_core.config import Config
from sharq_core.process.tls import api_tls_files, kept_context, server_context

_BACKLOG = 4096
_READINESS_EVERY_S = 0.1


def router_settings(config: Config) -> RouterSettings:
    """The handlers' limits and defaults from the configuration."""
    return RouterSettings(
        default_lease_us=config.sharq.job_expire_interval_ms * 1000,
        default_requeue_limit=config.sharq.default_job_requeue_limit,
        max_payload_bytes=config.sharq.max_payload_bytes,
        max_body_bytes=config.sharq.max_body_bytes,
    )


async def serve(
    stack: AsyncExitStack,
    front: Front,
    sockets: Sequence[socket],
    config: Config,
    registry: CollectorRegistry,
    access_log: AccessLog | None,
) -> None:
    """Listen on bound sockets; the stack's end stops accepting and finishes what is in flight.

    Args:
        registry: gets the metrics of the connections.

    Raises:
        ConfigError: the files of its TLS cannot be used.
    """
    tls = kept_context(stack, api_tls_files(config.server), server_context)
    server = Connections(front.answer, bounds_of(config.server), front.settings.max_body_bytes, access_log)
    registry.register(ConnectionMetrics(server))
    stack.callback(asyncio.create_task(server.watch()).cancel)
    stack.push_async_callback(front.parser.close)
    runner = web.ServerRunner(server, shutdown_timeout=config.server.shutdown_timeout_ms / 1000)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for bound in sockets:
        await web.SockSite(runner, bound, ssl_context=tls, backlog=_BACKLOG).start()


def drain_at_end(
    stack: AsyncExitStack,
    readiness: Readiness,
    polls: Polls,
    why_not_ready: Callable[[], str | None],
    serve_on_s: float,
) -> None:
    """Keep /readyz at what why_not_ready says; at the stack's end say no, answer the waiting polls, and serve on.

    Args:
        serve_on_s: so long a load balancer may need to see it; what it sends meanwhile is answered.
    """

    async def follow() -> None:
        while True:
            readiness.reason = why_not_ready()
            await asyncio.sleep(_READINESS_EVERY_S)

    async def drain() -> None:
        following.cancel()
        readiness.drain()
        polls.drain()
        await asyncio.sleep(serve_on_s)

    following = asyncio.create_task(follow())
    stack.push_async_callback(drain)
