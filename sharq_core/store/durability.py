"""What an answer promises: that the primary has done the work, that a replica has it too, or that both have it on disk.

Not here: sending (node.py), which functions are covered (scheduler/library.py), and whether the servers are set up for
it (inspection.py).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError

_Words: TypeAlias = Sequence[bytes | str | int]

_PATIENCE = 0.75
"""The share of a call's time that the wait may take: its answer must come before the call is given up, for a server
that says nothing counts as unreachable."""


class Durability(enum.StrEnum):
    """What is promised of an acknowledged call."""

    FAST = "fast"
    REPLICATED = "replicated"
    SYNCED = "synced"


class NotKept(OutcomeUnknown):
    """The primary has done the call, and no replica said in time that it has it. It may survive a failover, or not.

    Attributes:
        reply: what the primary answered.
    """

    def __init__(self, message: str, reply: Any) -> None:
        super().__init__(message)
        self.reply = reply


class Promise(msgspec.Struct, frozen=True):
    """How a durability above `fast` is kept: a question behind the calls of a pipeline, answered when enough have them.

    Attributes:
        functions: names of the functions whose callers are promised something.
        words: the question without its time.
        is_kept: whether its answer is good.
    """

    durability: Durability
    functions: frozenset[bytes]
    words: tuple[bytes, ...]
    is_kept: Callable[[Any], bool]

    def covers(self, call: _Words) -> bool:
        """The caller of this FCALL is promised something."""
        return call[1] in self.functions

    def question(self, timeout_s: float) -> _Words:
        """To be sent behind calls that have this much time; it covers what its connection wrote before it."""
        return [*self.words, max(int(timeout_s * _PATIENCE * 1000), 1)]

    def settle(self, call: _Words, answer: Any | SharqError, kept: Any | SharqError) -> Any | SharqError:
        """A call's answer, or NotKept.

        Args:
            kept: what the question was answered; an error when the server had become a replica, or when nothing came.
        """
        if isinstance(answer, SharqError) or not self.covers(call):
            return answer
        if isinstance(kept, SharqError):
            return NotKept(f"done, but whether a replica has it is not known: {kept.message}", answer)
        if self.is_kept(kept):
            return answer
        return NotKept(f"done, but no replica confirmed it in time (durability {self.durability})", answer)


def promise_of(durability: Durability, functions: frozenset[bytes]) -> Promise | None:
    """What keeps a durability; None for `fast`, which asks nothing."""
    if durability is Durability.REPLICATED:
        return Promise(durability, functions, (b"WAIT", b"1"), lambda replicas: bool(replicas >= 1))
    if durability is Durability.SYNCED:
        return Promise(durability, functions, (b"WAITAOF", b"1", b"1"), lambda disks: min(disks) >= 1)
    return None
