"""Sends the dequeues that use slots of caps, and follows their replies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from math import ceil
from typing import Protocol, TypeAlias

from shard.batching.pipeline import Pipeline, SingleCall
from shard.caps.cap_set import CapSet
from shard.caps.grants import CapGrant
from shard.caps.parked_index import CapClaim, ParkedIndex, ParkedReading
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.clock import elapsed_us
from sharq_core.errors import SharqError
from sharq_core.scheduler.caps.capped_calls import CappedCalls, CappedReply
from sharq_core.scheduler.function_call import MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.replies import DequeueReply, Reply
from sharq_core.store.failures import CallFailed
from sharq_core.store.replication.durability import NotKept

AFTER_NOTHING_US = 20_000
"""Pause before a place is asked again that gave nothing although it seemed due, or that refused a late call."""

AFTER_FAILURE_US = 1_000_000
"""Pause before a place is asked again after a call about it failed."""


_LATE = DequeueReply([], [], None, 0, 0, is_cut=False, ended=0, died=0)


class DequeueObserver(Protocol):
    """The part of the node that follows the replies of all dequeues (shard/dequeuer.py)."""

    def note_leases(
        self, partition: int, queue_type: str, reply: Reply[DequeueReply], queues: int, sent_at: float
    ) -> None:
        """Update the index, the timers and the metrics from a reply."""
        ...

    def void(self, reply: Reply[DequeueReply]) -> None:
        """Void the leases of a reply that is handed to no request."""
        ...


NewsListener: TypeAlias = Callable[[int, str, int], None]
"""A function that takes a partition, a type and the number of the latest change of its parked queues."""


class CappedDequeue:
    """A dequeue under way that uses slots of a set of caps.

    Attributes:
        partition: where it leases.
        count: the most jobs that it leases, one for each slot.
    """

    def __init__(
        self,
        dequeues: CappedDequeues,
        cap_set: CapSet,
        claim: CapClaim,
        partition: int,
        grants: list[CapGrant],
    ) -> None:
        self.partition = partition
        self.count = len(grants)
        self._dequeues = dequeues
        self._cap_set = cap_set
        self._claim = claim
        self._grants = grants
        self._is_over = False
        self._is_void = False
        self._answer: asyncio.Future[tuple[Reply[CappedReply], float]] | None = None

    def send(self, pipeline: Pipeline, call: FunctionCall[CappedReply]) -> None:
        """Send the call."""
        self._answer = pipeline.submit(call, self, is_urgent=True)

    async def leased(self) -> DequeueReply:
        """Return the reply; that of a call that came too late to be done has no job.

        Raises:
            SharqError: as Dequeuer.send; its slots are lost if the call was perhaps done.
        """
        assert self._answer is not None, "the call was sent"
        try:
            reply, _ = await self._answer
        except NotKept as error:
            raise NotKept(error.message, _leases_of(error.reply)) from error
        except SharqError as error:
            self._fail(error)
            raise
        return _LATE if reply.value is None or self._is_void else reply.value.dequeue

    def observe(self, submitted: SingleCall[CappedReply], reply: Reply[CappedReply], sent_at: float) -> None:
        """Record the state of the set after the call, and keep the unused slots."""
        value = reply.value
        leases = _leases_of(reply)
        # The store may have sent the call to a new primary, whose ledger may have given the same slots.
        self._is_void = not self._cap_set.is_valid(self._grants)
        self._end(len(leases.value.jobs) if leases.value is not None else 0)
        parked, claim = self._dequeues.parked, self._claim
        if value is None:
            parked.put_off(claim, self.partition, elapsed_us() + AFTER_NOTHING_US)
            return
        news = value.dequeue.parked
        allowed_us = news.type_ready_us if news is not None else 0
        jobs = value.dequeue.jobs
        claim.note_costs(job.cost for job in jobs)
        reading = ParkedReading(
            value.due_us,
            value.dequeue.due_after,
            reply.hint.now_us,
            allowed_us,
            value.left_cost or claim.usual_cost,
            has_only_dear=value.left_cost is not None and not jobs,
        )
        parked.settle(self.partition, claim.queue_type, claim.names, reading)
        if not jobs and not value.dequeue.expired and value.left_cost is None:
            parked.delay(claim, self.partition, elapsed_us() + AFTER_NOTHING_US)
        if news is not None:
            self._dequeues.on_news(self.partition, claim.queue_type, news.changed)
        self._dequeues.observer.note_leases(self.partition, claim.queue_type, leases, 1, sent_at)
        if submitted.future.done() or self._is_void:  # no request waits for these leases, or gets them
            self._dequeues.observer.void(leases)

    def give_up(self) -> None:
        """Keep the slots and leave the place alone for a while, because its time is not known yet."""
        self._dequeues.parked.put_off(self._claim, self.partition, elapsed_us() + AFTER_NOTHING_US)
        self._end(0)

    def _fail(self, error: SharqError) -> None:
        """Keep the slots if nothing was done, and leave the place alone for a while."""
        if isinstance(error, CallFailed) or error.perhaps_done or error.is_away:
            self._dequeues.parked.put_off(self._claim, self.partition, elapsed_us() + AFTER_FAILURE_US)
        if not error.perhaps_done:
            self._end(0)
        elif not self._is_over:
            self._is_over = True
            self._cap_set.lose(self._grants)

    def _end(self, used: int) -> None:
        if not self._is_over:
            self._is_over = True
            self._cap_set.put_back(self._grants, used)


class CappedDequeues:
    """The sender of one node's dequeues with slots of caps.

    Args:
        most_us: CPU time (µs) of the store for the choice of the jobs of one call.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: CappedCalls,
        clocks: PartitionClocks,
        parked: ParkedIndex,
        on_news: NewsListener,
        observer: DequeueObserver,
        most_us: int,
    ) -> None:
        self._most_us = most_us
        self.parked = parked
        self.on_news = on_news
        self.observer = observer
        self._pipeline = pipeline
        self._calls = calls
        self._clocks = clocks

    def send(
        self, cap_set: CapSet, claim: CapClaim, wanted: int, max_bytes: int, lease_us: int, begun_us: int
    ) -> list[CappedDequeue]:
        """Lease up to `wanted` jobs of a type and set, with the slots that may be used now, where queues wait longest.

        Args:
            max_bytes: the payload bytes of all calls together.
            begun_us: the slots may be used since this time.
        """
        grants, units = cap_set.take(claim, wanted, lease_us, begun_us)
        if not grants:
            return []
        sent: list[CappedDequeue] = []
        shares = claim.spread(elapsed_us(), len(grants), units)
        at = 0
        for partition, count in shares.items():
            own = grants[at : at + count]
            at += count
            # The store must not run the call after the first of its slots has ended.
            limit = self._clocks.deadline(partition, min(grant.until_us for grant in own))
            dequeue = CappedDequeue(self, cap_set, claim, partition, own)
            if limit is None:
                dequeue.give_up()
                continue
            call = self._calls.dequeue_capped(
                partition,
                claim.queue_type,
                claim.names,
                count,
                units,
                lease_us,
                os.urandom(8),
                per_queue=ceil(count / claim.places[partition].queues),
                most_us=self._most_us,
                max_bytes=min(max_bytes // len(shares), MAX_CALL_BYTES),
                permits=[grant.permits for grant in own],
                not_after_us=limit[0],
                clock_number=limit[1],
            )
            dequeue.send(self._pipeline, call)
            sent.append(dequeue)
        # There are fewer due jobs than slots.
        if at < len(grants):
            cap_set.put_back(grants[at:], 0)
        return sent


def _leases_of(reply: Reply[CappedReply]) -> Reply[DequeueReply]:
    """Return the reply as that of a plain dequeue."""
    value = None if reply.value is None else reply.value.dequeue
    return Reply(reply.hint, value, reply.is_expired)
