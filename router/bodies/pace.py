"""Slows the receipt of large bodies down, over all connections, while many of them are refused.

A body costs time before anybody knows what is in it. Good bodies take that time, too, so a fixed limit would bound the
service. The limit therefore applies only while refused bodies have taken more than a small share of the event loop.
"""

from __future__ import annotations

import asyncio
import time

from router.bodies.allowance import Allowance

BYTE_S = 2e-9
"""The time of the event loop that each byte takes: it is read, joined and sent to the process that parses it."""

CHUNK_S = 0.9e-6
"""The time that each chunk of a chunked body takes."""

WASTED_BURST_S, WASTED_SHARE = 0.05, 0.01
"""The time that refused bodies may take before others are slowed down: 24 MiB at once, and 5 MB a second."""

PACED_SHARE = 0.07
"""The share of its time that the event loop then receives bodies: 35 MB a second, or 78,000 chunks."""

_LEAST_WAIT_S = 0.001
"""Shorter waits are left out; the next piece waits for them as well."""


class BodyPace:
    """The pace at which large bodies are received."""

    def __init__(self) -> None:
        self._allowance = Allowance(WASTED_BURST_S, WASTED_SHARE)
        self._free_at_s = 0.0

    async def receive(self, taken_s: float) -> None:
        """Wait for the turn of a piece that takes some of the event loop's time; return at once as a rule."""
        if self._allowance.is_open:
            return
        now_s = time.monotonic()
        self._free_at_s = max(self._free_at_s, now_s) + taken_s / PACED_SHARE
        if (wait_s := self._free_at_s - now_s) > _LEAST_WAIT_S:
            await asyncio.sleep(wait_s)

    def waste(self, taken_s: float) -> None:
        """Count the time that a refused body took."""
        self._allowance.take(taken_s)
