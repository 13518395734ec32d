"""Loads the function library into one server that has none, or one of a lower revision."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.connections import ask
from sharq_core.store.failures import FunctionMissing

log = logging.getLogger(__name__)


class FunctionLibrary(msgspec.Struct, frozen=True):
    """The functions that every server must have.

    Attributes:
        revision: only a higher revision replaces a server's library; `<name>_revision` returns it.
        source: the text for FUNCTION LOAD.
        time_index: the place of the server's time, in microseconds, in each answer of its functions.
    """

    name: str
    revision: int
    source: str
    time_index: int = 1


class LibraryLoader:
    """The library on one server.

    Args:
        where: the server, for the log.

    Attributes:
        has_checked: the library was checked once; from then on it is checked on each new connection.
    """

    def __init__(self, library: FunctionLibrary, where: str) -> None:
        self.has_checked = False
        self._library = library
        self._where = where
        self._loading = asyncio.Lock()

    async def ensure(self, connection: AbstractConnection) -> None:
        """Load the library into the server, unless it has one of the same or a higher revision.

        Raises:
            Unavailable: the server refuses and keeps its library.
            OSError, TimeoutError, redis.exceptions.RedisError: the server did not answer.
        """
        try:
            if await self._is_there(connection):
                return
            async with self._loading:
                if not await self._is_there(connection):
                    await self._load(connection)
        finally:
            self.has_checked = True

    async def try_ensure(self, connection: AbstractConnection) -> None:
        """Do the same as `ensure`, but only log a refusal.

        The server continues with its library, and calls report what they lack.
        """
        try:
            await self.ensure(connection)
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
    """Return the answer as Unavailable: whatever the server says, no call was done."""
    return answer if isinstance(answer, Unavailable) else Unavailable(answer.message)
