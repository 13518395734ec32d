"""Runs due timers: requeues or dead-letters the jobs of ended leases, readies delayed jobs and forgets idle queues.

The reaper sleeps until the earliest timer that it knows of. It learns of timers from replies and from surveys
(shard/index/surveyor.py); a timer that it knows may be early but not late.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import islice

from shard.batching.pipeline import Pipeline
from shard.calendar.batch_ends import BatchEnds
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import SetAside
from shard.metrics.outcome_counters import LeaseCounter
from sharq_core.caps import Permit
from sharq_core.errors import SharqError
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import MAX_BATCH
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import Hint, ReapReply
from sharq_core.store.failures import CallFailed

log = logging.getLogger(__name__)

GATHER_S = 0.005
"""Pause between two passes, so that leases that end shortly after each other cost one call."""

EXPIRED_S = 0.1
"""Pause before a call that came too late is retried: the store's clock may have stepped and is mended soon."""

WALK_US = 300
"""CPU time of the store for the removal of expired jobs in the calls of one pass together, in µs, besides what the end
of the calls and the store's file take, which is as much again. Others wait for one such pass at most.
"""

WALK_RESTS, MAX_WALK_REST_S = 1, 0.02
"""Longest rest before the next pass that removes expired jobs, in times of the last one, and at most. There is a rest
only while other calls of this node are on their way to the same servers: a server answers what it reads at one time
together, so that these calls would wait for the pass, too.
"""

PAIRS_AT_ONCE = 64
"""Most calls of one pass."""

LOOKED_AT_ONCE = 2_000
"""Due timers that one pass sorts, in some ms, so that an awaited type is soon found among very many."""

FIRST_SHARE = 48
"""Most calls of one pass for awaited types, so that the other types are not starved."""

RETRY_S = 1.0
"""Pause before a failed call, or a timer that this version cannot handle, is tried again."""


