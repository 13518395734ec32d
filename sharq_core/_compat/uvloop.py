"""Answers the errors that uvloop 0.23 reports about connections which this process has closed itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)

_OF_TLS = "Fatal error on SSL protocol"
_IS_CLOSED = "the handler is closed"


def ignore_cut_handshakes(loop: asyncio.AbstractEventLoop) -> None:
    """Log no traceback for a TLS connection that is given up in the moment in which its handshake ends.

    uvloop then still tries to send the last part of the handshake, and reports that the connection is closed. Every
    connection that times out may cause that, to the store as well as from a stranger.
    """

    def answer(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if context.get("message") == _OF_TLS and isinstance(error, RuntimeError) and _IS_CLOSED in str(error):
            log.debug("handshake_cut error=%r", str(error))
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(answer)
