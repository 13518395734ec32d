"""Log lines that a stranger can cause: at most one of each event in a while, and how many were left out.

Not here: the log's form (setup.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

EVERY_S = 5.0
"""Least time between two lines of one event."""

_MAX_EVENTS = 100
"""Events that are told apart; the names come from call sites, so that there are some dozens at the most."""


class RareLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes an event's line once in a while; the next line says how many were suppressed before it.

    An event is the first word of a message. Errors with a traceback are events like others.

    Args:
        clock: seconds of a clock that never steps back.
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
        """Write the line, or count it."""
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
