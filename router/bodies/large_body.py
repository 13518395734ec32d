"""Keeps a large body in the pieces in which it arrived: joining them would copy everything and block the event loop."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

AT_ONCE_BYTES = 65_536
"""The longest body that is parsed on the event loop. That takes at most 7 ms, whatever the body contains."""


class LargeBody:
    """A body of more than AT_ONCE_BYTES.

    Attributes:
        pieces: the pieces of the body, in order.
    """

    __slots__ = ("_starts", "pieces")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
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
