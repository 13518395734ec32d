"""Logs problems without repeating them too often.

A lasting problem is logged when it begins, every 30 s while it lasts, and when it ends. A repeated event is logged once
in 30 s, with its count.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

REMIND_EVERY_S = 30.0

MOST_KINDS = 100
"""The most reasons that a Repeats tells apart; further ones share one line, so that strangers cannot use up memory."""


class Trouble:
    """A problem that lasts for a while.

    The caller reports the result of each try; there is no timer here. A new reason is logged at once, and from then on
    like the first.

    Args:
        event: begins the line while the problem lasts.
        fields: a template of the fields that follow, such as `shard=%s`; each note gives their values.
        after: ends the line while the problem lasts, such as `: trying on`.

    Attributes:
        reason: the reason of the problem, in words that may be shown to anybody; None if there is none.
        count: the number of times that it has begun.
    """

    def __init__(self, log: logging.Logger, event: str, fields: str, after: str = "") -> None:
        self.reason: str | None = None
        self.count = 0
        self._log = log
        self._begins = f"{event} {fields} reason=%r".replace("  ", " ") + after
        self._lasts = f"{event} {fields} lasted_s=%.0f reason=%r".replace("  ", " ") + after
        self._since = 0.0
        self._said_at: dict[str, float] = {}

    @property
    def lasted_s(self) -> float:
        """The seconds since the problem began; 0 if there is none."""
        return 0.0 if self.reason is None else monotonic() - self._since

    def note(self, reason: str, *values: Any, detail: str | None = None) -> None:
        """Note that the problem exists.

        Args:
            values: the values of the fields.
            detail: replaces the reason in the log, for the operators of this process.
        """
        now = monotonic()
        if self.reason is None:
            self._since, self._said_at = now, {}
            self.count += 1
        template = self._lasts if self._said_at else self._begins
        said_at = self._said_at.get(reason)
        self.reason = reason
        if (said_at is None and len(self._said_at) < MOST_KINDS) or (
            said_at and now - said_at >= REMIND_EVERY_S
        ):
            self._said_at[reason] = now
            lasted = (now - self._since,) if template is self._lasts else ()
            self._log.warning(template, *values, *lasted, detail or reason)

    def end(self) -> float | None:
        """Note that the problem is over; return how many seconds it lasted, None if there was none."""
        if self.reason is None:
            return None
        lasted_s, self.reason = self.lasted_s, None
        return lasted_s


class Repeats:
    """A repeated event: the first of each reason is logged at once, then one in 30 s with the count."""

    def __init__(self, log: logging.Logger, message: str) -> None:
        """Make a logger of one event.

        Args:
            message: a template for the values that `note` gets; it begins with the event.
        """
        self._log = log
        self._first = message
        self._again = f"{message} times=%d"
        self._kinds: dict[str, tuple[float, int]] = {}

    def note(self, kind: str, *values: Any) -> None:
        """Note one occurrence; it is logged if the last line of its kind is more than 30 s old."""
        now = monotonic()
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            self._forget(now)
            kind = kind if len(self._kinds) < MOST_KINDS else ""
        said_at, unsaid = self._kinds.get(kind, (None, 0))
        if said_at is not None and now - said_at < REMIND_EVERY_S:
            self._kinds[kind] = said_at, unsaid + 1
            return
        self._kinds[kind] = now, 0
        if unsaid:
            self._log.warning(self._again, *values, unsaid + 1)
        else:
            self._log.warning(self._first, *values)

    def _forget(self, now: float) -> None:
        self._kinds = {kind: kept for kind, kept in self._kinds.items() if now - kept[0] < REMIND_EVERY_S}
