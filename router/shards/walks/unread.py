"""Collects the partitions that a list, or a change of many jobs, leaves out because their data is broken.

A partition whose keys are broken fails every call until someone repairs it, so a list that failed with it could not be
read at all. The list goes on with the other partitions and names those that it left out. A change goes on, too, and
ends with an error that names them. A partition that cannot be reached is another matter: the list fails, because it
will be whole when it is asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from sharq_core.errors import SharqError
from sharq_core.logs.rare_log import REFUSAL_EVERY_S, RareLog

log = RareLog(logging.getLogger(__name__), every_s=REFUSAL_EVERY_S)


class Unread:
    """The partitions that one list or change has left out.

    Args:
        count: the number of partitions that it reads.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._partitions: set[int] = set()

    @property
    def partitions(self) -> list[int]:
        """The partitions, sorted."""
        return sorted(self._partitions)

    def leave_out(self, partition: int, error: SharqError) -> None:
        """Go on without a partition.

        Raises:
            SharqError: the error that was passed. The partition can only not be reached, or all were left out now.
        """
        if not is_broken(error):
            raise error
        self._partitions.add(partition)
        if len(self._partitions) >= self._count:
            raise error
        log.warning(
            "partition_left_out partition=%d error=%r: lists and changes go on without it",
            partition,
            error.message,
            kind=partition,
        )


def is_broken(error: SharqError) -> bool:
    """Return True for the error of a partition whose data cannot be read: asking again does not help."""
    return error.code == SharqError.code


def broken_text(partitions: Collection[int]) -> str:
    """Return the part of a message that names broken partitions, and says when the call may be repeated."""
    names = ", ".join(map(str, sorted(partitions)))
    plural = "s" if len(partitions) > 1 else ""
    return f"the data of partition{plural} {names} is broken; repeat the call once it is repaired"
