"""Decompresses a body piece by piece, so that its length stays bounded and a missing end is detected.

aiohttp would decompress all received bytes in one step, up to the whole limit, and would accept a gzip body whose end
is missing. Its decompression is therefore off (router/http/server.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sharq_core.errors import InvalidRequest

PIECE_BYTES = 65_536
"""The bytes decompressed in one step, which takes about 0.2 ms."""

MAX_MEMBERS = 16
"""The most members (concatenated gzip files) that a gzip body may have. Each takes 10 us, even if nothing is in it."""

GZIP = "gzip"
DEFLATE = "deflate"

_GZIP_BITS, _ZLIB_BITS, _BARE_BITS = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZLIB_METHOD = 8


class ContentTooLong(Exception):
    """The content of a compressed body is longer than its reader permits."""


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
        """Yield the decompressed content of some bytes of the body, at most PIECE_BYTES at a time; perhaps nothing.

        Raises:
            InvalidRequest: the bytes are not valid in this encoding. Nothing was done.
        """
        has_more = False
        while data or has_more:
            # A gzip body may consist of several members: data after the end of one starts the next.
            if data and (not self._members or self._member.eof):
                self._begin_member(data[0])
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise self._invalid() from error
            # A full piece means that zlib may hold more output, even if it has consumed all input.
            has_more = len(piece) == PIECE_BYTES and not self._member.eof
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            yield piece

    def end(self) -> None:
        """Raise if the body is not complete.

        Raises:
            InvalidRequest: the data ends too early. Nothing was done.
        """
        if self._members and not self._member.eof:
            raise InvalidRequest(f"body: the {self._encoding} data is truncated")

    def _begin_member(self, first_byte: int) -> None:
        self._members += 1
        if self._members > 1 and self._encoding != GZIP:
            raise self._invalid()
        if self._members > MAX_MEMBERS:
            raise InvalidRequest(f"body: expected at most {MAX_MEMBERS} gzip files one behind the other")
        # Many clients send raw deflate data, without the zlib header that the standard requires.
        deflate_bits = _ZLIB_BITS if first_byte & 0xF == _ZLIB_METHOD else _BARE_BITS
        self._member = zlib.decompressobj(_GZIP_BITS if self._encoding == GZIP else deflate_bits)

    def _invalid(self) -> InvalidRequest:
        return InvalidRequest(f"body: not valid {self._encoding} data")
