"""The notes of a node that owns every partition, so that it leaves none."""

from __future__ import annotations

from shard.cluster.ownership import OwnerNotes, Ownership
from sharq_core.partitions import Ring
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.surveys import SurveyCalls


def lone_owner_notes(partitions: int) -> OwnerNotes:
    """Return the notes of a node without others."""
    ownership = Ownership("a", Ring.build(1, frozenset({"a"}), partitions))
    return OwnerNotes(ownership, SurveyCalls(Keys("t", partitions), 1))
