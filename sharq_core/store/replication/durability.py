"""Defines the durabilities, which are the promises of an answer.

The primary has done the work; or every server that may be promoted has it too; or all of them have it on disk.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.store.commands import Command, FcallCommand
from sharq_core.store.replication.successors import REPLICATION


class Durability(enum.StrEnum):
    """The promise of an acknowledged call."""

    FAST = "fast"
    REPLICATED = "replicated"
    SYNCED = "synced"


class NotKept(OutcomeUnknown):
    """A call that the primary has done and that not every server that may be promoted confirmed in time.

    It may survive a failover, or not.

    Attributes:
        reply: the primary's answer.
    """

    def __init__(self, message: str, reply: Any) -> None:
        super().__init__(message)
        self.reply = reply


class Promise(msgspec.Struct, frozen=True):
    """A durability above `fast`: the functions that it covers, and the questions behind their calls.

    Attributes:
        functions: names of the covered functions.
        endings: covered functions that run even while no replica follows. They end or extend leases, and a lease must
            not run out under its worker because a replica is away.
        asks_disks: the servers must have the calls on disk.
    """

    durability: Durability
    functions: frozenset[bytes]
    endings: frozenset[bytes]
    asks_disks: bool

    def covers(self, function: bytes) -> bool:
        """Return True if the promise covers the function."""
        return function in self.functions

    def refuses(self, function: bytes) -> bool:
        """Return True if the function is not done at all while no replica follows."""
        return function in self.functions and function not in self.endings

    def questions(self, replicas: int, wait_s: float) -> list[Command]:
        """Return the commands that wait until `replicas` replicas have the connection's writes, and list them then.

        A replica answers a question before it has flushed the writes that came with it, and reports again only after a
        second. WAITAOF therefore follows a WAIT, which makes it a second question (1.6 ms instead of 1 s, with
        `appendfsync always`).

        Args:
            replicas: the number of replicas to wait for.
            wait_s: the longest time for all of it, in seconds.
        """
        if not self.asks_disks:
            return [[b"WAIT", replicas, _milliseconds(wait_s)], REPLICATION]
        half_ms = _milliseconds(wait_s / 2)
        return [[b"WAIT", replicas, half_ms], [b"WAITAOF", 1, replicas, half_ms], REPLICATION]

    def settle(self, call: FcallCommand, answer: Any | SharqError, why_not: str | None) -> Any | SharqError:
        """Return a call's answer, or NotKept for a covered call that was done.

        Args:
            why_not: None if the promise is kept.
        """
        if why_not is None or isinstance(answer, SharqError) or not self.covers(call.function):
            return answer
        return NotKept(f"done, but {why_not} (durability {self.durability})", answer)


def promise_of(
    durability: Durability, functions: frozenset[bytes], endings: frozenset[bytes] = frozenset()
) -> Promise | None:
    """Return the promise of a durability; None for `fast`, which needs no confirmation."""
    if durability is Durability.FAST:
        return None
    return Promise(durability, functions, endings, durability is Durability.SYNCED)


def _milliseconds(seconds: float) -> int:
    """Return whole milliseconds, at least 1: WAIT takes 0 for ever."""
    return max(int(seconds * 1000), 1)
