"""Makes the calls by which shard nodes register in the store and read the list of members.

shard/cluster/membership.py decides when to make them; lua/heartbeat.lua and lua/leave.lua are their counterparts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from sharq_core.errors import Unavailable
from sharq_core.link.messages import Member, View
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Hint, Reply
from sharq_core.store.commands import KeyList, Word

T = TypeVar("T")

MAX_MEMBERS = 1000
"""The maximum number of shard nodes of one deployment; a heartbeat reads all of them."""

MEMBERS = -1
"""The partition number of membership calls: no real partition, but the slot of the membership's key."""

_MEMBER_REPLY = 5
_JOINED, _HELD, _FULL, _OTHER_PARTITIONS, _OTHER_DATA, _ANEW = range(6)


class Refused(msgspec.Struct, frozen=True):
    """A refused heartbeat. The node is not a member, and nothing was changed.

    Attributes:
        reason: the reason, as text for a person.
        left_us: time (µs) for which the holder of the node_id stays a member without a heartbeat; 0 if nobody holds it.
        is_lasting: True if a retry cannot help.
    """

    reason: str
    left_us: int = 0
    is_lasting: bool = False


class DataMissed(Unavailable):
    """A store without the data set that the node remembers. Nothing was done."""


class MembersLost(Unavailable):
    """A store that has lost the list of members. A heartbeat that names them restores it. Nothing was done."""


class MembershipCalls:
    """The maker of one deployment's calls. Both methods take `now_us` (None for the store's clock), for tests."""

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
        """Join, or stay a member for another ttl_us. Value: the present members, or the refusal.

        Safe to repeat. Cost: O(members).

        Args:
            data_id: the id of the data set that the node remembers; empty for none.
            view: the members that the node knew last; None for none.
            names_members: True to restore the list of members from `view` if the store has lost it.
            most: the maximum number of members.
        """
        arguments: list[Word] = [
            *_describe(member),
            ttl_us,
            most,
            self._keys.partitions,
            data_id,
            view.version if view else 0,
        ]
        if view is not None and names_members:
            arguments += [word for node in view.members for word in _describe(node)]

        def decode(raw: list[Any]) -> Reply[View | Refused | DataMissed | MembersLost]:
            return Reply(_hint(raw), _decode_heartbeat(raw, member.node_id, self._keys.partitions, most))

        return self._call(library.HEARTBEAT, now_us, arguments, decode)

    def leave(self, node_id: str, incarnation: str, *, now_us: int | None = None) -> FunctionCall[bool]:
        """End the membership. Value: False if this incarnation was not a member. Safe to repeat."""
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
        names = self._keys
        all_keys = {"members": names.members, "partitions": names.partition_count, "identity": names.identity}
        keys = KeyList.of(*(all_keys[name] for name in function.keys))
        return make_call(self._keys, function, MEMBERS, "", now_us, arguments, decode, key_list=keys)


def _hint(raw: list[Any]) -> Hint:
    return Hint(raw[1], None, None)


def _describe(member: Member) -> list[Word]:
    """Return the arguments that describe a member in a heartbeat."""
    return [member.node_id, member.incarnation, member.address, int(member.is_draining), member.formats]


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
        return Refused(f"the limit of {most} shard nodes is reached")
    if raw[4] == _OTHER_PARTITIONS:
        return Refused(other_partitions(partitions, raw[5]), is_lasting=True)
    if raw[4] == _ANEW:
        return MembersLost("the store has lost the list of members")
    return DataMissed("the store does not hold the data set that this node works on")


def other_partitions(configured: int, held: int) -> str:
    """Return the message for a node whose number of partitions differs from the data's."""
    return (
        f"[cluster] partitions: {configured} is configured, but the store's data was made with {held}; "
        "the number is fixed for the life of the data"
    )


def _decode_member(row: list[Any]) -> Member:
    node_id, incarnation, address, is_draining, formats = row
    return Member(node_id.decode(), incarnation.decode(), address.decode(), bool(is_draining), formats)
