"""Defines what a shard node tells of its load: the jobs of each type, delays and failures, all from its memory.

A router sums it over all nodes (router/console/snapshots.py). Counters grow from the start of the node's process; a
smaller value than before shows a new process.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sharq_core.limits import BlockedBy

READY_DELAYS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""The greatest delay from ready to leased of each bucket, in seconds; a last bucket holds the longer ones."""


class TypeLoad(msgspec.Struct, frozen=True, array_like=True):
    """One type in the partitions of a node.

    Attributes:
        enqueued, finished: counted by the store since the data set began.
        leases: counted by the node; -1 if it does not count the type apart.
        failed: attempts that failed, counted by the node; -1 if it does not count the type apart.
        ready_for_us: how long the job that has been ready longest has waited; None if none is ready. With a cap as
            the reason, it is ready but for the cap.
        blocked_by: why the type gives no job here; None if it gives one, or if the reason is not known yet.
        caps: limit or quota of a gathered type → the share of it that is in use.
    """

    queue_type: str
    enqueued: int
    queued: int
    delayed: int
    leased: int
    finished: int
    dead: int
    leases: int = -1
    failed: int = -1
    ready_for_us: int | None = None
    blocked_by: BlockedBy | None = None
    caps: dict[str, float] = {}


class NodeLoad(msgspec.Struct, frozen=True, array_like=True):
    """The load of one node.

    Attributes:
        types: the types with most jobs first, as many as were asked for.
        whole: the sums over all types.
        types_total: the number of types.
        died: jobs that became dead letters, counted by the node.
        delays: the number of leases in each bucket of READY_DELAYS_S, counted by the node.
    """

    types: list[TypeLoad]
    whole: TypeLoad
    types_total: int
    died: int
    delays: list[int]


def delay_s(counts: Sequence[int], share: float) -> float | None:
    """Return the delay that a share of the leases did not exceed, interpolated within its bucket; None without leases.

    Args:
        counts: the number of leases in each bucket of READY_DELAYS_S.
        share: between 0 and 1.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below, low = share * total, 0, 0.0
    for count, high in zip(counts, READY_DELAYS_S, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below, low = below + count, high
    return READY_DELAYS_S[-1]
