"""What goes wrong for a while is said when it begins, every 30 s while it lasts, and when it ends; what others do wrong
again and again is said once in 30 s, with how often it happened.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

REMIND_EVERY_S = 30.0

MOST_KINDS = 100
"""Different reasons that a Repeats tells apart; others share one line, whoever makes them up."""


class Trouble:
    """One thing that is well or not. Whoever tries it says so at each try: there is no timer here. Another reason is
    said at once, and from then on like the first.

    Args:
        event: begins the line while it lasts.
        fields: a template of what follows, `shard=%s`, whose values each note gives.
        after: ends the line while it lasts, as `: trying on`.

    Attributes:
        reason: why it is not well, in words that may be shown to anybody; None while it is.
        count: how often it has begun.
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
        """How long it has not been well; 0 while it is."""
        return 0.0 if self.reason is None else monotonic() - self._since

    def note(self, reason: str, *values: Any, detail: str | None = None) -> None:
        """It is not well.

        Args:
            values: of the fields.
            detail: what the log says instead of the reason, for those who run this process.
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
        """It is well; returns for how many seconds it was not, None if it was well before."""
        if self.reason is None:
            return None
        lasted_s, self.reason = self.lasted_s, None
        return lasted_s


class Repeats:
    """What happens again and again: the first of a kind is said at once, then one in 30 s with how many there were."""

    def __init__(self, log: logging.Logger, message: str) -> None:
        """message: a template for the values that `note` gets, beginning with the event."""
        self._log = log
        self._first = message
        self._again = f"{message} times=%d"
        self._kinds: dict[str, tuple[float, int]] = {}

    def note(self, kind: str, *values: Any) -> None:
        """It has happened; a kind is said anew when the last of it was said more than 30 s ago."""
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
