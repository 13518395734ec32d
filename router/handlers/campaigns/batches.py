"""Handlers of batches, which count the jobs that carry their id."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from router.api import parsing
from router.api.campaigns.batch_shapes import BatchAnswer
from router.api.life.answers import CancelledMany
from router.bodies.parser import BodyParser
from router.http.request import Request, is_gone
from router.http.response import Response, answer
from router.shards.campaigns.batches import BatchRouting
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread


class BatchHandlers:
    """The handlers of batches."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._batches = BatchRouting(dispatch)
        self._parser = parser

    async def show_batch(self, request: Request) -> Response:
        """Return how many jobs of a batch are in which state."""
        parsing.no_query(request.query)
        queue_type, batch = _batch_path(request)
        unread = Unread(self._dispatch.partitions)
        counts = await self._batches.get(queue_type, batch, unread)
        return answer(
            BatchAnswer(
                queued=counts.queued,
                delayed=counts.delayed,
                leased=counts.leased,
                finished=counts.finished,
                dead=counts.dead,
                cancelled=counts.cancelled,
                total=counts.total,
                unread_partitions=unread.partitions or UNSET,
            )
        )

    async def cancel_batch(self, request: Request) -> Response:
        """Cancel a batch and its waiting jobs."""
        parsing.no_query(request.query)
        queue_type, batch = _batch_path(request)
        await request.parsed(self._parser, parsing.nothing)
        request.may_last = True
        cancelled = await self._batches.cancel(queue_type, batch, partial(is_gone, request))
        return answer(CancelledMany(cancelled=cancelled))


def _batch_path(request: Request) -> tuple[str, str]:
    """Return the queue type and the batch of a request's path."""
    return parsing.queue_type_of(request.path_values), parsing.identifier(request.path_values, "batch")
