"""One call of a function of the library, as a value: what is sent, and how its answer is read.

Not here: how each function's call is made (functions.py), which go together (joint.py), and running them (executor.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import msgspec

from sharq_core.scheduler.library import Function
from sharq_core.scheduler.replies import Reply
from sharq_core.store.commands import Fcall, KeyList, Word

T = TypeVar("T")

MAX_BATCH = 100
"""Jobs in one call."""

MAX_CALL_BYTES = 1 << 20
"""Payload bytes in one call."""


class FunctionCall(msgspec.Struct, Generic[T], frozen=True):
    """One FCALL, ready to be sent, alone or as part of a joint one (joint.py).

    Attributes:
        partition: whose keys it works on; -1 for the deployment's own.
        arguments: the time, the type and the function's own.
        decode: turns the store's answer into the reply.
        jobs: how many it is about, at the most.
        size: payload bytes in its arguments.
    """

    partition: int
    function: Function
    keys: KeyList
    arguments: list[Word]
    decode: Callable[[list[Any]], Reply[T]]
    jobs: int = 1
    size: int = 0

    @property
    def alone(self) -> Fcall:
        """What is sent when it goes alone."""
        return Fcall(self.function.wire_name, (self.keys,), self.arguments, (self.kind,))

    @property
    def kind(self) -> Hashable:
        """The function and where it works: the first key is the type's in the partition, or the partition's."""
        return self.function.name, self.keys.names[0]
