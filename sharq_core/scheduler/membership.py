"""The calls by which shard nodes say that they are there, and learn who else is.

Not here: when they are made (shard/cluster/membership.py), and what they do (lua/heartbeat.lua, lua/leave.lua).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from sharq_core.errors import Unavailable
from sharq_core.link.messages import Member, View
from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Hint, Reply
from sharq_core.store.commands import KeyList, Word

T = TypeVar("T")

MAX_MEMBERS = 1000
"""Shard nodes of one deployment: a heartbeat reads all of them."""

MEMBERS = -1
"""The partition of calls that work on the membership: none, but the slot of its key."""

_MEMBER_REPLY = 5
_JOINED, _HELD, _FULL, _OTHER_PARTITIONS, _OTHER_DATA, _ANEW = range(6)


class Refused(msgspec.Struct, frozen=True):
    """The node is no member, and nothing was changed.

    Attributes:
        reason: why, in words for a person.
        left_us: how long the holder of the node_id stays a member if it is never heard again; 0 when no one holds it.
        is_lasting: trying again cannot help.
    """

    reason: str
    left_us: int = 0
    is_lasting: bool = False


class DataMissed(Unavailable):
    """The store holds another data set than the node remembers, or none. Nothing was done."""


class MembersLost(Unavailable):
    """Nobody is on record any more: say who was there, and it begins anew with them. Nothing was done."""


class MembershipCalls:
    """Makes the calls of one deployment; both take `now_us` (None: the store's clock), for tests."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def heartbeat(
        self,
        member: Member,
        ttl_us: int,
        *,
        data_id: str = "",
        view: View | None = None,
        names_members: bool = False,
        most: int = MAX_MEMBERS,
        now_us: int | None = None,
    ) -> FunctionCall[View | Refused | DataMissed | MembersLost]:
        """Be a member for ttl_us more, as described. Value: who is there now. Safe to repeat. Cost: O(members).

        Args:
            data_id: of the data set that the node remembers; empty for none.
            view: what the node knew of the members last; None for nothing.
            names_members: begin the membership anew with those, should it be lost.
        """
        arguments: list[Word] = [
            member.node_id,
            member.incarnation,
            member.address,
            int(member.is_draining),
            member.formats,
            ttl_us,
            most,
            self._keys.partitions,
            data_id,
            view.version if view else 0,
        ]
        if view is not None and names_members:
            arguments += [word for one in view.members for word in _describe(one)]

        def decode(raw: list[Any]) -> Reply[View | Refused | DataMissed | MembersLost]:
            return Reply(_hint(raw), _decode_heartbeat(raw, member.node_id, self._keys.partitions, most))

        return self._call(library.HEARTBEAT, now_us, arguments, decode)

    def leave(self, node_id: str, incarnation: str, *, now_us: int | None = None) -> FunctionCall[bool]:
        """Be a member no longer. Value: False when this incarnation was none. Safe to repeat."""
        return self._call(
            library.LEAVE, now_us, [node_id, incarnation], lambda raw: Reply(_hint(raw), bool(raw[4]))
        )

    def _call(
        self,
        function: library.Function,
        now_us: int | None,
        arguments: list[Word],
        decode: Callable[[list[Any]], Reply[T]],
    ) -> FunctionCall[T]:
        now: int | str = "" if now_us is None else now_us
        own = self._keys
        all_keys = {"members": own.members, "partitions": own.partition_count, "identity": own.identity}
        keys = KeyList.of(*(all_keys[name] for name in function.keys))
        return FunctionCall(MEMBERS, function, keys, [now, "", *arguments], decode)


def _hint(raw: list[Any]) -> Hint:
    return Hint(raw[1], None, None)


def _describe(member: Member) -> list[Word]:
    """A member as a heartbeat names it."""
    return [
        member.node_id,
        member.incarnation,
        member.address,
        int(member.is_draining),
        member.formats,
    ]


def _decode_heartbeat(
    raw: list[Any], node_id: str, partitions: int, most: int
) -> View | Refused | DataMissed | MembersLost:
    if raw[4] == _JOINED:
        rows = (raw[i : i + _MEMBER_REPLY] for i in range(6, len(raw), _MEMBER_REPLY))
        members = sorted(map(_decode_member, rows), key=lambda member: member.node_id)
        return View(raw[5], partitions, tuple(members))
    if raw[4] == _HELD:
        return Refused(f"node_id {node_id} is held by another process, at {raw[5].decode()}", raw[6])
    if raw[4] == _FULL:
        return Refused(f"there are {most} shard nodes already, and no more may join")
    if raw[4] == _OTHER_PARTITIONS:
        return Refused(other_partitions(partitions, raw[5]), is_lasting=True)
    if raw[4] == _ANEW:
        return MembersLost("the store has lost the list of members")
    return DataMissed("the store does not hold the data set that this node works on")


def other_partitions(configured: int, held: int) -> str:
    """Why a node of another number of partitions may not take part."""
    return (
        f"[cluster] partitions: {configured} is configured, but the store's data was made with {held}; "
        "the number is fixed for the life of the data"
    )


def _decode_member(row: list[Any]) -> Member:
    node_id, incarnation, address, is_draining, formats = row
    return Member(node_id.decode(), incarnation.decode(), address.decode(), bool(is_draining), formats)
