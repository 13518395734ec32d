"""Cancels the jobs of a queue whose ids begin with a prefix, step by step.

The first step notes where the queue ends, so jobs that are enqueued later are kept and the walk comes to an end.

The walk rests after each step for as long as the step took, so that it uses no more than half of a shard's and a
store's time. Without rests, `python -m benchmarks life` finds the p99 of other dequeues three to five times as long
during a cancellation of 500,000 jobs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.link.job_calls import CancelMatching
from sharq_core.link.messages import QueueCall
from sharq_core.logs.plurals import counted, was_or_were
from sharq_core.models import QueueKey

log = logging.getLogger(__name__)

MAX_REST_S = 0.05
"""The longest rest after a step: a step that waited for a slow store did not work all that time."""

ReplyT = TypeVar("ReplyT")


class QueueRoutes(Protocol):
    """The access to the owner of a queue (router/shards/dispatch.py)."""

    async def route(self, call: QueueCall[ReplyT]) -> ReplyT:
        """Return the reply of the owner of a queue's partition; raise its error."""
        ...


async def cancel_matching(
    routes: QueueRoutes, key: QueueKey, prefix: str, is_gone: Callable[[], bool]
) -> int:
    """Cancel the queued and delayed jobs of a queue whose ids begin with a prefix; return their number.

    Args:
        prefix: empty for all jobs.
        is_gone: returns True once the client has left. The walk then stops before its next step and undoes nothing.

    Raises:
        Unavailable, Overloaded: nothing was done.
        OutcomeUnknown: some jobs were or may have been cancelled, and the walk is incomplete.
    """
    cancelled, scan = 0, ""
    try:
        while True:
            begun_at = time.monotonic()
            page = await routes.route(CancelMatching(key, prefix, scan))
            cancelled += page.cancelled
            scan = page.scan
            if not scan:
                return cancelled
            if is_gone():
                log.info(
                    "cancel_walk_ended queue_type=%s queue_id=%s cancelled=%d: the client left",
                    key.queue_type,
                    key.queue_id,
                    cancelled,
                )
                return cancelled
            await asyncio.sleep(min(time.monotonic() - begun_at, MAX_REST_S))
    except SharqError as error:
        if not cancelled or error.perhaps_done:
            raise
        done = f"{counted(cancelled, 'job')} {was_or_were(cancelled)} cancelled"
        raise OutcomeUnknown(f"{done}, then: {error.message}") from error
