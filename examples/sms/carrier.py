"""A carrier: takes messages over HTTP, and answers 429 to what is faster than its customer has bought."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web

from examples.sms.segments import count_segments


@dataclass(frozen=True)
class Arrival:
    """A message that has arrived; times are in seconds since the epoch."""

    at: float
    carrier: str
    customer: str
    name: str
    units: int
    expires_at: float | None
    status: int


class Carrier:
    """A carrier that sells so many units a second: segments, or messages.

    Its bucket holds the units of half a second, and fills again at the rate that was sold. A message that does not find
    its units there is refused.
    """

    def __init__(self, name: str, units_per_s: float, *, counts_segments: bool) -> None:
        self.name = name
        self.units_per_s = units_per_s
        self.arrivals: list[Arrival] = []
        self._counts_segments = counts_segments
        self._bucket = units_per_s / 2
        self._filled_at_s = time.monotonic()

    async def receive(self, request: web.Request) -> web.Response:
        """Take one message: 202, or 429 with a Retry-After."""
        message = await request.json()
        units = count_segments(message["text"]) if self._counts_segments else 1
        status = 202 if self._take(units) else 429
        self.arrivals.append(
            Arrival(
                time.time(),
                self.name,
                message["from"],
                message["name"],
                units,
                message["expires_at"],
                status,
            )
        )
        return web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else {})

    def _take(self, units: int) -> bool:
        now_s = time.monotonic()
        filled = self._bucket + (now_s - self._filled_at_s) * self.units_per_s
        self._bucket, self._filled_at_s = min(self.units_per_s / 2, filled), now_s
        if self._bucket < units:
            return False
        self._bucket -= units
        return True