class Reaper:
    """The timers of this node's partitions.

    Args:
        ownership: the node's partitions; it does not run the timers of others, unless the node serves every partition
            and set them itself.
        index: learns of jobs that became ready. If many timers are due, those of types that it has subscribers for
            come first.
        clocks: the latest time at which a call about a partition may run.
        metrics: counts the leases that ended, and the jobs that expired or became dead letters.
        set_aside: records partitions that fail while their server works.
        batch_ends: is told of batches that may be forgotten.

    Attributes:
        on_settled: called with the permits of leases that ended.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        ownership: Ownership,
        index: ReadyIndex,
        clocks: PartitionClocks,
        metrics: LeaseCounter,
        set_aside: SetAside,
        batch_ends: BatchEnds,
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._ownership = ownership
        self._index = index
        self._clocks = clocks
        self._metrics = metrics
        self._set_aside = set_aside
        self._batch_ends = batch_ends
        self.on_settled: Callable[[Sequence[Permit]], None] = lambda _: None
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, dict[str, float]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._first: deque[tuple[float, int, str]] = deque()
        self._backlog: OrderedDict[str, list[tuple[float, int, str]]] = OrderedDict()
        self._earlier = asyncio.Event()
        self._walks: dict[int, float] = {}

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """Record the timer of a hint, if it has one."""
        if hint.timer_us is not None:
            self.note_at(partition, queue_type, self._loop.time() + (hint.timer_us - hint.now_us) / 1e6)

    def note_at(self, partition: int, queue_type: str, due_at: float) -> None:
        """Record that a timer of the partition and type is due at due_at (the loop's time, seconds) or later."""
        if not self._ownership.serves_all and partition not in self._ownership.mine:
            return
        due = self._due.get(partition)
        if due is None:
            due = self._due[partition] = {}
        noted_at = due.get(queue_type)
        if noted_at is None or due_at < noted_at:
            due[queue_type] = due_at
            heapq.heappush(self._heap, (due_at, partition, queue_type))
            if self._heap[0] == (due_at, partition, queue_type):
                self._earlier.set()

    def forget(self, partition: int) -> None:
        """Forget the timers of a partition that another node owns now."""
        self._due.pop(partition, None)
        self._walks.pop(partition, None)

    def hurry(self, queue_type: str) -> None:
        """Move the type's due timers ahead of those of types without waiting workers."""
        self._first.extend(self._backlog.pop(queue_type, ()))

    @property
    def lag_s(self) -> float:
        """The time in seconds by which the earliest timer is overdue; 0 if none is."""
        self._drop_moved()
        earliest = [timers[0][0] for timers in (self._heap, self._first) if timers]
        earliest += [pairs[0][0] for pairs in islice(self._backlog.values(), 1)]
        return max(self._loop.time() - min(earliest, default=self._loop.time()), 0.0)

    async def run(self) -> None:
        """Run timers until cancelled."""
        while True:
            await self._sleep_until_due()
            due = self._take_due()
            await self._rest({partition for partition, _ in due})
            walk_us = WALK_US // max(len(due), 1)
            await asyncio.gather(
                *(self._reap(partition, queue_type, walk_us) for partition, queue_type in due)
            )
            await asyncio.sleep(0 if self._backlog or self._first or self._walks else GATHER_S)

    async def _rest(self, partitions: set[int]) -> None:
        """Rest before a pass that goes on with the removal of expired jobs in some of these partitions."""
        walks = {partition: self._walks.pop(partition) for partition in partitions & self._walks.keys()}
        if walks:
            rest_s = min(WALK_RESTS * max(walks.values()), MAX_WALK_REST_S)
            await self._pipeline.idle(walks.keys(), rest_s)

    async def _sleep_until_due(self) -> None:
        while not (self._backlog or self._first):
            self._earlier.clear()
            self._drop_moved()
            wait = self._heap[0][0] - self._loop.time() if self._heap else None
            if wait is not None and wait <= 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._earlier.wait()
            except TimeoutError:
                pass

    def _drop_moved(self) -> None:
        """Drop timers from the top of the heap that were replaced by earlier ones; the heap keeps them until then."""
        while self._heap and not self._stands(*self._heap[0]):
            heapq.heappop(self._heap)

    def _stands(self, due_at: float, partition: int, queue_type: str) -> bool:
        due = self._due.get(partition)
        return due is not None and due.get(queue_type) == due_at

    def _take_due(self) -> list[tuple[int, str]]:
        """Take the (partition, queue type) pairs of the next pass."""
        # Types that a worker waits for go first, but leave a share for the others; of those, the type that has waited
        # longest.
        self._sort_due()
        taken: list[tuple[int, str]] = []
        while self._first and len(taken) < (FIRST_SHARE if self._backlog else PAIRS_AT_ONCE):
            _, partition, queue_type = self._first.popleft()
            taken.append((partition, queue_type))
        while self._backlog and len(taken) < PAIRS_AT_ONCE:
            queue_type, pairs = self._backlog.popitem(last=False)
            room = PAIRS_AT_ONCE - len(taken)
            taken += [(partition, queue_type) for _, partition, _ in pairs[:room]]
            if pairs[room:]:
                self._backlog[queue_type] = pairs[room:]
                self._backlog.move_to_end(queue_type, last=False)
        if self._ownership.serves_all:
            return taken
        return [pair for pair in taken if pair[0] in self._ownership.mine]

    def _sort_due(self) -> None:
        """Move due timers from the heap: awaited types to the front, all others to the backlog."""
        now = self._loop.time()
        for _ in range(LOOKED_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                return
            timer = heapq.heappop(self._heap)
            if not self._stands(*timer):
                continue
            _, partition, queue_type = timer
            del self._due[partition][queue_type]
            if queue_type in self._index.subscribers:
                self._first.append(timer)
            else:
                self._backlog.setdefault(queue_type, []).append(timer)

    async def _reap(self, partition: int, queue_type: str, walk_us: int) -> None:
        began = self._loop.time()
        try:
            not_after_us = self._clocks.not_after_us(partition)
            call = self._functions.reap(partition, queue_type, most_us=walk_us, not_after_us=not_after_us)
            reply, _ = await self._pipeline.run(call)
            if reply.is_expired:
                self.note_at(partition, queue_type, self._loop.time() + EXPIRED_S)
                return
            reaped = value_of(reply)
        except CallFailed as error:
            self._set_aside.add(partition, queue_type, error.message)
            self.note_at(partition, queue_type, self._loop.time() + RETRY_S)
            return
        except SharqError as error:
            level = logging.DEBUG if error.is_away else logging.WARNING
            log.log(
                level, "reap_failed partition=%d queue_type=%s error=%r", partition, queue_type, error.message
            )
            self.note_at(partition, queue_type, self._loop.time() + RETRY_S)
            return
        except Exception:
            log.exception("reap_failed partition=%d queue_type=%s", partition, queue_type)
            self.note_at(partition, queue_type, self._loop.time() + RETRY_S)
            return
        self._ownership.extend_grace(partition)
        self._index.note(partition, queue_type, reply.hint)
        self._metrics.reaped(queue_type, reaped.ended, reaped.died)
        if reaped.expired:
            self._metrics.expired(queue_type, reaped.expired, reaped.dropped)
        if reaped.ended_batches:
            self._batch_ends.note(queue_type, reaped.ended_batches)
        if reaped.settled:
            self.on_settled(reaped.settled)
        self._note_next(partition, queue_type, reply.hint.now_us, reaped, self._loop.time() - began)

    def _note_next(
        self, partition: int, queue_type: str, now_us: int, reaped: ReapReply, taken_s: float
    ) -> None:
        if reaped.next_timer_us is None:
            return
        due_at = self._loop.time() + (reaped.next_timer_us - now_us) / 1e6
        if reaped.next_timer_us <= now_us:
            if reaped.expired:
                self._walks[partition] = taken_s
            elif reaped.handled < MAX_BATCH:
                due_at += RETRY_S
        self.note_at(partition, queue_type, due_at)
