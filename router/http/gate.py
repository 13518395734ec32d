"""Rejects requests by their head, before the body is read.

It rejects cross-site calls of web pages, unknown host names, and transfer and content encodings that the server does
not support. A web page's request is recognised in sharq_core/web_pages.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import HttpVersion11
from multidict import istr

from router.bodies.inflation import DEFLATE, GZIP
from router.http.request import Request
from sharq_core.config import Config
from sharq_core.errors import Forbidden, InvalidRequest, UnsupportedEncoding
from sharq_core.process.sockets import Bound, public_address
from sharq_core.web_pages import HOST, ORIGIN, REFERER, SITE, Hosts, foreign_page

ENCODINGS = (GZIP, DEFLATE)
"""The supported content encodings of a body."""

_PLAIN: Final = frozenset({"", "identity"})
_ENCODING: Final = istr("Content-Encoding")
_TRANSFER: Final = istr("Transfer-Encoding")
_UPGRADE: Final = istr("Upgrade")
_MAX_SHOWN = 100

_MAX_KNOWN = 100
"""The most accepted origins that are remembered. Nearly all requests to a server have the same few."""

_HARMLESS = frozenset(
    {
        "hello",
        "healthz",
        "readyz",
        "openapi",
        "console",
        "console_file",
        "console_view",
        "console_widget",
    }
)
"""Operations that every page may call, under every host name. They reveal nothing useful and change nothing; probes use
whatever address they have, and pages of other sites, such as dashboards, link to the console.
"""

_METRICS = "prometheus"
"""The operation of the Prometheus metrics. A page may request it, since it changes nothing and the page cannot read the
response. It names queue types, so the host name is checked (DNS rebinding); a scrape by IP address is allowed.
"""


class Gate:
    """The check of each request's head.

    Args:
        hosts: the host names under which the API may be called.
        allowed_origins: the origins, in lower case, whose pages may call the API.
    """

    def __init__(self, hosts: Hosts | None = None, allowed_origins: Sequence[str] = ()) -> None:
        self._hosts = hosts or Hosts()
        self._origins = frozenset(allowed_origins)
        self._accepted: set[tuple[str | None, ...]] = set()

    def check_origin(self, request: Request, operation: str) -> None:
        """Raise if a web page of another site sent the request, or may have.

        Raises:
            Forbidden: the origin or the host name is not allowed. Nothing was done.
        """
        if operation in _HARMLESS:
            return
        headers = request.headers
        if operation == _METRICS:
            # An IP address cannot be a name that a page has rebound.
            if not self._hosts.takes_address(headers):
                self._check_host(request)
            return
        origin = (
            headers.get(ORIGIN),
            headers.get(SITE),
            headers.get(REFERER),
            headers.get(HOST),
            request.target_host,
        )
        if origin in self._accepted:
            return
        header = foreign_page(headers, self._origins)
        if header is not None:
            raise Forbidden(
                f"{header}: web pages of other sites may not call this API; nothing was done ([sharq-server] "
                "allowed_origins lists the sites that may)"
            )
        self._check_host(request)
        if len(self._accepted) < _MAX_KNOWN:
            self._accepted.add(origin)

    def _check_host(self, request: Request) -> None:
        host = self._hosts.refused(request.headers, request.target_host)
        if host is not None:
            raise Forbidden(
                f"Host: {host[:_MAX_SHOWN]!r} is not a name of this server; nothing was done ([sharq-server] "
                "allowed_hosts lists the names)"
            )

    def check_form(self, request: Request) -> None:
        """Raise if the body has an unsupported encoding, or if the client asks for a WebSocket.

        Other upgrades are optional for the clients that offer them (Java's offers h2c), so those requests are answered
        over HTTP/1.1.

        Raises:
            UnsupportedEncoding: the content encoding is not supported. Nothing was done.
            InvalidRequest: the transfer encoding or the upgrade is not supported. Nothing was done.
        """
        headers = request.headers
        if request.asks_upgrade and headers.get(_UPGRADE, "").strip().lower() == "websocket":
            raise InvalidRequest("Upgrade: WebSocket is not supported; nothing was done")
        if request.body_exists:
            if _ENCODING in headers:
                _check_encoding(headers.getall(_ENCODING))
            if _TRANSFER in headers:
                _check_transfer(request, headers[_TRANSFER])


def make_gate(config: Config, sockets: Sequence[Bound]) -> Gate:
    """Return the gate that [sharq-server] configures.

    Without tokens on the loopback address, only its unreachability protects the API. The host name is therefore always
    checked there, so that a web page cannot reach it through a name of its own (DNS rebinding). On other addresses it
    is checked only if the operator lists the names.
    """
    server = config.server
    is_bare = config.auth.tokens_file is None and public_address(sockets) is None
    hosts = Hosts(server.allowed_hosts or (), is_bound=is_bare or server.allowed_hosts is not None)
    return Gate(hosts, server.allowed_origins)


def _check_transfer(request: Request, given: str) -> None:
    """Raise for all but HTTP/1.1 chunked coding. The end of the body is uncertain then, so the connection is closed."""
    if given.strip().lower() != "chunked" or request.version != HttpVersion11:
        request.ends_connection = True
        raise InvalidRequest("Transfer-Encoding: only chunked is supported, with HTTP/1.1; nothing was done")


def _check_encoding(given: Sequence[str]) -> None:
    """Raise unless there is at most one content coding and it is supported.

    aiohttp would decode the last of several codings only, and would take an unknown one as plain.
    """
    codings = [coding.strip().lower() for line in given for coding in line.split(",")]
    if len(codings) > 1:
        raise UnsupportedEncoding(
            f"Content-Encoding: expected at most one coding, got {len(codings)}; nothing was done"
        )
    if codings[0] not in _PLAIN and codings[0] not in ENCODINGS:
        raise UnsupportedEncoding(
            f"Content-Encoding: {codings[0][:_MAX_SHOWN]!r} is not supported, only {' and '.join(ENCODINGS)}; nothing "
            "was done"
        )
