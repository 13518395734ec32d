"""Represents one call of a library function as a value: its keys, its arguments and the decoder of its answer.

Calls are made in functions.py, merged in joint.py and run in executor.py, which sends their `command`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.library import Function
from sharq_core.scheduler.replies import Reply
from sharq_core.store.commands import FcallCommand, KeyList, Word

T = TypeVar("T")

MAX_BATCH = 100
"""The maximum number of jobs in one call."""

MAX_CALL_BYTES = 1 << 20
"""The maximum number of payload bytes in one call."""


class FunctionCall(msgspec.Struct, Generic[T], frozen=True):
    """One call, ready to be sent, alone or merged with others (joint.py).

    Attributes:
        partition: the partition of the keys; -1 for the deployment's own keys.
        arguments: the time, the queue type and the function's own arguments.
        decode: turns the store's answer into the reply.
        jobs: the maximum number of jobs that the call affects.
        size: payload bytes in the arguments.
        fallback: the call to make instead if the store is full; None for none.
    """

    partition: int
    function: Function
    keys: KeyList
    arguments: list[Word]
    decode: Callable[[list[Any]], Reply[T]]
    jobs: int = 1
    size: int = 0
    fallback: FunctionCall[T] | None = None

    @property
    def command(self) -> FcallCommand:
        """The command that sends this call alone."""
        function, keys = self.function, self.keys
        return FcallCommand(function.wire_name, (keys,), self.arguments, ((function.name, keys.names[0]),))

    @property
    def kind(self) -> tuple[str, bytes]:
        """The function and its first key, which belongs to the type in the partition or to the partition."""
        return self.function.name, self.keys.names[0]

    @property
    def queue_type(self) -> str:
        """The queue type; empty for a call about a whole partition or the deployment."""
        return str(self.arguments[1])


def make_call(
    keys: Keys,
    function: Function,
    partition: int,
    queue_type: str,
    now_us: int | None,
    arguments: list[Word],
    decode: Callable[[list[Any]], Reply[T]],
    jobs: int = 1,
    size: int = 0,
) -> FunctionCall[T]:
    """Return the call of a function for a type in a partition, at `now_us` (None: the store's clock)."""
    now: int | str = "" if now_us is None else now_us
    names = keys.of(partition, queue_type, function.keys)
    return FunctionCall(partition, function, names, [now, queue_type, *arguments], decode, jobs, size)
