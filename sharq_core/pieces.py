"""Cuts long work on the event loop into pieces, between which other work has its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


async def in_pieces(items: Sequence[ItemT], size: int) -> AsyncIterator[Sequence[ItemT]]:
    """Yield a sequence in pieces of `size` items, and let other work run between two of them."""
    for first in range(0, len(items), size):
        if first:
            await asyncio.sleep(0)
        yield items[first : first + size]
