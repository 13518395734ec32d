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
from router.shards.walks.everywhere import confirmed
from router.shards.walks.jobs import MAX_REST_S
from sharq_core.campaigns.batches import BatchCounts, sum_of
from sharq_core.errors import NotFound, OutcomeUnknown, SharqError
from sharq_core.link.campaigns.batch_calls import CancelBatch, GetBatch
from sharq_core.logs.plurals import counted, was_or_were
from sharq_core.partitions import partition_of

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

    async def get(self, queue_type: str, batch: str) -> BatchCounts:
        """Return the numbers of a batch over all partitions. Cost: one small store call for each partition."""
        newer = newer_part_of_call(GetBatch(queue_type, 0, batch), self._dispatch.formats)
        if newer is not None:
            raise refusal(newer)
        partitions = self._partitions(queue_type)
        answers = await asyncio.gather(
            *(self._dispatch.route(GetBatch(queue_type, partition, batch)) for partition in partitions),
            return_exceptions=True,
        )
        parts: list[BatchCounts] = []
        failures: list[SharqError] = []
        for answer in answers:
            if isinstance(answer, SharqError):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is not None:
                parts.append(answer)
        if failures:
            raise OutcomeUnknown(
                f"{len(answers) - len(failures)} of {len(answers)} partitions have told their part of the batch; "
                f"repeat the call: {failures[0]}"
            )
        if not parts:
            raise NotFound("batch: no job of this type has this batch, or it ended too long ago")
        return sum_of(parts)

    async def cancel(self, queue_type: str, batch: str, is_gone: Callable[[], bool]) -> int:
        """Cancel a batch; return the number of waiting jobs that this call has cancelled.

        Args:
            is_gone: returns True once the client has left. The walk then stops before its next step and undoes nothing.
        """
        await self.get(queue_type, batch)
        partitions = self._partitions(queue_type)
        steps = await confirmed(
            self._dispatch.route,
            lambda partition: CancelBatch(queue_type, partition, batch, ""),
            partitions,
            len(partitions),
        )
        cancelled = 0
        try:
            for partition, step in zip(partitions, steps, strict=True):
                scan = step.scan
                while scan:
                    if is_gone():
                        log.info(
                            "batch_walk_ended queue_type=%s batch=%s cancelled=%d: the client left",
                            queue_type,
                            batch,
                            cancelled,
                        )
                        return cancelled
                    page = await _rested(
                        self._dispatch.route(CancelBatch(queue_type, partition, batch, scan))
                    )
                    cancelled, scan = cancelled + page.cancelled, page.scan
        except SharqError as error:
            done = f"the batch takes no more jobs, and {counted(cancelled, 'job')} {was_or_were(cancelled)} cancelled"
            raise OutcomeUnknown(f"{done}; repeat the call for the others: {error.message}") from error
        return cancelled

    def _partitions(self, queue_type: str) -> Collection[int]:
        """Return the partitions that may have jobs of a type: a gathered type has only one."""
        count = self._dispatch.partitions
        return [partition_of(queue_type, "", count)] if "~" in queue_type else range(count)


async def _rested(step: Awaitable[ReplyT]) -> ReplyT:
    """Run a step, and rest for RESTS times as long as it took."""
    begun_at = time.monotonic()
    reply = await step
    await asyncio.sleep(min(RESTS * (time.monotonic() - begun_at), MAX_REST_S))
    return reply
