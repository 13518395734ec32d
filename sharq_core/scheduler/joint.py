"""Joint calls: what calls of one function for several partitions do, as one call, where one server has them all.

A batch of a hundred jobs falls on 50 of 64 partitions, and what a call of two jobs costs the store is to an eighth the
call itself. A Redis Cluster takes no such call: its keys must be of one slot. Not here: what it does in the store
(lua/joint.lua).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from sharq_core.errors import SharqError
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.store.commands import Fcall, KeyList
from sharq_core.store.failures import refusal
from sharq_core.store.replication.durability import NotKept

_SHARED = 2
"""Arguments that the calls have together: the time, which is the store's but in tests, and the type; and as many values
of their replies: that the whole was done, and the time.
"""

_DONE, _EXPIRED, _NO_TIME = 0, 1, -1
"""What the head of a reply is made of."""

_DECLARED = "counters"
"""The one key of each partition that is declared: a server that has not all of them refuses (CROSSSLOT)."""


@lru_cache(maxsize=4096)
def _declared(name: bytes) -> KeyList:
    return KeyList.of(name)


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
        at = first.function.keys.index(_DECLARED)
        keys = tuple([_declared(call.keys.names[at]) for call in self.calls])
        return Fcall(
            first.function.joint_name,
            keys,
            [*first.arguments[:_SHARED], lengths, *chain.from_iterable(parts)],
            [call.kind for call in self.calls],
        )

    def split(self, answer: Any | SharqError) -> list[Any | SharqError]:
        """Each call's own answer, of the one that came."""
        if len(self.calls) == 1:
            return [answer]
        if isinstance(answer, NotKept):
            return [_not_kept(answer.message, own) for own in self.split(answer.reply)]
        if isinstance(answer, SharqError):
            return [answer] * len(self.calls)
        return list(_replies(answer))


def _replies(row: list[Any]) -> Iterator[Any | SharqError]:
    """Each call's own reply, as it is when the call goes alone, or its error."""
    now_us, at = row[1], _SHARED
    while at < len(row):
        head = row[at]
        at += 1
        if isinstance(head, ResponseError):
            yield refusal(head)
        elif head:
            yield [_DONE, now_us, *row[at : at + head]]
            at += head
        else:
            yield [_EXPIRED, now_us, _NO_TIME, _NO_TIME]


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
