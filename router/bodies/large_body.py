"""Keeps a large body in the pieces in which it arrived: joining them would copy everything and block the event loop."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

AT_ONCE_BYTES = 65_536
"""The longest body that is decompressed and parsed on the event loop. That takes at most 7 ms, whatever it contains."""


class LargeBody:
    """A body of more than AT_ONCE_BYTES.

    Attributes:
        pieces: the pieces of the body, in order.
        rest_s: the time that its sender is to wait for its answer, because its parsing has wasted much.
    """

    __slots__ = ("_starts", "pieces", "rest_s")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.rest_s = 0.0
        self._starts = list(accumulate(map(len, pieces), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def part(self, start: int, length: int) -> bytes:
        """Return `length` bytes of the body from `start` on."""
        parts: list[memoryview] = []
        index = bisect_right(self._starts, start) - 1  # the piece that contains `start`
        while length > 0:
            skipped = start - self._starts[index]
            parts.append(memoryview(self.pieces[index])[skipped : skipped + length])
            start += len(parts[-1])
            length -= len(parts[-1])
            index += 1
        return b"".join(parts)


class CompressedBody(LargeBody):
    """A compressed body whose content is long. The process that parses it also decompresses it.

    Args:
        pieces: the pieces of the compressed body, in order.
        encoding: its encoding, as for Inflation.
        limit_bytes: the longest permitted content.
        count: counts further bytes that the body takes in memory; raises Overloaded if there is no room for them.
    """

    __slots__ = ("count", "encoding", "limit_bytes")

    def __init__(
        self, pieces: Sequence[bytes], encoding: str, limit_bytes: int, count: Callable[[int], object]
    ) -> None:
        super().__init__(pieces)
        self.encoding = encoding
        self.limit_bytes = limit_bytes
        self.count = count
