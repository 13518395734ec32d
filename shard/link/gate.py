"""Admits connections as links: bounds their number, and the bytes that each may send before its proof of the secret.

shard/link/router_link.py checks the proof itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiohttp import web

from sharq_core.http_port.connection import PortConnection
from sharq_core.logs.advice import LINKS, with_advice
from sharq_core.logs.rare_log import REFUSAL_EVERY_S, RareLog
from sharq_core.web_pages import is_from_browser

MAX_LINKS = 2000
"""Most links of one shard, including those without a proof yet."""

MAX_UNPROVED = 256
"""Most links without a proof of the secret yet. One more ends the oldest, since a router sends its proof at once."""

MAX_UNPROVED_BYTES = 4096
"""Most bytes that a link may carry before its proof; a proof has about a hundred bytes."""


class LinkGate:
    """The checks that a connection passes before it becomes a link.

    Args:
        asks_certificate: if True, a link needs a client certificate, which the TLS layer has verified.
        on_refusal: called with the reason of each refused link, without the address of its peer.

    Attributes:
        refused: the number of links refused so far.
        log: a rate-limited log for lines that unauthenticated peers cause.
    """

    def __init__(
        self, log: logging.Logger, *, asks_certificate: bool, on_refusal: Callable[[str], None]
    ) -> None:
        self.log = RareLog(log)
        self.refused = 0
        self._refusals = RareLog(log, REFUSAL_EVERY_S)
        self._asks_certificate = asks_certificate
        self._on_refusal = on_refusal
        self._unproved: dict[object, Callable[[], None]] = {}

    def __len__(self) -> int:
        """Return the number of links without a proof of the secret yet."""
        return len(self._unproved)

    def check(self, request: web.BaseRequest, links: int) -> PortConnection | None:
        """Return the connection of a request that may become a link, with its bytes bounded until `prove`.

        Args:
            links: the current number of links.

        Raises:
            HTTPException: the request may not become a link.
        """
        if is_from_browser(request.headers):
            self.refuse(request.remote, "a web page asks for a link")
            raise web.HTTPForbidden(text="web pages may not open a link")
        if self._asks_certificate and not request.get_extra_info("peercert"):
            self.refuse(request.remote, "a certificate is required, and none was shown")
            raise web.HTTPForbidden(text="a link needs a client certificate of the configured authority")
        if len(self._unproved) >= MAX_UNPROVED:
            self._end_oldest(request.remote)
        if links >= MAX_LINKS:
            self.refuse(request.remote, "too many links")
            raise web.HTTPServiceUnavailable(text="link limit reached")
        connection = request.protocol
        if not isinstance(connection, PortConnection):
            return None
        connection.limit(MAX_UNPROVED_BYTES)
        return connection

    def await_proof(self, link: object, end: Callable[[], None]) -> None:
        """Count a link as unproved; `end` aborts it."""
        self._unproved[link] = end

    def prove(self, link: object, connection: PortConnection | None) -> None:
        """Lift the bounds of a link whose proof was accepted."""
        self.forget(link)
        if connection is not None:
            connection.limit(None)
            connection.is_link = True

    def forget(self, link: object) -> None:
        """Stop counting a link as unproved."""
        self._unproved.pop(link, None)

    def refuse(self, router: str | None, reason: str) -> None:
        """Count a refused link and log the reason; repeated refusals are logged once in 30 s."""
        reason = with_advice(reason, LINKS)
        self.refused += 1
        self._on_refusal(reason)
        self._refusals.warning("link_refused router=%s reason=%r", router, reason, kind=f"{router} {reason}")

    def note_end(self, router: str | None, connection: PortConnection | None, reason: str) -> None:
        """Log the end of an unproved link, or count it as refused if it sent too many bytes."""
        if connection is not None and connection.is_over_limit:
            self.refuse(router, f"more than {MAX_UNPROVED_BYTES} bytes before its proof")
        else:
            self.log.info("link_ended router=%s reason=%r", router, reason)

    def _end_oldest(self, remote: str | None) -> None:
        end = self._unproved.pop(next(iter(self._unproved)))
        self.refuse(remote, "too many links without a proof: the oldest is ended")
        end()
