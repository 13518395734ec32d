"""Gives one server the function library: where it has none, or one of a lower revision.

Not here: when that is looked at (node.py), and what the library is (scheduler/library.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.connections import ask
from sharq_core.store.failures import FunctionMissing

log = logging.getLogger(__name__)


class FunctionLibrary(msgspec.Struct, frozen=True):
    """The functions that every server must have.

    Attributes:
        revision: a server's library is replaced only by one of a higher revision; `<name>_revision` tells it.
        source: what FUNCTION LOAD takes.
        time_us: what an answer of its functions says of the server's time.
    """

    name: str
    revision: int
    source: str
    time_us: Callable[[Any], int]


class LibraryLoader:
    """The library on one server.

    Args:
        where: the server, for the log.

    Attributes:
        has_begun: it was seen to once; from then on it is on each new connection.
    """

    def __init__(self, library: FunctionLibrary, where: str) -> None:
        self.has_begun = False
        self._library = library
        self._where = where
        self._loading = asyncio.Lock()

    async def see_to(self, connection: AbstractConnection) -> None:
        """Give the server the library, unless it has one of the same or a higher revision.

        Raises:
            Unavailable: the server refuses, and has what it had.
            OSError, TimeoutError, redis.exceptions.RedisError: it did not answer.
        """
        try:
            if await self._is_there(connection):
                return
            async with self._loading:
                if not await self._is_there(connection):
                    await self._load(connection)
        finally:
            self.has_begun = True

    async def look_after(self, connection: AbstractConnection) -> None:
        """As `see_to`; a server that refuses goes on with what it has, and its calls say what they miss."""
        try:
            await self.see_to(connection)
        except Unavailable as error:
            log.warning("library_refused name=%s %s error=%r", self._library.name, self._where, error.message)

    async def _is_there(self, connection: AbstractConnection) -> bool:
        (revision,) = await ask(connection, [(b"FCALL", f"{self._library.name}_revision", 0)])
        if isinstance(revision, FunctionMissing):
            return False
        if isinstance(revision, SharqError):
            raise _refused(revision)
        return int(revision) >= self._library.revision

    async def _load(self, connection: AbstractConnection) -> None:
        (answer,) = await ask(connection, [(b"FUNCTION", b"LOAD", b"REPLACE", self._library.source)])
        if isinstance(answer, SharqError):
            raise _refused(answer)
        log.info(
            "library_loaded name=%s revision=%d %s", self._library.name, self._library.revision, self._where
        )


def _refused(answer: SharqError) -> Unavailable:
    """Whatever the server says, no call was done."""
    return answer if isinstance(answer, Unavailable) else Unavailable(answer.message)
