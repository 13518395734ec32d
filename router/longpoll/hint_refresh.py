"""Asks shards for the hints that have grown old, each shard once at a time, however many dequeues find them old.

The last look at every shard, before a router answers that nothing is ready, must begin after the dequeue has arrived
(I6), so it does not share these readings (router/longpoll/dequeues.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from router.longpoll.due_hints import Hints, Place
from sharq_core.errors import SharqError
from sharq_core.link.messages import Peek, ShardPort


class HintRefresh:
    """The peeks under way.

    Args:
        on_away: called with a shard that does not reach its store.
    """

    def __init__(self, hints: Hints, on_away: Callable[[ShardPort], None]) -> None:
        self._hints = hints
        self._on_away = on_away
        self._under_way: dict[Place, asyncio.Task[SharqError | None]] = {}

    def begin(self, places: Sequence[Place]) -> list[asyncio.Task[SharqError | None]]:
        """Ask for the next due times of types, and return the peeks, new ones and those that were under way.

        A peek results in the error of its shard, or in None.
        """
        return [self._under_way.get(place) or self._ask(place) for place in places]

    def _ask(self, place: Place) -> asyncio.Task[SharqError | None]:
        task = self._under_way[place] = asyncio.create_task(self._peek(place))
        task.add_done_callback(lambda _: self._under_way.pop(place))
        return task

    async def _peek(self, place: Place) -> SharqError | None:
        queue_type, shard = place
        try:
            self._hints.hear(queue_type, shard, await shard.call(Peek(queue_type)))
        except SharqError as error:
            if error.is_away:
                self._on_away(shard)
            return error
        return None
