"""The model of a node that uses the slots of caps: when it may send a dequeue, and until when the store may run it.

A node has one monotonic clock of its own. The ledger's server and the queue's server have theirs, and no two of them
are ever compared: the node places each reply between the moment at which it sent the call and the one at which the
reply came.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from tests.caps.model.ledger import Reply, Slot


class Grant(Struct, frozen=True):
    """A slot as the node may use it, by the node's clock.

    Attributes:
        from_us: not before this time: the slot is due then even if the ledger ran the call as late as it can have.
        until_us: not after this time: the grace is not over even if the ledger ran the call as early as it can have.
    """

    slot: Slot
    from_us: int
    until_us: int


class Contact(Struct, frozen=True):
    """A reply of the queue's server: what its clock said, and between which moments of the node's clock that was.

    Attributes:
        shifts: how many changes of its shift the partition's clock had had (clock.lua: number).
    """

    sent_us: int
    came_us: int
    told_us: int
    shifts: int


class Deadline(Struct, frozen=True):
    """Until when the queue's server may run a dequeue: by its clock, and only with the shift that the node knows."""

    not_after_us: int
    shifts: int


def is_valid(reign: int, heard: int) -> bool:
    """Return True if a slot may be used that was asked for when the node knew of so many failovers of its ledger.

    Args:
        heard: how many it knows of now. The ledgers before the latest one may have given the slots of that, too.
    """
    return reign == heard


def grants(reply: Reply, sent_us: int, came_us: int) -> list[Grant]:
    """Return the slots of a reply by the node's clock. Empty ones, which came too late to be used, are left in."""
    return [
        Grant(
            slot,
            came_us + slot.due_us - reply.now_us,
            sent_us + slot.due_us - reply.now_us + reply.grace_us,
        )
        for slot in reply.slots
    ]


def shared(several: Sequence[Grant]) -> tuple[int, int] | None:
    """Return the time in which one slot of each of several caps may be used; None if there is none."""
    from_us = max(grant.from_us for grant in several)
    until_us = min(grant.until_us for grant in several)
    return (from_us, until_us) if from_us <= until_us else None


def deadline(until_us: int, contact: Contact) -> Deadline:
    """Return until when the queue's server may run a dequeue that the node's clock allows until until_us.

    When the reply came, the server's clock said told_us or more. If it says told_us + x when the dequeue runs, then at
    most x has passed since the reply came. That is wrong after the clock stood still or stepped back, which changes the
    number of shifts: the server refuses the dequeue then.
    """
    return Deadline(contact.told_us + until_us - contact.came_us, contact.shifts)
