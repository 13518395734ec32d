"""Serves partitions that this node does not fully know: newly owned ones, and those of other nodes.

It leaves its own partitions to others while it does not reach their server.
"""

from __future__ import annotations

from shard.cluster.contact import Contact
from shard.cluster.ownership import Ownership
from shard.index.refresher import TYPES_A_SECOND
from shard.index.surveyor import Surveyor


class StandIn:
    """The reads that must precede an answer about a partition that is not fully known.

    Args:
        contact: the node's contact with the servers of its store.
    """

    def __init__(self, ownership: Ownership, surveyor: Surveyor, contact: Contact) -> None:
        self._ownership = ownership
        self._surveyor = surveyor
        self._contact = contact

    @property
    def count_away(self) -> int:
        """The number of this node's partitions whose server it does not reach."""
        return self._contact.owned_away

    async def make_sure(self, queue_type: str) -> bool:
        """Read a type in the partitions that are not fully known; return False if all of them are.

        Raises:
            SharqError: a partition could not be read.
        """
        if self._ownership.is_complete:
            return False
        await self._ownership.read_unknown(queue_type, self._surveyor.find)
        return True

    async def cover(self, partitions: list[int]) -> None:
        """Serve partitions whose owner a router cannot reach, for a grace period.

        Raises:
            SharqError: a partition could not be read.
        """
        for partition in partitions:
            self._ownership.extend_grace(partition)
        await self._surveyor.read(partitions, 0)
        await self._surveyor.read(partitions, TYPES_A_SECOND)

    def look_soon(self) -> None:
        """Look at all partitions now: a call may have made any of their types ready."""
        self._ownership.changed.set()

    async def leave(self, partitions: list[int]) -> None:
        """Leave partitions to other nodes while this node has no stable contact with their server."""
        if self._contact.stand_aside(partitions):
            await self._surveyor.forget_unserved()
