"""Refuses what no honest client sends, before its body is read: calls of other sites' web pages and under foreign host
names, and bodies and connections in forms that are not spoken here.

Not here: how a web page is known (sharq_core/web_pages.py), and who has a token (router/http/tokens.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from typing import Final

from aiohttp import HttpVersion11
from multidict import istr

from router.http.request import Request
from sharq_core.config import Config
from sharq_core.errors import Forbidden, InvalidRequest, UnsupportedEncoding
from sharq_core.process.listening import public_address
from sharq_core.web_pages import Hosts, foreign_page

ENCODINGS = ("gzip", "deflate")
"""Codings of a body that are understood."""

_PLAIN: Final = frozenset({"", "identity"})
_ENCODING: Final = istr("Content-Encoding")
_TRANSFER: Final = istr("Transfer-Encoding")
_UPGRADE: Final = istr("Upgrade")
_MAX_SHOWN = 100

_HARMLESS = frozenset({"hello", "healthz", "readyz", "openapi"})
"""Answered to every page and under every name: they say nothing that a stranger could use, and change nothing. Probes
ask by whatever address they have.
"""

_METRICS = "prometheus"
"""Changes nothing, so that a page may ask, and cannot read it. It names queue types, so that a page's own name may not
lead to it; a scrape by an IP address goes on.
"""


class Gate:
    """The check of each request's head.

    Args:
        hosts: the names under which the API may be asked.
        allowed_origins: origins in lower case whose pages may call.
    """

    def __init__(self, hosts: Hosts | None = None, allowed_origins: Sequence[str] = ()) -> None:
        self._hosts = hosts or Hosts()
        self._origins = frozenset(allowed_origins)

    def check_origin(self, request: Request, operation: str) -> None:
        """Return when no page of another site has caused the request.

        Raises:
            Forbidden: one has, or may have; nothing was done.
        """
        if operation in _HARMLESS:
            return
        headers = request.headers
        if operation != _METRICS:
            header = foreign_page(headers, self._origins)
            if header is not None:
                raise Forbidden(
                    f"{header}: a web page of another site may not do this; nothing was done ([sharq-server] "
                    "allowed_origins names the sites that may)"
                )
        elif self._hosts.takes_address(headers):
            return
        host = self._hosts.refused(headers, request.target_host)
        if host is not None:
            raise Forbidden(
                f"Host: {host[:_MAX_SHOWN]!r} is not a name of this server; nothing was done ([sharq-server] "
                "allowed_hosts names the hosts that are)"
            )

    def check_form(self, request: Request) -> None:
        """Return when the request's body can be read, if it has one, and its connection stays HTTP.

        Another protocol than WebSocket is offered by clients that can do without (Java's offers h2c): they are
        answered, and the connection goes on as it was.

        Raises:
            UnsupportedEncoding, InvalidRequest: it cannot, or would not; nothing was done.
        """
        headers = request.headers
        if request.asks_upgrade and headers.get(_UPGRADE, "").strip().lower() == "websocket":
            raise InvalidRequest("Upgrade: there is no WebSocket here; nothing was done")
        if request.body_exists:
            if _ENCODING in headers:
                _check_encoding(headers.getall(_ENCODING))
            if _TRANSFER in headers:
                _check_transfer(request, headers[_TRANSFER])


def make_gate(config: Config, sockets: Sequence[socket]) -> Gate:
    """Return the gate that [sharq-server] asks for.

    Without tokens on the loopback, all that protects the API is that nobody else reaches it: a page's own name may not
    lead there. Elsewhere the operator knows the names.
    """
    server = config.server
    is_bare = config.auth.tokens_file is None and public_address(sockets) is None
    hosts = Hosts(server.allowed_hosts or (), is_bound=is_bare or server.allowed_hosts is not None)
    return Gate(hosts, server.allowed_origins)


def _check_transfer(request: Request, given: str) -> None:
    """Raise for all but chunks of HTTP/1.1: where the body ends is not certain then, so the connection ends."""
    if given.strip().lower() != "chunked" or request.version != HttpVersion11:
        request.ends_connection = True
        raise InvalidRequest("Transfer-Encoding: only chunked, of HTTP/1.1, is known here; nothing was done")


def _check_encoding(given: Sequence[str]) -> None:
    """Raise for all but one coding that is understood: aiohttp reads the last of several, and takes others as plain."""
    codings = [coding.strip().lower() for line in given for coding in line.split(",")]
    if len(codings) > 1:
        raise UnsupportedEncoding(
            f"Content-Encoding: one coding at the most, {len(codings)} were named; nothing was done"
        )
    if codings[0] not in _PLAIN and codings[0] not in ENCODINGS:
        raise UnsupportedEncoding(
            f"Content-Encoding: {codings[0][:_MAX_SHOWN]!r} is not known here, only {' and '.join(ENCODINGS)}; nothing "
            "was done"
        )
