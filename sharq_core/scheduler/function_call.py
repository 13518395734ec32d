"""Represents one call of a library function as a value: the command to send and the decoder of its answer.

Calls are made by arguments.make_call, merged in joint.py and run in executor.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from sharq_core.scheduler.library import Function
from sharq_core.scheduler.replies import Reply
from sharq_core.store.commands import FcallCommand

T = TypeVar("T")

MAX_BATCH = 100
"""The maximum number of jobs in one call."""

MAX_CALL_BYTES = 1 << 20
"""The maximum number of payload bytes in one call."""


class FunctionCall(msgspec.Struct, Generic[T], frozen=True):
    """One call, ready to be sent, alone or merged with others (joint.py).

    Attributes:
        partition: the partition of the keys; -1 for the deployment's own keys.
        command: sends the call alone. Its arguments are the time, the queue type and the function's own arguments.
        decode: turns the store's answer into the reply.
        jobs: the maximum number of jobs that the call affects.
        size: payload bytes in the arguments.
        fallback: the call to make instead if the store is full; None for none.
    """

    partition: int
    function: Function
    command: FcallCommand
    decode: Callable[[list[Any]], Reply[T]]
    jobs: int = 1
    size: int = 0
    fallback: FunctionCall[T] | None = None

    @property
    def queue_type(self) -> str:
        """The queue type; empty for a call about a whole partition or the deployment."""
        return str(self.command.arguments[1])
