"""Words the problems of one server of the store.

It does so for the log while they last, and in short for readiness, the cluster's page and clients.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any

from sharq_core.errors import SharqError
from sharq_core.logs.advice import STORE, with_advice
from sharq_core.logs.troubles import Trouble
from sharq_core.store.failures import WritesRefused, is_refusal, why, why_away

log = logging.getLogger(__name__)

_OF_OTHER_TLS = ("no answer", "the connection was reset", "it closed the connection")
"""The beginnings of reasons that may mean a TLS mismatch: the server expects TLS and gets none, or the reverse."""

_QUIET_S = 5.0
"""The time in seconds without a refusal after which refusing is over: reads may be answered while writes are refused.
"""

_WRITES_REFUSED_S = 12.0
"""The time in seconds after a refused write until which the server counts as refusing writes. By then it was inspected.
"""


class NodeHealth:
    """The problems of one server.

    Args:
        where: the server, as fields for the log.
        has_tls: the connections to it use TLS.

    Attributes:
        refuses: it answers but refuses its work.
    """

    def __init__(self, where: str, *, has_tls: bool) -> None:
        self._where = where
        self._hint = f" (perhaps it {'does not speak' if has_tls else 'expects'} TLS)"
        self._was_reached = False
        self.refuses = False
        self._away = Trouble(log, "store_unreachable", "%s")
        self._refusing = Trouble(log, "store_refuses", "%s")
        self._refused_at = 0.0
        self._write_refused_at = -_WRITES_REFUSED_S

    @property
    def refuses_writes(self) -> bool:
        """Return True if it refused a write for lack of a working disk, until it has been inspected again."""
        return monotonic() - self._write_refused_at < _WRITES_REFUSED_S

    @property
    def reason(self) -> str | None:
        """The reason why it cannot be used, without its address; None while no problem is known."""
        return self._away.reason or self._refusing.reason

    def note_failure(self, error: Exception, timeout_s: float | None = None) -> str:
        """Note that the server was not reached or did not answer; return the reason, in words for anyone.

        A server that was never reached may be configured differently for TLS.

        Args:
            timeout_s: the time that was waited for it, in seconds.
        """
        reason = self._worded(why_away(error, timeout_s))
        # Waits of different lengths are one reason.
        lasting = self._worded(why_away(error)) if isinstance(error, TimeoutError) else reason
        text = str(error)
        self._away.note(lasting, self._where, detail=reason if text in reason else f"{reason} ({text})")
        return reason

    def note_reached(self) -> None:
        """Note that it has answered, for the first time or again."""
        self._was_reached = True
        away_s = self._away.end()
        if away_s is None:
            log.info("store_reached %s", self._where)
        else:
            log.info("store_reached %s away_s=%.1f", self._where, away_s)

    def note_answers(self, answers: Sequence[Any | SharqError]) -> None:
        """Note its answers to a pipeline. The last one decides: a refusal concerns all writes alike."""
        refusal = answers[-1]
        if isinstance(refusal, WritesRefused):
            self._write_refused_at = monotonic()
        if is_refusal(refusal):
            self.refuses, self._refused_at = True, monotonic()
            self._refusing.note(with_advice(why(refusal), STORE), self._where)
        elif (
            self.refuses
            and not isinstance(refusal, SharqError)
            and monotonic() - self._refused_at >= _QUIET_S
        ):
            self.refuses = False
            log.info("store_refuses_no_more %s refused_s=%.1f", self._where, self._refusing.end())

    def _worded(self, reason: str) -> str:
        """Return a reason with a hint if it may be TLS, and with the setting to change."""
        is_hinted = reason.startswith(_OF_OTHER_TLS) and not self._was_reached
        return with_advice(f"{reason}{self._hint}" if is_hinted else reason, STORE)
