"""Runs due timers: ended leases are requeued or dead-lettered, delayed jobs made ready, idle queues forgotten.

It sleeps until the earliest timer it knows of. It learns of timers from replies and from the agendas (shard/watch.py),
which may be early but not late; a timer that it misses is found within a second.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable

from shard.pipeline import Pipeline
from sharq_core.errors import SharqError
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import MAX_BATCH
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import Hint, ReapReply

log = logging.getLogger(__name__)

GATHER_S = 0.005
"""Time between two passes, so that leases which end one after the other cost one call."""

EXPIRED_S = 0.1
"""When to try again what came too late: the store's clock may have stepped ahead, which is mended in a moment."""

PAIRS_AT_ONCE = 64
"""Calls of one pass."""

RETRY_S = 1.0
"""When to look again at what failed, or at a timer that this version can't handle."""


class Reaper:
    """The timers of the partitions of this node.

    Args:
        owns: whether a partition is this node's; the timers of others are not run here.
        not_after_us: given a partition, the time of its server after which a call sent now must not be done.
        on_reply: told (partition, queue type, hint) of each reply, for the ready index.
        on_reaped: told (queue type, leases ended, jobs that became dead letters).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        owns: Callable[[int], bool],
        not_after_us: Callable[[int], int | None],
        on_reply: Callable[[int, str, Hint], None],
        on_reaped: Callable[[str, int, int], None],
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._owns = owns
        self._not_after_us = not_after_us
        self._on_reply = on_reply
        self._on_reaped = on_reaped
        self._loop = asyncio.get_running_loop()
        self._due: dict[tuple[int, str], float] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._earlier = asyncio.Event()

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """A call set a timer for hint.timer_us."""
        if hint.timer_us is not None:
            self.note_at(partition, queue_type, self._loop.time() + (hint.timer_us - hint.now_us) / 1e6)

    def note_at(self, partition: int, queue_type: str, due_at: float) -> None:
        """A timer of the pair is due at due_at (the loop's time, seconds), perhaps later."""
        if not self._owns(partition):
            return
        key = (partition, queue_type)
        known = self._due.get(key)
        if known is None or due_at < known:
            self._due[key] = due_at
            heapq.heappush(self._heap, (due_at, partition, queue_type))
            if self._heap[0] == (due_at, partition, queue_type):
                self._earlier.set()

    def forget(self, partition: int) -> None:
        """The partition is another node's now."""
        for key in [key for key in self._due if key[0] == partition]:
            del self._due[key]

    @property
    def lag_s(self) -> float:
        """How long the earliest timer is overdue, in seconds; 0 when none is."""
        earliest = min(self._due.values(), default=self._loop.time())
        return max(self._loop.time() - earliest, 0.0)

    async def run(self) -> None:
        """Run timers until cancelled."""
        while True:
            await self._sleep_until_due()
            await asyncio.gather(*(self._reap(*key) for key in self._take_due()))
            await asyncio.sleep(GATHER_S)

    async def _sleep_until_due(self) -> None:
        while True:
            self._earlier.clear()
            wait = self._heap[0][0] - self._loop.time() if self._heap else None
            if wait is not None and wait <= 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._earlier.wait()
            except TimeoutError:
                pass

    def _take_due(self) -> list[tuple[int, str]]:
        now = self._loop.time()
        taken: list[tuple[int, str]] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < PAIRS_AT_ONCE:
            due_at, partition, queue_type = heapq.heappop(self._heap)
            if self._due.get((partition, queue_type)) == due_at:
                del self._due[partition, queue_type]
                taken.append((partition, queue_type))
        return taken

    async def _reap(self, partition: int, queue_type: str) -> None:
        try:
            late_us = self._not_after_us(partition)
            call = self._functions.reap(partition, queue_type, not_after_us=late_us)
            reply, _ = await self._pipeline.run(call)
            if reply.is_expired:
                self.note_at(partition, queue_type, self._loop.time() + EXPIRED_S)
                return
            reaped = value_of(reply)
        except SharqError as error:
            log.warning(
                "reap_failed partition=%d queue_type=%s error=%r", partition, queue_type, error.message
            )
            self.note_at(partition, queue_type, self._loop.time() + RETRY_S)
            return
        except Exception:
            log.exception("reap_failed partition=%d queue_type=%s", partition, queue_type)
            self.note_at(partition, queue_type, self._loop.time() + RETRY_S)
            return
        self._on_reply(partition, queue_type, Hint(reply.hint.now_us, reply.hint.ready_us, None))
        self._on_reaped(queue_type, reaped.ended, reaped.died)
        self._note_next(partition, queue_type, reply.hint.now_us, reaped)

    def _note_next(self, partition: int, queue_type: str, now_us: int, reaped: ReapReply) -> None:
        if reaped.next_timer_us is None:
            return
        wait = (reaped.next_timer_us - now_us) / 1e6
        if wait <= 0 and reaped.handled < MAX_BATCH:
            wait = RETRY_S
        self.note_at(partition, queue_type, self._loop.time() + wait)
