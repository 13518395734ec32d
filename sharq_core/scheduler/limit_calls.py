"""Makes the calls that set the limits of queues, and those that list queues with their limits."""

from __future__ import annotations

from typing import TypeVar

from sharq_core.limits import QueueSettings
from sharq_core.models import QueueStats, QueueStatsPage
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library, status_replies
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall, make_call
from sharq_core.scheduler.keys import Keys
from sharq_core.store.commands import Word

T = TypeVar("T")


class LimitCalls:
    """The maker of one deployment's calls. `now_us` (None for the store's clock) is for tests."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def set_queue(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        settings: QueueSettings,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[QueueStats]:
        """Change the settings of a queue, which is created if need be. Value: the queue afterwards."""
        arguments: list[Word] = [queue_id, not_after_us or 0, *packed.queue_settings(settings)]
        decode = status_replies.decode_queue
        return make_call(self._keys, library.SET_QUEUE, partition, queue_type, now_us, arguments, decode)

    def list_queue_stats(
        self, partition: int, queue_type: str, scan: int, count: int, *, now_us: int | None = None
    ) -> FunctionCall[QueueStatsPage]:
        """Read about `count` (1 to MAX_BATCH) queues of a type from the cursor `scan` on (0 at first).

        A queue without jobs is included while its record is kept.
        """
        arguments: list[Word] = [scan, min(count, MAX_BATCH)]
        decode = status_replies.decode_queue_stats_page
        return make_call(
            self._keys, library.LIST_QUEUE_STATS, partition, queue_type, now_us, arguments, decode, count
        )
