"""The private names of redis-py 8.1 under public ones: the parser and the writer of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection

__all__ = ["NOT_ENOUGH_DATA", "parser_of", "reader_of", "writer_of"]


parser_of: Callable[[AbstractConnection], Any] = attrgetter("_parser")
"""Returns the parser of an open connection. Its `read_response` waits for the next reply."""

reader_of: Callable[[Any], Any] = attrgetter("_reader")
"""Returns the hiredis reader of a parser. Its `gets` returns NOT_ENOUGH_DATA if no whole reply has arrived."""

writer_of: Callable[[AbstractConnection], asyncio.StreamWriter | None] = attrgetter("_writer")
"""Returns the writer of a connection; None for a closed one."""
