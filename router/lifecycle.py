"""Opens, serves and closes the HTTP server, for every process that serves the API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry

from router.http.access_log import AccessLog
from router.http.connection_metrics import ConnectionMetrics
from router.http.gateway import Gateway
from router.http.server import ApiPort, bounds_of
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from router.startup import Starting
from router.traced_gateway import TracedGateway
from sharq_core._compat.aiohttp import AnswerRequest
from sharq_core.config import Config
from sharq_core.http_port.acceptor import Listening, PortSite
from sharq_core.process.sockets import BACKLOG
from sharq_core.process.stop import Stop
from sharq_core.process.tls import api_tls_files, kept_context, server_context

log = logging.getLogger("sharq.router")

_END_S = 0.5
"""The least time that requests in flight get at a stop, and the longest that their connections need to close."""


def router_settings(config: Config) -> RouterSettings:
    """Return the handlers' limits and defaults from the configuration."""
    return RouterSettings(
        default_lease_us=config.sharq.job_expire_interval_ms * 1000,
        default_requeue_limit=config.sharq.default_job_requeue_limit,
        max_payload_bytes=config.sharq.max_payload_bytes,
        max_body_bytes=config.sharq.max_body_bytes,
        serves_console=config.server.console,
    )


class HttpServer:
    """The HTTP server of this process. Opened before it has a gateway, it responds that the process is starting.

    Args:
        sockets: the listening sockets.
        registry: the registry that gets the connection metrics.
        stop: the stop of the process, which bounds the time for requests in flight.
    """

    def __init__(
        self,
        sockets: Sequence[Listening],
        config: Config,
        registry: CollectorRegistry,
        access_log: AccessLog | None,
        stop: Stop,
    ) -> None:
        self._sockets = sockets
        self._config = config
        self._stop = stop
        self._starting = Starting()
        self._server = ApiPort(
            self._starting.answer, bounds_of(config.server), config.sharq.max_body_bytes, access_log
        )
        registry.register(ConnectionMetrics(self._server))
        self._runner = web.ServerRunner(self._server, shutdown_timeout=None)
        self._is_open = False
        self._is_closed = False

    async def open(self, stack: AsyncExitStack) -> None:
        """Accept connections and respond that the process is starting. The stack's end closes the server.

        Raises:
            ConfigError: the TLS files cannot be used.
        """
        self._is_open = True
        tls = kept_context(stack, api_tls_files(self._config.server), server_context)
        stack.callback(asyncio.create_task(self._server.watch()).cancel)
        await self._runner.setup()
        stack.push_async_callback(self.close)
        for bound in self._sockets:
            await PortSite(self._runner, bound, tls, BACKLOG).start()

    async def serve(self, stack: AsyncExitStack, gateway: Gateway | TracedGateway) -> None:
        """Serve requests with the gateway from now on. The stack's end closes the server before all earlier parts.

        Raises:
            ConfigError: the TLS files cannot be used.
        """
        self._server.request_handler = cast("AnswerRequest", gateway.answer)
        self._starting.hand_over(gateway.answer)
        stack.push_async_callback(gateway.parser.close)
        if not self._is_open:
            await self.open(stack)
        stack.push_async_callback(self.close)

    async def close(self) -> None:
        """Stop accepting connections, and wait for requests in flight as long as the stop permits.

        Clients that have not sent their request or read their response by then are cut off. A second call does nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        # Three steps, each bounded: let requests finish, cut off their connections, then give up on the cleanup.
        closing = asyncio.create_task(self._runner.cleanup())
        await asyncio.wait({closing}, timeout=self._stop.left_s(_END_S))
        if not closing.done():
            cut = self._server.cut_off()
            log.warning("connections_cut_off count=%d reason=stop", cut)
            await asyncio.wait({closing}, timeout=_END_S)
        if not closing.done():
            closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


def drain_at_end(stack: AsyncExitStack, readiness: Readiness, polls: Polls, serve_on_s: float) -> None:
    """At the stack's end report not ready, end the parked dequeues, and serve on for a while.

    Args:
        serve_on_s: the time that a load balancer may need to notice. Requests are still served meanwhile.
    """

    async def drain() -> None:
        readiness.drain()
        polls.drain()
        await asyncio.sleep(serve_on_s)

    stack.push_async_callback(drain)
