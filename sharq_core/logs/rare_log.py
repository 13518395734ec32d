"""Limits log lines that a stranger can cause: one of each kind per interval, with the number of occurrences."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

EVERY_S = 5.0
"""The least time in seconds between two lines of one event."""

REFUSAL_EVERY_S = 30.0
"""The same for refused peers, which try again by themselves."""

MOST_KINDS = 100
"""The most kinds that are counted apart; further ones share one line, so that strangers cannot use up memory."""

_OTHERS = ""


class RareLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that writes a kind of line once per interval; the next one says how often it occurred (`times=`).

    Lines are of one kind if they have the same event, which is the first word of the message, and the same `kind`, an
    argument of each call. Errors with a traceback are lines like others.

    Args:
        clock: returns seconds of a clock that never steps back.
    """

    def __init__(
        self, logger: logging.Logger, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logger, {})
        self._every_s = every_s
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write the line, or only count it; the keyword `kind` tells apart lines of one event."""
        kind = kwargs.pop("kind", "")
        if not self.isEnabledFor(level):
            return
        now_s = self._clock()
        key = self._key(f"{str(msg).partition(' ')[0]} {kind}", now_s)
        next_s, unsaid = self._kinds.get(key, (now_s, 0))
        if now_s < next_s:
            self._kinds[key] = next_s, unsaid + 1
            return
        self._kinds[key] = now_s + self._every_s, 0
        if unsaid:
            msg, args = f"{msg} times=%d", (*args, unsaid + 1)
        self.logger.log(level, msg, *args, **kwargs)

    def _key(self, kind: str, now_s: float) -> str:
        """Return the kind itself if it is counted apart, else the kind of all others."""
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            self._kinds = {name: entry for name, entry in self._kinds.items() if now_s < entry[0]}
            if len(self._kinds) >= MOST_KINDS:
                return _OTHERS
        return kind
