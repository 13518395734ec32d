"""Defines the calls about batches. All are of format 4, and each is about the part of a batch in one partition."""

from __future__ import annotations

from typing import ClassVar

from sharq_core.campaigns.batches import BatchCounts, BatchStep
from sharq_core.link.messages import PartitionCall


class GetBatch(PartitionCall[BatchCounts | None], frozen=True):
    """A call for the numbers of a batch in a partition; None if the partition does not know it."""

    function: ClassVar[str] = "get_batch"
    formats: ClassVar[int] = 4
    is_read: ClassVar[bool] = True

    batch: str


class CancelBatch(PartitionCall[BatchStep], frozen=True):
    """A call that cancels a batch in a partition, one bounded step of a walk.

    Attributes:
        scan: the cursor of the step before; empty for the first one, which marks the batch and cancels no job yet.
    """

    function: ClassVar[str] = "cancel_batch"
    formats: ClassVar[int] = 4

    batch: str
    scan: str
