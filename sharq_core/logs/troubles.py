"""Logs a lasting problem when it begins, every 30 s while it lasts, and when it ends."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from sharq_core.logs.rare_log import MOST_KINDS

REMIND_EVERY_S = 30.0


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
