"""The private names of redis-py 8.1 under public ones: the parser and the writer of a connection."""

from __future__ import annotations

import asyncio
from typing import Any

from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection

__all__ = ["NOT_ENOUGH_DATA", "parser_of", "reader_of", "writer_of"]


def parser_of(connection: AbstractConnection) -> Any:
    """Return the parser of an open connection. Its `read_response` waits for the next reply."""
    return connection._parser


def reader_of(parser: Any) -> Any:
    """Return the hiredis reader of a parser. Its `gets` returns NOT_ENOUGH_DATA if no whole reply has arrived."""
    return parser._reader


def writer_of(connection: AbstractConnection) -> asyncio.StreamWriter | None:
    """Return the writer of a connection; None for a closed one."""
    writer: asyncio.StreamWriter | None = connection._writer
    return writer
