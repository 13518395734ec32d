"""Logs a lasting problem when it begins, every 30 s while it lasts, and when it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, Generic, TypeVar

from sharq_core.logs.rare_log import MOST_KINDS

REMIND_EVERY_S = 30.0

SETTLE_S = 5.0
"""The time in seconds after a line in which no further reason is logged. A server that goes away first closes its
connections, then resets new ones and then refuses them, all within a second.
"""

SubjectT = TypeVar("SubjectT", bound=Hashable)


class Trouble:
    """A problem that lasts for a while.

    The caller reports the result of each try; there is no timer here. A new reason that is still there SETTLE_S after
    the last line is logged, too.

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
        self._said: set[str] = set()
        self._said_at = 0.0

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
            self._since, self._said = now, set()
            self.count += 1
        self.reason = reason
        is_new = reason not in self._said and len(self._said) < MOST_KINDS
        if self._said and now - self._said_at < (SETTLE_S if is_new else REMIND_EVERY_S):
            return
        lasted = (now - self._since,) if self._said else ()
        self._log.warning(self._lasts if self._said else self._begins, *values, *lasted, detail or reason)
        self._said_at = now
        if is_new:
            self._said.add(reason)

    def end(self) -> float | None:
        """Note that the problem is over; return how many seconds it lasted, None if there was none."""
        if self.reason is None:
            return None
        lasted_s, self.reason = self.lasted_s, None
        return lasted_s


class SharedTrouble(Generic[SubjectT]):
    """A problem of several subjects, such as partitions. It lasts until none of them has it, and is logged like one.

    Args:
        fields: a template of the field that names the subject, such as `partition=%d`.
    """

    def __init__(self, log: logging.Logger, event: str, fields: str, after: str = "") -> None:
        self._trouble = Trouble(log, event, fields, after)
        self._subjects: set[SubjectT] = set()

    def note(self, subject: SubjectT, reason: str, *, detail: str | None = None) -> None:
        """Note that a subject has the problem. The arguments are those of `Trouble.note`."""
        self._subjects.add(subject)
        self._trouble.note(reason, subject, detail=detail)

    def end(self, subject: SubjectT) -> float | None:
        """Note that a subject does not have it; return how many seconds it lasted, None if it lasts or was none."""
        self._subjects.discard(subject)
        return None if self._subjects else self._trouble.end()

    def keep(self, is_kept: Callable[[SubjectT], bool]) -> None:
        """Forget the subjects for which a function returns False; the problem is over if none is left."""
        self._subjects = set(filter(is_kept, self._subjects))
        if not self._subjects:
            self._trouble.end()
