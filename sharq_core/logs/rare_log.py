"""Limits log lines that a stranger can cause: one of each event per interval, with the number of suppressed ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

EVERY_S = 5.0
"""The least time in seconds between two lines of one event."""

_MAX_EVENTS = 100
"""The most events that are told apart. The names come from call sites, so there are some dozens at most."""


class RareLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes an event's line once per interval; the next line says how many were suppressed before it.

    An event is the first word of a message. Errors with a traceback are events like others.

    Args:
        clock: returns seconds of a clock that never steps back.
    """

    def __init__(
        self, logger: logging.Logger, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logger, {})
        self._every_s = every_s
        self._clock = clock
        self._next_s: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write the line, or count it as suppressed."""
        if not self.isEnabledFor(level):
            return
        event = str(msg).partition(" ")[0]
        now_s = self._clock()
        if now_s < self._next_s.get(event, now_s):
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return
        if len(self._next_s) >= _MAX_EVENTS:
            self._next_s.clear()
        self._next_s[event] = now_s + self._every_s
        suppressed = self._suppressed.pop(event, 0)
        if suppressed:
            msg, args = f"{msg} suppressed=%d", (*args, suppressed)
        self.logger.log(level, msg, *args, **kwargs)
