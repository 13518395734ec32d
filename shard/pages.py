"""What a shard node serves over HTTP: the links of routers, health, readiness and metrics, all on one port."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from shard.contact import Contact
from shard.link_server import LinkServer
from shard.membership import Membership
from shard.node import ShardNode
from sharq_core.errors import Unavailable
from sharq_core.troubles import Repeats
from sharq_core.version import __version__

_REASON_LENGTH = 200
"""Characters; aiohttp shows what it could not read."""

_TLS_HELLO = "HTTPS traffic"
"""What aiohttp says of a connection that begins as TLS does."""


def make_app(
    links: LinkServer, registry: CollectorRegistry, why_not_ready: Callable[[], str | None]
) -> web.Application:
    """The application of one node.

    Args:
        registry: what /metrics shows.
        why_not_ready: words for /readyz; None for ready.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "success"})

    async def readyz(_: web.Request) -> web.Response:
        reason = why_not_ready()
        if reason is None:
            return web.json_response({"status": "success"})
        body = {"status": "failure", "code": Unavailable.code, "message": reason}
        headers = {"Retry-After": str(Unavailable.retry_after_s)}
        return web.json_response(body, status=Unavailable.status, headers=headers)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/link", links.handle)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


def server_log() -> logging.Logger:
    """What aiohttp is to log to on this port. Debug level, because it tells no louder of a router that speaks TLS."""
    log = logging.getLogger("shard.http")
    log.setLevel(logging.DEBUG)
    log.addFilter(_one_line)
    return log


_refused = Repeats(logging.getLogger("shard.link_server"), "link_refused router=%s reason=%r")


def _one_line(record: logging.LogRecord) -> bool:
    """What is not HTTP is one line at the most: nobody who operates a node can do anything with a traceback about it.

    aiohttp tells of it as an error, and at debug level of what does not even begin like HTTP.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError) and _TLS_HELLO in error.message:
        (peer,) = record.args or ("",)
        _refused.note(str(peer), peer, "it speaks TLS, and this shard does not ([cluster] link_tls_cert)")
        return False
    if isinstance(error, HttpProcessingError):
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        reason = " ".join(error.message.split())[:_REASON_LENGTH]
        record.msg, record.args = "request_malformed peer=%s reason=%r", (*(record.args or ("",)), reason)
        record.exc_info = None
    return record.levelno >= logging.getLogger().getEffectiveLevel()


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
    )
    for name, words, read in gauges:
        Gauge(name, words, registry=registry).set_function(read)
    registry.register(_Losses(node.contact))
    build = Gauge("sharq_shard_build_info", "1, labelled with the version", ["version"], registry=registry)
    build.labels(__version__).set(1)


class _Losses(Collector):
    """How often this node lost its store."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_shard_store_losses",
            "Times that this node left the partitions of a store server to other nodes",
            value=self._contact.losses,
        )
