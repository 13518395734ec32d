"""Defines the shapes of answers about batches."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from router.api.response_shapes import Success, UnreadOut

BATCH_MEANING = "The batch: all jobs of the type that were enqueued with this `batch`."


class BatchAnswer(Success, frozen=True, kw_only=True):
    """The jobs of a batch by state, over all queues. The six numbers add up to `total` at every moment."""

    queued: Annotated[
        int, Meta(description="Jobs that wait in their queues, those behind a rate or a hold, too.")
    ]
    delayed: Annotated[int, Meta(description="Jobs that wait for their time.")]
    leased: Annotated[int, Meta(description="Jobs that a worker holds.")]
    finished: Annotated[int, Meta(description="Jobs whose work is done.")]
    dead: Annotated[int, Meta(description="Jobs that are dead letters.")]
    cancelled: Annotated[
        int,
        Meta(
            description="Jobs that were cancelled, deleted with their queues or dropped when they expired, and dead "
            "letters that were dropped."
        ),
    ]
    total: Annotated[int, Meta(description="All jobs that were accepted with this batch.")]
    unread_partitions: UnreadOut | UnsetType = UNSET
