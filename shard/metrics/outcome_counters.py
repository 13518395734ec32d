"""The interfaces of the counters that the node's parts write to; shard/metrics/node.py implements and exports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class OutcomeCounter(Protocol):
    """A metric of the outcomes of one verb."""

    def count(self, queue_type: str, outcomes: Sequence[Any], /) -> None:
        """Count the outcomes of one call."""
        ...


class LeaseCounter(Protocol):
    """The metrics of leases that begin and of those that expire."""

    def leased(self, queue_type: str, ready_for_us: list[int]) -> None:
        """Record for each leased job how long it had been ready, in µs."""
        ...

    def reaped(self, queue_type: str, ended: int, died: int) -> None:
        """Count leases that expired, and the jobs among them that became dead letters."""
        ...
