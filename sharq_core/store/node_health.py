"""What is wrong with one server of the store, for people: the log says it while it lasts, and a few words of it go to
readiness, to the cluster's page and to clients.

Not here: what follows from it (node.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any

from sharq_core.errors import SharqError
from sharq_core.logs.troubles import Trouble
from sharq_core.store.failures import is_refusal, why, why_away

log = logging.getLogger(__name__)

_OF_OTHER_TLS = ("no answer", "the connection was reset", "it closed the connection")
"""How a server looks whose port expects TLS when it gets none, or gets TLS and does not speak it."""

_QUIET_S = 5.0
"""A server that has refused nothing for so long refuses no more: reads may be answered while writes are refused."""


class NodeHealth:
    """The troubles of one server.

    Args:
        where: the server, as fields for the log.
        has_tls: it is spoken to over TLS.

    Attributes:
        refuses: it answers, and does not do what it is asked.
    """

    def __init__(self, where: str, *, has_tls: bool) -> None:
        self._where = where
        self._hint = f" (perhaps it {'does not speak' if has_tls else 'expects'} TLS)"
        self._was_reached = False
        self.refuses = False
        self._away = Trouble(log, "store_unreachable", "%s")
        self._refusing = Trouble(log, "store_refuses", "%s")
        self._refused_at = 0.0

    @property
    def reason(self) -> str | None:
        """Why it cannot be used, without saying where it is; None while nothing is known against it."""
        return self._away.reason or self._refusing.reason

    def note_failure(self, error: Exception, timeout_s: float | None = None) -> str:
        """It was not reached, or fell silent; returns why, in words for anybody. One that was never reached may
        differ from us in TLS.

        Args:
            timeout_s: for how long it was waited for.
        """
        reason = why_away(error, timeout_s)
        if reason.startswith(_OF_OTHER_TLS) and not self._was_reached:
            reason += self._hint
        said = str(error)
        self._away.note(reason, self._where, detail=f"{reason} ({said})" if said not in reason else None)
        return reason

    def note_reached(self) -> None:
        """It has answered, for the first time or again."""
        self._was_reached = True
        away_s = self._away.end()
        if away_s is None:
            log.info("store_reached %s", self._where)
        else:
            log.info("store_reached %s away_s=%.1f", self._where, away_s)

    def note_answers(self, answers: Sequence[Any | SharqError]) -> None:
        """It has answered so to a pipeline. Its last answer tells: what is refused is refused to all writes alike."""
        refusal = answers[-1]
        if is_refusal(refusal):
            self.refuses, self._refused_at = True, monotonic()
            self._refusing.note(why(refusal), self._where)
        elif (
            self.refuses
            and not isinstance(refusal, SharqError)
            and monotonic() - self._refused_at >= _QUIET_S
        ):
            self.refuses = False
            log.info("store_refuses_no_more %s refused_s=%.1f", self._where, self._refusing.end())
