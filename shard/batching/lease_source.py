"""The functions of a node that a run of dequeues needs (shard/dequeue_run.py); shard/dequeuer.py has them."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Protocol, TypeAlias

from shard.caps.dequeues import CappedDequeue
from shard.metrics.outcome_counters import LeaseCounter
from sharq_core.models import LeasedJob
from sharq_core.scheduler.replies import DequeueReply, Reply
from sharq_core.store.failures import CallFailed

Answer: TypeAlias = "asyncio.Future[tuple[Reply[DequeueReply], float]]"
"""A partition's reply, and the time (time.monotonic) at which the call was sent."""


class LeaseSource(Protocol):
    """The functions of the Dequeuer that a run needs.

    Attributes:
        capped_types: the types with slots of caps that may be used, now or later.
    """

    metrics: LeaseCounter
    capped_types: Container[str]

    def due(self, queue_type: str) -> list[tuple[int, int]]:
        """Return the due partitions of a type, each with the number of its due queues; calls to them follow at once."""
        ...

    def send(
        self, partition: int, queue_type: str, count: int, per_queue: int, max_bytes: int, lease_us: int
    ) -> Answer:
        """Lease from one partition; the future has the reply and the time (time.monotonic) at which it was sent."""
        ...

    def send_capped(
        self, queue_type: str, wanted: int, max_bytes: int, lease_us: int, begun_us: int
    ) -> list[CappedDequeue]:
        """Lease up to `wanted` jobs of queues with caps, with the slots that may be used since begun_us."""
        ...

    def is_capped_first(self, queue_type: str) -> bool:
        """Return True if a queue with caps has been due longest of a type."""
        ...

    def push(self) -> None:
        """Send the calls of this wave at once."""
        ...

    def put_off(self, partition: int, queue_type: str, error: CallFailed) -> bool:
        """Skip a partition that failed by itself for a second; return True if its failure must be reported."""
        ...

    def void(self, reply: Reply[DequeueReply]) -> None:
        """Void the leases of a reply that is handed to no request."""
        ...

    def void_soon(self, jobs: list[LeasedJob]) -> None:
        """Void leases whose requests are gone, in the background."""
        ...
