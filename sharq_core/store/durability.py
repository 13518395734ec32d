"""What an answer promises: that the primary has done the work, that a replica has it too, or that both have it on disk.

Not here: sending (node.py), what happens while promises are not kept (keeping.py), which functions are covered
(scheduler/library.py), and whether the servers are set up for it (inspection.py).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.store.commands import Command, Fcall

_WAIT_SHARE = 0.75
"""Of a call's time, for the wait: its answer must come before the call is given up, for a server
that says nothing counts as unreachable."""

_WAIT = (b"WAIT", b"1")
_WAITAOF = (b"WAITAOF", b"1", b"1")
"""A replica that is asked answers before it has flushed what came with the question, and says no more for a second: so
WAITAOF stands behind a WAIT, which makes it a second question (1.6 ms instead of 1 s, with appendfsync always).
"""


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
    """How a durability above `fast` is kept: questions behind the calls of a pipeline, answered when enough have them.

    Attributes:
        functions: names of the functions whose callers are promised something.
        endings: those of them that are done even while no replica follows: they end leases or make them longer, and a
            lease must not run out under its worker because a replica is away.
        words: the questions without their time.
        is_kept: whether the answer of the last one is good.
    """

    durability: Durability
    functions: frozenset[bytes]
    endings: frozenset[bytes]
    words: tuple[tuple[bytes, ...], ...]
    is_kept: Callable[[Any], bool]

    def covers(self, function: bytes) -> bool:
        """Who calls it is promised something."""
        return function in self.functions

    def refuses(self, function: bytes) -> bool:
        """It is not done at all while no replica follows."""
        return function in self.functions and function not in self.endings

    def questions(self, timeout_s: float) -> list[Command]:
        """To be sent behind calls that have this much time; they cover what their connection wrote before."""
        wait_ms = max(int(timeout_s * _WAIT_SHARE * 1000) // len(self.words), 1)
        return [[*words, wait_ms] for words in self.words]

    def settle(self, call: Fcall, answer: Any | SharqError, kept: Any | SharqError) -> Any | SharqError:
        """A call's answer, or NotKept.

        Args:
            kept: what the last question was answered; an error when the server is a replica now, or nothing came.
        """
        if isinstance(answer, SharqError) or not self.covers(call.function):
            return answer
        if isinstance(kept, SharqError):
            return NotKept(f"done, but whether a replica has it is not known: {kept.message}", answer)
        if self.is_kept(kept):
            return answer
        return NotKept(f"done, but no replica confirmed it in time (durability {self.durability})", answer)


def promise_of(
    durability: Durability, functions: frozenset[bytes], endings: frozenset[bytes] = frozenset()
) -> Promise | None:
    """What keeps a durability (see Promise); None for `fast`, which asks nothing."""
    if durability is Durability.REPLICATED:
        return Promise(durability, functions, endings, (_WAIT,), lambda replicas: bool(replicas >= 1))
    if durability is Durability.SYNCED:
        return Promise(durability, functions, endings, (_WAIT, _WAITAOF), lambda disks: min(disks) >= 1)
    return None
