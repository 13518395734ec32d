"""The HTTP port of a shard node: serves the links of routers, health, readiness and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from shard.cluster.contact import Contact
from shard.cluster.membership import Membership
from shard.link.server import LinkServer
from shard.node import ShardNode
from sharq_core.config import ServerSettings
from sharq_core.errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound, SharqError, Unavailable
from sharq_core.http_port.connection import PortConnection
from sharq_core.http_port.metrics_text import metrics_text
from sharq_core.http_port.open_files import fit_connections
from sharq_core.http_port.port import Port, PortBounds
from sharq_core.link import frames
from sharq_core.version import __version__
from sharq_core.web_pages import Hosts

_REASON_LENGTH = 200
"""Most characters of a reason; aiohttp quotes the bytes that it could not parse."""

_TLS_HELLO = "HTTPS traffic"
"""The words of aiohttp's reason for a connection that begins with a TLS handshake."""

_GET, _HEAD = "GET", "HEAD"


class Pages:
    """The pages of one node's port.

    Args:
        registry: the metrics that /metrics shows.
        why_not_ready: returns the reason that /readyz gives; None if the node is ready.
        warning: returns the problem that /readyz of a ready node names; None for no problem.
        hosts: the host names under which /metrics may be requested; IP addresses are always allowed.

    Attributes:
        links: serves the links.
    """

    def __init__(
        self,
        links: LinkServer,
        registry: CollectorRegistry,
        why_not_ready: Callable[[], str | None],
        warning: Callable[[], str | None],
        hosts: Hosts | None = None,
    ) -> None:
        self.links = links
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._warning = warning
        self._hosts = hosts or Hosts()
        self._pages: dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or serve a link until it ends."""
        path = request.rel_url.raw_path
        if path == frames.PATH and request.method == _GET:
            return await self.links.handle(request)
        page = self._pages.get(path)
        if page is None and path != frames.PATH:
            return _failure(NotFound("no such path"))
        if page is None or request.method not in {_GET, _HEAD}:
            return _failure(MethodNotAllowed(f"{request.method} is not a method of this path"), Allow=_GET)
        return await page(request)

    async def _healthz(self, _: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "success"})

    async def _readyz(self, _: web.BaseRequest) -> web.Response:
        reason = self._why_not_ready()
        if reason is not None:
            return _failure(Unavailable(reason))
        warning = self._warning()
        return web.json_response({"status": "success"} | ({"warning": warning} if warning else {}))

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        if (
            not self._hosts.takes_address(request.headers)
            and self._hosts.refused(request.headers) is not None
        ):
            return _failure(
                Forbidden(
                    "Host: not a name of this server; [sharq-server] allowed_hosts lists the allowed names"
                )
            )
        text = await metrics_text(self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def make_port(pages: Pages, server: ServerSettings) -> Port:
    """Return the port of a node, with the same bounds as the API's port."""
    loop = asyncio.get_running_loop()

    def make_request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, PortConnection):
            protocol.note_head(payload)
        return web.BaseRequest(message, payload, protocol, writer, task, loop)

    port = Port(
        pages.answer,
        PortBounds(
            max_connections=fit_connections(server.max_connections),
            header_timeout_s=server.header_timeout_ms / 1000,
            answer_timeout_s=server.answer_timeout_ms / 1000,
            keepalive_timeout_s=server.keepalive_timeout_ms / 1000,
        ),
        make_request=make_request,
        malformed=lambda request, status, reason: _malformed(port, pages, request, status, reason),
        refusal=_REFUSAL,
        log=logging.getLogger("shard.http"),
        access_log=None,
    )
    return port


def _malformed(port: Port, pages: Pages, request: web.BaseRequest, status: int, reason: str) -> web.Response:
    """Answer malformed HTTP and log one line at most, since the operator of a node cannot do anything about it."""
    shown = " ".join(reason.split())[:_REASON_LENGTH]
    if _TLS_HELLO in reason:
        pages.links.gate.refuse(request.remote, "the peer speaks TLS, but this shard has no certificate")
    else:
        port.log.warning("request_malformed peer=%s reason=%r", request.remote, shown)
    response = _failure(InvalidRequest(f"request: {shown}"))
    response.set_status(status)
    return response


def _failure(error: SharqError, **headers: str) -> web.Response:
    if error.retry_after_s is not None:
        headers = {"Retry-After": str(error.retry_after_s)}
    body = {"status": "failure", "code": error.code, "message": error.message}
    return web.json_response(body, status=error.status, headers=headers)


_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
)


def measure(registry: CollectorRegistry, node: ShardNode, membership: Membership, links: LinkServer) -> None:
    """Export the metrics of this node's place in the cluster; they are read at each scrape."""
    gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
        (
            "sharq_shard_partitions",
            "Partitions owned by this node",
            lambda: len(node.ring.owned_by(node.settings.node_id)),
        ),
        (
            "sharq_shard_members",
            "Members of the cluster in this node's view, including draining ones",
            lambda: len(membership.view.members),
        ),
        ("sharq_shard_ring_version", "Version of the ring in use", lambda: node.ring.version),
        ("sharq_shard_calls_in_flight", "Calls from routers in progress", lambda: links.calls_in_flight),
        (
            "sharq_shard_partitions_away",
            "Owned partitions left to other nodes because their store server cannot be reached",
            lambda: node.contact.owned_away,
        ),
        ("sharq_shard_links", "Links from routers that are up", lambda: len(links)),
        (
            "sharq_shard_unproved_links",
            "Links whose peer has not proved the secret yet",
            lambda: len(links.gate),
        ),
    )
    for name, help_text, read in gauges:
        Gauge(name, help_text, registry=registry).set_function(read)
    registry.register(_Counts(node.contact, links))
    build = Gauge(
        "sharq_shard_build_info", "Always 1; the label is the version", ["version"], registry=registry
    )
    build.labels(__version__).set(1)


class _Counts(Collector):
    """The counts of lost store servers, of frames and of refused links."""

    def __init__(self, contact: Contact, links: LinkServer) -> None:
        self._contact = contact
        self._links = links

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_shard_store_losses",
            "Times this node lost a store server and left its partitions to other nodes",
            value=self._contact.losses,
        )
        yield CounterMetricFamily(
            "sharq_shard_link_frames",
            "Frames sent to routers, each with one answer or more",
            value=self._links.frames_sent,
        )
        yield CounterMetricFamily(
            "sharq_shard_refused_links",
            "Links refused: opened by a web page, without a certificate or proof, or above the limit",
            value=self._links.gate.refused,
        )
