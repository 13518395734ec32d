"""Slows the receipt of bodies down, over all connections of a port, while much of it is in vain.

A body costs time before anybody knows what is in it. Good bodies take that time, too, so a fixed limit would bound the
service. The limit therefore applies only while refused bodies have taken more than a small share of the event loop.

A port has two paces: one for bodies that are wanted until they turn out to be wrong, and one for what is read only to
be dropped. Bodies to a path that does not exist therefore do not delay those of others.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp.streams import StreamReader

from sharq_core._compat.aiohttp import next_piece
from sharq_core.http_port.allowance import Allowance

BYTE_S = 2e-9
"""The time of the event loop that each byte takes: it is read, joined and sent to the process that parses it."""

CHUNK_S = 0.9e-6
"""The time that each chunk of a chunked body takes."""

HEAD_S = 0.2e-3
"""The time of a request with a large body besides its body."""

WASTED_BURST_S, WASTED_SHARE = 0.05, 0.01
"""The time that refused bodies may take before others are slowed down: 24 MiB at once, and 5 MB a second."""

PACED_SHARE = 0.07
"""The share of its time that the event loop then receives bodies: 35 MB a second, 78,000 chunks or 350 requests."""

_OVERLOADED = 429
"""The status of a full queue, and of a process that has as much unfinished work as it may."""

_LEAST_WAIT_S = 0.001
"""Shorter waits are left out; the next piece waits for them as well."""


class BodyPace:
    """The pace at which bodies are received."""

    def __init__(self) -> None:
        self._allowance = Allowance(WASTED_BURST_S, WASTED_SHARE)
        self._free_at_s = 0.0

    async def next_piece(self, body: StreamReader) -> tuple[bytes, float]:
        """Wait for more of a body, and for its turn; return at once as a rule if there is some.

        Returns:
            All of the body that has come and is not read yet, empty at its end; and the time of the event loop that it
            took, estimated, in seconds.

        Raises:
            Exception: the body is broken or ends early.
        """
        piece, parts = await next_piece(body)
        taken_s = len(piece) * BYTE_S + parts * CHUNK_S
        await self.receive(taken_s)
        return piece, taken_s

    async def receive(self, taken_s: float) -> None:
        """Wait for the turn of a piece that takes some of the event loop's time; return at once as a rule."""
        if self._allowance.is_open:
            return
        self.charge(taken_s)
        if (wait_s := self._free_at_s - time.monotonic()) > _LEAST_WAIT_S:
            await asyncio.sleep(wait_s)

    def charge(self, taken_s: float) -> None:
        """Let the next pieces wait for work that a body has caused, such as its decompression."""
        if not self._allowance.is_open:
            self._free_at_s = max(self._free_at_s, time.monotonic()) + taken_s / PACED_SHARE

    def waste(self, taken_s: float) -> None:
        """Count the time that a refused body took."""
        self._allowance.take(taken_s)

    async def drop(self, body: StreamReader, limit_bytes: float = float("inf")) -> bool:
        """Read the rest of a body and drop it; all of it is wasted time.

        Returns:
            True if the body has ended; False if it was longer than limit_bytes.

        Raises:
            Exception: as `next_piece`.
        """
        dropped_bytes = 0
        while dropped_bytes <= limit_bytes:
            piece, taken_s = await self.next_piece(body)
            if not piece:
                return True
            self.waste(taken_s)
            dropped_bytes += len(piece)
        return False


def is_senders_fault(status: int) -> bool:
    """Return True for the status of an answer that says that the sender's request was wrong.

    A full queue, a server at its limits and a store that is away are nothing that the sender did: other senders are not
    to be slowed down for its body.
    """
    return 400 <= status < 500 and status != _OVERLOADED
