"""Merges calls of one function for several partitions into one command, if one server holds all the partitions.

A batch of a hundred jobs is spread over about 50 of 64 partitions, and an eighth of the cost of a two-job call is call
overhead. A Redis Cluster accepts no such call, because its keys must be in one slot. lua/joint.lua is the counterpart
in the store.
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
from sharq_core.store.commands import FcallCommand, KeyList
from sharq_core.store.failures import refusal
from sharq_core.store.replication.durability import NotKept

_SHARED = 2
"""The number of arguments that the calls share: the time (the store's, except in tests) and the type. A merged reply
begins with as many shared values: that the call was done, and the time.
"""

_DONE, _EXPIRED, _NO_TIME = 0, 1, -1
"""The values at the head of a reply."""

_DECLARED = "counters"
"""The one declared key of each partition: a server that does not hold all of them refuses the call (CROSSSLOT)."""


@lru_cache(maxsize=4096)
def _declared(name: bytes) -> KeyList:
    return KeyList.of(name)


class MergedCall(msgspec.Struct, frozen=True):
    """One or more calls that are sent as one command.

    Attributes:
        calls: at least one call; several calls are of one function and type, and all of them can be merged.
    """

    calls: tuple[FunctionCall[Any], ...]

    @property
    def command(self) -> FcallCommand:
        """The command that sends all the calls."""
        first = self.calls[0]
        if len(self.calls) == 1:
            return first.command
        # What the calls share goes once, then the number of each call's own arguments, then these in the calls' order.
        parts = [call.command.arguments[_SHARED:] for call in self.calls]
        lengths = struct.pack(f">{len(parts)}H", *map(len, parts))
        at = first.function.keys.index(_DECLARED)
        keys = tuple([_declared(call.command.keys[0].names[at]) for call in self.calls])
        return FcallCommand(
            first.function.joint_name,
            keys,
            [*first.command.arguments[:_SHARED], lengths, *chain.from_iterable(parts)],
            [call.command.kinds[0] for call in self.calls],
        )

    def split_reply(self, answer: Any | SharqError) -> list[Any | SharqError]:
        """Return the answer of each call, taken from the answer of the command."""
        if len(self.calls) == 1:
            return [answer]
        if isinstance(answer, NotKept):
            return [_not_kept(answer.message, reply) for reply in self.split_reply(answer.reply)]
        if isinstance(answer, SharqError):
            return [answer] * len(self.calls)
        return list(_replies(answer))


def _replies(row: list[Any]) -> Iterator[Any | SharqError]:
    """Yield each call's reply in the form it has if the call is sent alone, or its error."""
    # Each part begins with a head: an error, the number of the values that follow, or 0 if the call was too late.
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


def _not_kept(message: str, reply: Any | SharqError) -> SharqError:
    return reply if isinstance(reply, SharqError) else NotKept(message, reply)


def merge(calls: Sequence[FunctionCall[Any]]) -> list[MergedCall]:
    """Merge neighbouring calls of one function and type within the bounds of a call; the order is kept."""
    # Only neighbours: a call that overtook one of another function could change what that one finds.
    groups: list[list[FunctionCall[Any]]] = []
    jobs = size = 0
    for call in calls:
        jobs, size = jobs + call.jobs, size + call.size
        if groups and jobs <= MAX_BATCH and size <= MAX_CALL_BYTES and _can_merge(groups[-1][0], call):
            groups[-1].append(call)
        else:
            groups.append([call])
            jobs, size = call.jobs, call.size
    return [MergedCall(tuple(group)) for group in groups]


def _can_merge(first: FunctionCall[Any], call: FunctionCall[Any]) -> bool:
    """Return True if both calls agree in everything that a merged call holds only once."""
    return (
        call.function.joins
        and call.function is first.function
        and call.command.arguments[:_SHARED] == first.command.arguments[:_SHARED]
    )
