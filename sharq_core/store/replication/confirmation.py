"""Decides from a primary's answers if the servers that must confirm a call have done so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

from sharq_core.errors import SharqError
from sharq_core.store.commands import Command
from sharq_core.store.replication.durability import Promise
from sharq_core.store.replication.successors import Replication, Successors, parse_replication

log = logging.getLogger(__name__)

ROUND_S = 0.25
"""The longest wait in seconds of one question; the servers that must confirm are determined again before the next one.
"""

EXCUSED_FOR_S = 1.5
"""The time in seconds for which a server that cannot be promoted stays excused after the last report of it."""

_NOT_CONFIRMED = "not every server that may be promoted confirmed it in time"


class Confirmation:
    """The servers that must confirm the calls of one primary.

    Args:
        where: the primary, for the log.
    """

    def __init__(self, promise: Promise, where: str) -> None:
        self._promise = promise
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._successors: Successors | None = None
        self._excused_until = 0.0

    def follow(self, successors: Successors | None) -> None:
        """Use the successors read just now; None if they are unknown, and then nothing is confirmed."""
        self._successors = successors
        self._excused_until = self._loop.time() + EXCUSED_FOR_S

    def questions(self, wait_until: float) -> list[Command]:
        """Return the commands that wait for the servers, at most until a time of the loop, and then list them."""
        wait_s = min(ROUND_S, max(wait_until - self._loop.time(), 0.0))
        count = 1 if self._successors is None else self._current(self._successors).count
        return self._promise.questions(count, wait_s)

    def why_not(self, offset: int, answers: Sequence[Any | SharqError]) -> str | None:
        """Return why the primary's stream is not confirmed up to an offset; None if it is.

        Args:
            answers: the answers to `questions`.
        """
        for answer in answers:
            if isinstance(answer, SharqError):
                return f"it is unknown if others have it: {answer.message}"
        replication = parse_replication(cast(bytes, answers[-1]))
        if self._successors is None or not replication.is_primary:
            return _NOT_CONFIRMED
        self._successors = self._successors.noting(replication)
        if lacking := self._current(self._successors).lacking(replication, offset):
            log.debug("not_confirmed %s by=%s offset=%d", self._where, ",".join(lacking), offset)
            return _NOT_CONFIRMED
        return None if self._is_on_disks(answers, replication) else _NOT_CONFIRMED

    def _current(self, successors: Successors) -> Successors:
        return successors if self._loop.time() < self._excused_until else successors.without_excuses()

    def _is_on_disks(self, answers: Sequence[Any], replication: Replication) -> bool:
        """Return True if the disks have it.

        WAITAOF counts replicas without naming them, so all that follow must have it.
        """
        if not self._promise.asks_disks:
            return True
        primary, replicas = answers[-2]
        return bool(primary >= 1 and replicas >= sum(replica.is_online for replica in replication.replicas))
