"""Durability: what an answer promises. The primary has done the work; or every server that may take over has it, too;
or all of them have it on disk.

Not here: sending (node.py), waiting for the servers that may take over (replication_guard.py), which ones these are
(successors.py), which functions are covered (scheduler/library.py), and how the servers are set up
(sharq_core/store/settings_audit.py).
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.store.commands import Command, Fcall
from sharq_core.store.replication.successors import REPLICATION


class Durability(enum.StrEnum):
    """What is promised of an acknowledged call."""

    FAST = "fast"
    REPLICATED = "replicated"
    SYNCED = "synced"


class NotKept(OutcomeUnknown):
    """The primary has done the call, and not every server that may take over confirmed it in time. It may survive a
    failover, or not.

    Attributes:
        reply: what the primary answered.
    """

    def __init__(self, message: str, reply: Any) -> None:
        super().__init__(message)
        self.reply = reply


class Promise(msgspec.Struct, frozen=True):
    """A durability above `fast`: which functions it covers, and what is asked behind their calls.

    Attributes:
        functions: names of the functions whose callers are promised something.
        endings: those of them that are done even while no replica follows: they end leases or make them longer, and a
            lease must not run out under its worker because a replica is away.
        asks_disks: the servers have to have the calls on disk.
    """

    durability: Durability
    functions: frozenset[bytes]
    endings: frozenset[bytes]
    asks_disks: bool

    def covers(self, function: bytes) -> bool:
        """Return True if the function's callers are promised something."""
        return function in self.functions

    def refuses(self, function: bytes) -> bool:
        """Return True if the function is not done at all while no replica follows."""
        return function in self.functions and function not in self.endings

    def questions(self, replicas: int, wait_s: float) -> list[Command]:
        """Return the commands that wait until some replicas have what their connection wrote, and then say which do.

        A replica that is asked answers before it has flushed what came with the question, and says no more for a
        second: so WAITAOF stands behind a WAIT, which makes it a second question (1.6 ms instead of 1 s, with
        `appendfsync always`).

        Args:
            replicas: how many to wait for.
            wait_s: the longest time that all of it may take.
        """
        if not self.asks_disks:
            return [[b"WAIT", replicas, _milliseconds(wait_s)], REPLICATION]
        half_ms = _milliseconds(wait_s / 2)
        return [[b"WAIT", replicas, half_ms], [b"WAITAOF", 1, replicas, half_ms], REPLICATION]

    def settle(self, call: Fcall, answer: Any | SharqError, why_not: str | None) -> Any | SharqError:
        """Return a call's answer, or NotKept for a covered call that was done.

        Args:
            why_not: None when the promise is kept.
        """
        if why_not is None or isinstance(answer, SharqError) or not self.covers(call.function):
            return answer
        return NotKept(f"done, but {why_not} (durability {self.durability})", answer)


def promise_of(
    durability: Durability, functions: frozenset[bytes], endings: frozenset[bytes] = frozenset()
) -> Promise | None:
    """Return what keeps a durability (see Promise); None for `fast`, which asks nothing."""
    if durability is Durability.FAST:
        return None
    return Promise(durability, functions, endings, durability is Durability.SYNCED)


def _milliseconds(seconds: float) -> int:
    """WAIT takes 0 for ever."""
    return max(int(seconds * 1000), 1)
