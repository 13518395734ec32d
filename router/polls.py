"""The dequeue across shards: hints first, every shard's index before a 404, and long polls that park here.

Not here: what is ready inside one shard (shard/ready_index.py), and everything but the dequeue (router/dispatch.py).
"""

from __future__ import annotations

from collections.abc import Callable

from router.dispatch import Directory
from sharq_core.models import LeasedJob


class Polls:
    """Hands ready jobs to the requests that ask for them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def dequeue(
        self, queue_type: str, count: int, lease_us: int, wait_us: int, is_gone: Callable[[], bool]
    ) -> list[LeasedJob]:
        """Lease up to `count` ready jobs, as soon as one is ready; an empty list when none was within wait_us.

        Args:
            is_gone: True once the client has left; nothing is leased for it any more.

        Raises:
            Overloaded: too many requests wait already. Nothing was leased.
            Unavailable: no shard or store can be reached. Nothing was leased.
            OutcomeUnknown: a job may have been leased; it comes back at its lease's end.
        """
        raise NotImplementedError

    async def give_back(self, jobs: list[LeasedJob]) -> None:
        """Void leases that nobody received: the jobs go to another waiter or back to their place."""
        raise NotImplementedError

    def drain(self) -> None:
        """Answer every parked poll with nothing, and park none from now on."""
        raise NotImplementedError
