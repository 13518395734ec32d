"""Which connections may become links, how many, and how much one may send before its proof.

Not here: the proof itself (shard/link_server.py, sharq_core/link/frames.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiohttp import web

from sharq_core.http_port.connection import PortConnection
from sharq_core.logs.rare_log import RareLog
from sharq_core.logs.troubles import Repeats
from sharq_core.web_pages import is_from_browser

MAX_LINKS = 2000
"""Links of one shard, those without their proof included."""

MAX_UNPROVED = 256
"""Links whose other end has not proved the secret yet. One more ends the oldest: a router proves it at once."""

MAX_UNPROVED_BYTES = 4096
"""All that may come over a link before its proof; a proof has about a hundred bytes."""


class LinkGate:
    """The checks of what asks for a link.

    Args:
        asks_certificate: links come with a client's certificate, which the TLS has checked, or not at all.

    Attributes:
        refused: links that were refused, so far.
        log: for lines that strangers cause.
    """

    def __init__(self, log: logging.Logger, *, asks_certificate: bool) -> None:
        self.log = RareLog(log)
        self.refused = 0
        self._refusals = Repeats(log, "link_refused router=%s reason=%r")
        self._asks_certificate = asks_certificate
        self._unproved: dict[object, Callable[[], None]] = {}

    def __len__(self) -> int:
        """Links whose other end has not proved the secret yet."""
        return len(self._unproved)

    def check(self, request: web.BaseRequest, links: int) -> PortConnection | None:
        """Return the connection of a request that may become a link, bounded until `prove`.

        Args:
            links: those that there are.

        Raises:
            HTTPException: it may not.
        """
        if is_from_browser(request.headers):
            self.refuse(request.remote, "a web page asks for a link")
            raise web.HTTPForbidden(text="a link is not for web pages")
        if self._asks_certificate and not request.get_extra_info("peercert"):
            self.refuse(request.remote, "no certificate")
            raise web.HTTPForbidden(text="a link needs a certificate of its authority")
        if len(self._unproved) >= MAX_UNPROVED:
            self._end_oldest(request.remote)
        if links >= MAX_LINKS:
            self.refuse(request.remote, "too many links")
            raise web.HTTPServiceUnavailable(text="this node has as many links as it may have")
        connection = request.protocol
        if not isinstance(connection, PortConnection):
            return None
        connection.limit(MAX_UNPROVED_BYTES)
        return connection

    def await_proof(self, link: object, end: Callable[[], None]) -> None:
        """Count a link as unproved; `end` cuts it off."""
        self._unproved[link] = end

    def prove(self, link: object, connection: PortConnection | None) -> None:
        """Lift the bounds of a link that is proved."""
        self.forget(link)
        if connection is not None:
            connection.limit(None)
            connection.is_link = True

    def forget(self, link: object) -> None:
        """Count a link no longer as unproved."""
        self._unproved.pop(link, None)

    def refuse(self, router: str | None, reason: str) -> None:
        """Count a link that is refused, and say why; one that comes again and again is said once in 30 s."""
        self.refused += 1
        self._refusals.note(f"{router} {reason}", router, reason)

    def note_end(self, router: str | None, connection: PortConnection | None, reason: str) -> None:
        """Take note of an unproved link's end."""
        if connection is not None and connection.is_over_limit:
            self.refuse(router, f"more than {MAX_UNPROVED_BYTES} bytes before its proof")
        else:
            self.log.info("link_ended router=%s reason=%r", router, reason)

    def _end_oldest(self, remote: str | None) -> None:
        end = self._unproved.pop(next(iter(self._unproved)))
        self.refuse(remote, "too many links without their proof: the oldest is ended")
        end()
