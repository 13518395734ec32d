"""The private names of redis-py 8.1 under public ones: the parser, the writer and the arguments of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection, SSLConnection

__all__ = ["NOT_ENOUGH_DATA", "TlsConnection", "parser_of", "reader_of", "writer_of"]

GOODBYE_S = 1.0


parser_of: Callable[[AbstractConnection], Any] = attrgetter("_parser")
"""Returns the parser of an open connection. Its `read_response` waits for the next reply."""

reader_of: Callable[[Any], Any] = attrgetter("_reader")
"""Returns the hiredis reader of a parser. Its `gets` returns NOT_ENOUGH_DATA if no whole reply has arrived."""

writer_of: Callable[[AbstractConnection], asyncio.StreamWriter | None] = attrgetter("_writer")
"""Returns the writer of a connection; None for a closed one."""


class TlsConnection(SSLConnection):
    """A TLS connection that waits a second for its server's TLS close instead of asyncio's half a minute.

    It matters if the time for connecting ends together with the TLS handshake. The driver has no writer then that could
    be aborted, and asyncio closes the transport in order.
    """

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl_shutdown_timeout": GOODBYE_S}
