"""A voice trunk over HTTP: a request is a call, and lasts as long as the call.

It takes a number of new calls a second (429 beyond that) and has a number of channels (503 if all are busy). If the
caller's connection breaks, the call ends.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web


@dataclass
class Call:
    """A call that has arrived; times are in seconds since the epoch, durations in seconds.

    Attributes:
        dialer: the process id of the caller.
        busy: the channels that were busy, with this call.
        outcome: "answered", "busy" for a number that was engaged, "broken" if the caller was gone before the end, "429"
            or "503" if it was refused.
    """

    at: float
    name: str
    dialer: int
    busy: int
    outcome: str = "broken"
    lasted: float = 0


class Trunk:
    """A trunk. Its bucket for new calls holds those of half a second."""

    def __init__(self, calls_per_s: float, channels: int) -> None:
        self.calls_per_s = calls_per_s
        self.channels = channels
        self.calls: list[Call] = []
        self._busy = 0
        self._bucket = calls_per_s / 2
        self._filled_at_s = time.monotonic()

    async def dial(self, request: web.Request) -> web.Response:
        """Put a call through: 200 when it has ended, 486 if the number is engaged."""
        body = await request.json()
        now_s = time.monotonic()
        filled = self._bucket + (now_s - self._filled_at_s) * self.calls_per_s
        self._bucket, self._filled_at_s = min(self.calls_per_s / 2, filled), now_s
        call = Call(time.time(), body["name"], body["dialer"], self._busy + 1)
        self.calls.append(call)
        if self._bucket < 1:
            call.outcome = "429"
            return web.Response(status=429)
        self._bucket -= 1
        if self._busy == self.channels:
            call.outcome = "503"
            return web.Response(status=503)
        self._busy += 1
        try:
            return await self._talk(call, body["seconds"], is_engaged=body["engaged"])
        finally:
            self._busy -= 1
            call.lasted = time.time() - call.at

    async def _talk(self, call: Call, seconds: float, *, is_engaged: bool) -> web.Response:
        if is_engaged:
            call.outcome = "busy"
            return web.Response(status=486)
        await asyncio.sleep(seconds)
        call.outcome = "answered"
        return web.Response()
