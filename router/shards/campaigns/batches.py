"""Reads batches from all partitions that may have jobs of them, and cancels them there.

A cancellation first marks the batch in every partition, so that no further job is taken or leased, and then removes the
waiting jobs in small steps, with rests in between, so that the calls of others are held up neither long nor often.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from router.shards.dispatch import Dispatch
from router.shards.upgrade import newer_part_of_call, refusal
from router.shards.walks.everywhere import answers_in, not_everywhere
from router.shards.walks.jobs import MAX_REST_S
from router.shards.walks.unread import Unread, broken_text, is_broken
from sharq_core.campaigns.batches import BatchCounts, BatchStep, sum_of
from sharq_core.errors import NotFound, OutcomeUnknown, SharqError
from sharq_core.link.campaigns.batch_calls import CancelBatch, GetBatch
from sharq_core.logs.plurals import counted, was_or_were
from sharq_core.partitions import is_gathered, partition_of

RESTS = 2
"""The length of the rest after a step, as a multiple of the time that the step took."""

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT")


class BatchRouting:
    """The operations on batches.

    All methods raise NotFound if no partition knows the batch, Unavailable (nothing was done) while a shard does not
    know the calls, and OutcomeUnknown (safe to repeat) if a partition did not answer.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def get(self, queue_type: str, batch: str, unread: Unread) -> BatchCounts:
        """Return the numbers of a batch over all partitions. Cost: one small store call for each partition.

        Args:
            unread: gets the partitions that are left out.

        Raises:
            SharqError: the batch is in none of the partitions that can be read. It may be in another one.
        """
        newer = newer_part_of_call(GetBatch(queue_type, 0, batch), self._dispatch.formats)
        if newer is not None:
            raise refusal(newer)
        partitions = self._partitions(queue_type)
        told, failures = await answers_in(
            self._dispatch.route, lambda partition: GetBatch(queue_type, partition, batch), partitions
        )
        passing = [error for error in failures.values() if not is_broken(error)]
        if passing:
            raise OutcomeUnknown(
                f"{len(told)} of {len(partitions)} partitions have told their part of the batch; "
                f"repeat the call: {passing[0]}"
            )
        for partition, error in failures.items():
            unread.leave_out(partition, error)
        parts = [part for part in told.values() if part is not None]
        if not parts:
            if failures:
                raise next(iter(failures.values()))
            raise NotFound("batch: no job of this type has this batch, or it ended too long ago")
        return sum_of(parts)

    async def cancel(self, queue_type: str, batch: str, is_gone: Callable[[], bool]) -> int:
        """Cancel a batch; return the number of waiting jobs that this call has cancelled.

        Args:
            is_gone: returns True once the client has left. The walk then stops before its next step and undoes nothing.
        """
        unread = Unread(self._dispatch.partitions)
        await self.get(queue_type, batch, unread)
        partitions = [one for one in self._partitions(queue_type) if one not in unread.partitions]
        steps = await self._mark(queue_type, batch, partitions, unread)
        walk = _CancelWalk(self._dispatch, queue_type, batch, is_gone)
        try:
            for partition, step in steps.items():
                try:
                    if not await walk.cancel_in(partition, step.scan):
                        return walk.cancelled
                except SharqError as error:
                    unread.leave_out(partition, error)
        except SharqError as error:
            done = f"the batch takes no more jobs, and {walk.done_text}"
            raise OutcomeUnknown(f"{done}; repeat the call for the others: {error.message}") from error
        if unread.partitions:
            raise OutcomeUnknown(f"{walk.done_text}, but {broken_text(unread.partitions)}")
        return walk.cancelled

    async def _mark(
        self, queue_type: str, batch: str, partitions: Collection[int], unread: Unread
    ) -> dict[int, BatchStep]:
        """Mark a batch as cancelled in some partitions, and return the first step of each that has done it.

        Args:
            unread: gets the partitions that are left out.
        """
        steps, failures = await answers_in(
            self._dispatch.route,
            lambda partition: CancelBatch(queue_type, partition, batch, ""),
            partitions,
        )
        if not all(map(is_broken, failures.values())):
            raise not_everywhere(len(steps), len(self._partitions(queue_type)), failures)
        for partition, error in failures.items():
            unread.leave_out(partition, error)
        return steps

    def _partitions(self, queue_type: str) -> Collection[int]:
        """Return the partitions that may have jobs of a type: a gathered type has only one."""
        count = self._dispatch.partitions
        return [partition_of(queue_type, "", count)] if is_gathered(queue_type) else range(count)


class _CancelWalk:
    """The removal of the waiting jobs of a batch that is marked as cancelled.

    Attributes:
        cancelled: the number of jobs that were cancelled so far.
    """

    def __init__(self, dispatch: Dispatch, queue_type: str, batch: str, is_gone: Callable[[], bool]) -> None:
        self._dispatch = dispatch
        self._queue_type = queue_type
        self._batch = batch
        self._is_gone = is_gone
        self.cancelled = 0

    @property
    def done_text(self) -> str:
        return f"{counted(self.cancelled, 'job')} {was_or_were(self.cancelled)} cancelled"

    async def cancel_in(self, partition: int, scan: str) -> bool:
        """Cancel the waiting jobs of one partition from a cursor on; return False if the client left before a step."""
        while scan:
            if self._is_gone():
                log.info(
                    "batch_walk_ended queue_type=%s batch=%s cancelled=%d: the client left",
                    self._queue_type,
                    self._batch,
                    self.cancelled,
                )
                return False
            call = CancelBatch(self._queue_type, partition, self._batch, scan)
            page = await _rested(self._dispatch.route(call))
            self.cancelled += page.cancelled
            scan = page.scan
        return True


async def _rested(step: Awaitable[ReplyT]) -> ReplyT:
    """Run a step, and rest for RESTS times as long as it took."""
    begun_at = time.monotonic()
    reply = await step
    await asyncio.sleep(min(RESTS * (time.monotonic() - begun_at), MAX_REST_S))
    return reply
