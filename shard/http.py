"""What a shard node serves over HTTP: the links of routers, health, readiness and metrics, all on one port."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from shard.cluster.contact import Contact
from shard.cluster.membership import Membership
from shard.link_server import LinkServer
from shard.node import ShardNode
from sharq_core.config import ServerSettings
from sharq_core.errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound, SharqError, Unavailable
from sharq_core.http_port.port import Port, PortBounds
from sharq_core.link import frames
from sharq_core.logs.troubles import Repeats
from sharq_core.version import __version__
from sharq_core.web_pages import Hosts

_REASON_LENGTH = 200
"""Characters; aiohttp shows what it could not read."""

_TLS_HELLO = "HTTPS traffic"
"""What aiohttp says of a connection that begins as TLS does."""

_GET, _HEAD = "GET", "HEAD"


class Pages:
    """The answers of one node's port.

    Args:
        registry: what /metrics shows.
        why_not_ready: words for /readyz; None for ready.
        hosts: the names under which /metrics may be asked; an IP address always may.
    """

    def __init__(
        self,
        links: LinkServer,
        registry: CollectorRegistry,
        why_not_ready: Callable[[], str | None],
        hosts: Hosts | None = None,
    ) -> None:
        self._links = links
        self._registry = registry
        self._why_not_ready = why_not_ready
        self._hosts = hosts or Hosts()
        self._pages: dict[str, Callable[[web.BaseRequest], web.Response]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or serve a link to its end."""
        path = request.rel_url.raw_path
        if path == frames.PATH and request.method == _GET:
            return await self._links.handle(request)
        page = self._pages.get(path)
        if page is None and path != frames.PATH:
            return _failure(NotFound("no such path"))
        if page is None or request.method not in {_GET, _HEAD}:
            return _failure(MethodNotAllowed(f"{request.method} is not a method of this path"), Allow=_GET)
        return page(request)

    def _healthz(self, _: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "success"})

    def _readyz(self, _: web.BaseRequest) -> web.Response:
        reason = self._why_not_ready()
        return web.json_response({"status": "success"}) if reason is None else _failure(Unavailable(reason))

    def _metrics(self, request: web.BaseRequest) -> web.Response:
        if (
            not self._hosts.takes_address(request.headers)
            and self._hosts.refused(request.headers) is not None
        ):
            return _failure(
                Forbidden(
                    "Host: not a name of this server ([sharq-server] allowed_hosts names the hosts that are)"
                )
            )
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


_refused = Repeats(logging.getLogger("shard.link_server"), "link_refused router=%s reason=%r")


def make_port(pages: Pages, server: ServerSettings) -> Port:
    """Return the port of a node, within the bounds of the API's."""
    loop = asyncio.get_running_loop()

    def make_request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        port.begun(protocol, payload)
        return web.BaseRequest(message, payload, protocol, writer, task, loop)

    port = Port(
        pages.answer,
        PortBounds(
            max_connections=server.max_connections,
            header_timeout_s=server.header_timeout_ms / 1000,
            answer_timeout_s=server.answer_timeout_ms / 1000,
            keepalive_timeout_s=server.keepalive_timeout_ms / 1000,
        ),
        make_request=make_request,
        malformed=lambda request, status, reason: _malformed(port, request, status, reason),
        refusal=_REFUSAL,
        log=logging.getLogger("shard.http"),
        access_log=None,
    )
    return port


def _malformed(port: Port, request: web.BaseRequest, status: int, reason: str) -> web.Response:
    """Answer what is not HTTP: a line at the most, since nobody who operates a node can do anything about it."""
    words = " ".join(reason.split())[:_REASON_LENGTH]
    if _TLS_HELLO in reason:
        why = "it speaks TLS, and this shard does not ([cluster] link_tls_cert)"
        _refused.note(str(request.remote), request.remote, why)
    else:
        port.log.warning("request_malformed peer=%s reason=%r", request.remote, words)
    response = _failure(InvalidRequest(f"request: {words}"))
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
    """Export this node's place in the cluster, read at each scrape."""
    gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
        (
            "sharq_shard_partitions",
            "Partitions that this node owns",
            lambda: len(node.ring.owned_by(node.settings.node_id)),
        ),
        (
            "sharq_shard_members",
            "Shard nodes, draining ones included, as this one knows them",
            lambda: len(membership.view.members),
        ),
        ("sharq_shard_ring_version", "Version of the ring that it goes by", lambda: node.ring.version),
        ("sharq_shard_calls_in_flight", "Calls of routers under way", lambda: links.calls_in_flight),
        (
            "sharq_shard_partitions_away",
            "Partitions of this node that it leaves to others, because it does not reach their store server",
            lambda: node.contact.owned_away,
        ),
        ("sharq_shard_links", "Links of routers", lambda: len(links)),
        (
            "sharq_shard_unproved_links",
            "Links whose other end has not proved the secret yet",
            lambda: len(links.gate),
        ),
    )
    for name, words, read in gauges:
        Gauge(name, words, registry=registry).set_function(read)
    registry.register(_Counts(node.contact, links))
    build = Gauge("sharq_shard_build_info", "1, labelled with the version", ["version"], registry=registry)
    build.labels(__version__).set(1)


class _Counts(Collector):
    """How often this node lost its store, and how many links it refused."""

    def __init__(self, contact: Contact, links: LinkServer) -> None:
        self._contact = contact
        self._links = links

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_shard_store_losses",
            "Times that this node left the partitions of a store server to other nodes",
            value=self._contact.losses,
        )
        yield CounterMetricFamily(
            "sharq_shard_refused_links",
            "Links that were refused: of a web page, without certificate or proof, or one too many",
            value=self._links.gate.refused,
        )
