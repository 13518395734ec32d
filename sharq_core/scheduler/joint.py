"""Joint calls: what calls of one function for several partitions do, as one call, where one server has them all.

A batch of a hundred jobs falls on 50 of 64 partitions, and what a call of two jobs costs the store is to an eighth the
call itself. A Redis Cluster takes no such call: its keys must be of one slot. Not here: what it does in the store
(lua/joint.lua).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from sharq_core.errors import SharqError
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.store.commands import Fcall
from sharq_core.store.durability import NotKept
from sharq_core.store.failures import refusal

_SHARED = 2
"""Arguments that the calls have together: the time, which is the store's but in tests, and the type."""

_HEAD = 2
"""Values of a joint reply before the first call's."""


class JointCall(msgspec.Struct, frozen=True):
    """Some calls that are sent as one.

    Attributes:
        calls: of one function and type, at least one, and several only where all of them join.
    """

    calls: tuple[FunctionCall[Any], ...]

    @property
    def whole(self) -> Fcall:
        """What is sent."""
        first = self.calls[0]
        if len(self.calls) == 1:
            return first.alone
        parts = [call.arguments[_SHARED:] for call in self.calls]
        lengths = struct.pack(f">{len(parts)}H", *map(len, parts))
        keys = tuple([call.keys for call in self.calls])
        return Fcall(
            first.function.wire_name, keys, [*first.arguments[:_SHARED], lengths, *chain.from_iterable(parts)]
        )

    def split(self, answer: Any | SharqError) -> list[Any | SharqError]:
        """Each call's own answer, of the one that came."""
        if len(self.calls) == 1:
            return [answer]
        if isinstance(answer, NotKept):
            return [_not_kept(answer.message, own) for own in self.split(answer.reply)]
        if isinstance(answer, SharqError):
            return [answer] * len(self.calls)
        return [refusal(own) if isinstance(own, ResponseError) else own for own in answer[_HEAD:]]


def _not_kept(message: str, own: Any | SharqError) -> SharqError:
    return own if isinstance(own, SharqError) else NotKept(message, own)


def join(calls: Sequence[FunctionCall[Any]]) -> list[JointCall]:
    """The calls in their order; neighbours of one function and type go together, within the bounds of a call."""
    groups: list[list[FunctionCall[Any]]] = []
    jobs = size = 0
    for call in calls:
        jobs, size = jobs + call.jobs, size + call.size
        if groups and jobs <= MAX_BATCH and size <= MAX_CALL_BYTES and _may_follow(groups[-1][0], call):
            groups[-1].append(call)
        else:
            groups.append([call])
            jobs, size = call.jobs, call.size
    return [JointCall(tuple(group)) for group in groups]


def _may_follow(first: FunctionCall[Any], call: FunctionCall[Any]) -> bool:
    """Whether they differ in nothing that a joint call has once."""
    return (
        call.function.joins
        and call.function is first.function
        and call.arguments[:_SHARED] == first.arguments[:_SHARED]
    )
