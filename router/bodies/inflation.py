"""Decompresses a body piece by piece, so that no piece of work is long and a missing end is noticed.

aiohttp decompresses what has come at once, up to the whole limit in one step, and takes a gzip body whose end is
missing for whole; so it is told not to (router/http/server.py), and this is done where the body is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sharq_core.errors import InvalidRequest

PIECE_BYTES = 262_144
"""Decompressed at once: about 1 ms."""

MAX_MEMBERS = 1024
"""A gzip body may be several gzip files, one behind the other, but no more than so many."""

GZIP = "gzip"
DEFLATE = "deflate"

_GZIP_BITS, _ZLIB_BITS, _BARE_BITS = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZLIB_METHOD = 8


class Inflation:
    """The decompression of one body.

    Args:
        encoding: GZIP or DEFLATE.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._members = 0
        self._member = zlib.decompressobj(_GZIP_BITS)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what some bytes of the body hold, at most PIECE_BYTES at a time, perhaps none.

        Raises:
            InvalidRequest: they are not of this encoding. Nothing was done.
        """
        has_more = False
        while data or has_more:
            if data and (not self._members or self._member.eof):
                self._begin_member(data[0])
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise self._invalid() from error
            has_more = len(piece) == PIECE_BYTES and not self._member.eof
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            yield piece

    def end(self) -> None:
        """Check that the whole body has come.

        Raises:
            InvalidRequest: the data ends too early. Nothing was done.
        """
        if self._members and not self._member.eof:
            raise InvalidRequest(f"body: the {self._encoding} data ends before its end")

    def _begin_member(self, first_byte: int) -> None:
        self._members += 1
        if self._members > (MAX_MEMBERS if self._encoding == GZIP else 1):
            raise self._invalid()
        # Many clients send bare deflate data, without the header that the standard asks for.
        deflate_bits = _ZLIB_BITS if first_byte & 0xF == _ZLIB_METHOD else _BARE_BITS
        self._member = zlib.decompressobj(_GZIP_BITS if self._encoding == GZIP else deflate_bits)

    def _invalid(self) -> InvalidRequest:
        return InvalidRequest(f"body: not valid {self._encoding} data")
