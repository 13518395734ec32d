"""Leases ready jobs for the requests of this node, fairly over the queues of all its partitions.

Requests of one type that arrive together form one demand. The demand is spread over the due partitions, longest due
first, in rounds: no queue gives its next job while another due queue of the type has given fewer. No two partitions are
ever asked for the same demand.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, TypeAlias

import msgspec

from shard.batching.pipeline import Pipeline
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import ASIDE_S, SetAside
from sharq_core.errors import Overloaded, SharqError, Unavailable
from sharq_core.models import LeasedJob
from sharq_core.process import tasks
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import DequeueReply, Hint, Reply
from sharq_core.store.failures import CallFailed
from sharq_core.store.replication.durability import NotKept

log = logging.getLogger(__name__)

MAX_DEMAND = 1000
"""Most jobs leased in one run, which is also the most that one request may ask for."""

TOGETHER = 32
TOGETHER_SHARE = 4
"""Most requests of one run: 32, or a quarter of those that wait if that is more. While the requests of one run are
answered, the store works for the next run. The share bounds the number of runs if each of them takes long.
"""

MAX_ANSWER_BYTES = 8 << 20
"""Most payload bytes of one run, and therefore of one answer."""

ROOM_FOR_ONE = 256 << 10
"""Least room for another call: a call always leases one job, so it needs room for the default limit of a payload."""

MAX_REQUESTS = 10_000
"""Most requests of one type that may wait for their run."""

MAX_WAVES = 200
"""Most waves of one run, besides one for each partition that was due at its start. Each wave leases a job or learns
that a partition has none, so a correct run never reaches the bound. A run that does fails instead of answering empty.
"""


Answer: TypeAlias = "asyncio.Future[tuple[Reply[DequeueReply], float]]"
"""A partition's reply, and the time (time.monotonic) at which the call was sent."""


class _Request(msgspec.Struct):
    count: int
    lease_us: int
    future: asyncio.Future[list[LeasedJob]]


class Dequeuer:
    """The dequeues of one node.

    Args:
        not_after_us: returns the time of a partition's server, in µs, after which a call sent now must not run.
        on_reply: called with (partition, queue type, hint) of each reply, for the timers.
        on_leased: called with (queue type, the time in µs for which each leased job was ready).
        on_ended: called with (queue type, leases ended, jobs that became dead letters) if a call found ended leases.
        give_back: voids leases whose requests are gone.
        set_aside: records partitions that fail while their server works; they are not asked for a second.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        index: ReadyIndex,
        not_after_us: Callable[[int], int | None],
        on_reply: Callable[[int, str, Hint], None],
        on_leased: Callable[[str, list[int]], None],
        on_ended: Callable[[str, int, int], None],
        give_back: Callable[[list[LeasedJob]], Coroutine[Any, Any, None]],
        set_aside: SetAside,
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._index = index
        self._not_after_us = not_after_us
        self._on_reply = on_reply
        self.on_leased = on_leased
        self._on_ended = on_ended
        self._give_back = give_back
        self._set_aside = set_aside
        self._loop = asyncio.get_running_loop()
        self._requests: dict[str, deque[_Request]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def dequeue(self, queue_type: str, count: int, lease_us: int) -> list[LeasedJob]:
        """Lease up to `count` ready jobs; return an empty list if the index knows of none due.

        Raises:
            Overloaded: too many requests wait. Nothing was leased.
            Unavailable: the store cannot be reached. Nothing was leased.
            OutcomeUnknown: jobs may have been leased; they come back when their leases end.
        """
        due = self._index.next_due(queue_type)
        if due is None or due > monotonic():
            return []
        request = _Request(count, lease_us, self._loop.create_future())
        requests = self._requests.get(queue_type)
        if requests is None:
            requests = self._requests[queue_type] = deque([request])
            self._start(self._serve(queue_type, requests))
        elif len(requests) >= MAX_REQUESTS:
            raise Overloaded(f"{len(requests)} dequeues of this type are waiting; try again in a moment")
        else:
            requests.append(request)
        return await request.future

    async def drained(self) -> None:
        """Wait until no run is in progress."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.begin(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, queue_type: str, requests: deque[_Request]) -> None:
        """Run one run after the other while requests wait; requests that arrive during a run join the next one.

        A run's jobs are handed out after the next run was sent, so that the store works while they are answered.
        """
        finished: _Run | None = None
        try:
            while requests or finished is not None:
                alike = _take_alike(requests)
                run = _Run(self, queue_type, alike) if alike else None
                if run is not None:
                    run.begin()
                if finished is not None:
                    finished.hand_out()
                if run is not None:
                    await run.collect()
                    requests.extendleft(reversed(run.put_back()))
                finished = run
        finally:
            del self._requests[queue_type]

    def give_back_soon(self, jobs: list[LeasedJob]) -> None:
        """Void leases whose requests are gone, in the background."""
        self._start(self._give_back(jobs))

    def void(self, reply: Reply[DequeueReply]) -> None:
        """Void the leases of a reply that is handed to no request."""
        if reply.value is not None and reply.value.jobs:
            self._start(self._give_back(reply.value.jobs))

    def send(
        self, partition: int, queue_type: str, count: int, per_queue: int, max_bytes: int, lease_us: int
    ) -> Answer:
        """Lease from one partition; the future has the reply and the time (time.monotonic) at which it was sent."""
        call = self._functions.dequeue(
            partition,
            queue_type,
            count,
            lease_us,
            os.urandom(8),
            per_queue=per_queue,
            max_bytes=max_bytes,
            not_after_us=self._not_after_us(partition),
        )

        def settle(reply: Reply[DequeueReply], sent_at: float) -> None:
            self._settle(partition, queue_type, reply, sent_at)
            if answer.done():  # the server was given up, so no request waits for these leases
                self.void(reply)

        answer: Answer = self._pipeline.send(call, settle, is_urgent=True)
        return answer

    def push(self) -> None:
        """Send the calls of this wave at once."""
        self._pipeline.push(is_urgent=True)

    def _settle(self, partition: int, queue_type: str, reply: Reply[DequeueReply], sent_at: float) -> None:
        """Update the index and the timers from a reply."""
        if reply.value is not None:
            leased, hint = reply.value, reply.hint
            # If some queues remain due, those that were served will be due again by the next call.
            queues = leased.due_before if leased.due_after else 1
            self._index.settle(partition, queue_type, hint.now_us, leased.head_us, queues, sent_at)
            self._on_reply(partition, queue_type, hint)
            if leased.ended:
                self._on_ended(queue_type, leased.ended, leased.died)

    def put_off(self, partition: int, queue_type: str, error: CallFailed) -> bool:
        """Skip a partition that failed by itself for a second; return True if its failure must be reported."""
        self._index.put_off(partition, queue_type, monotonic() + ASIDE_S)
        return self._set_aside.add(partition, queue_type, error.message)

    def due(self, queue_type: str) -> list[tuple[int, int]]:
        """Return (partition, approximate number of due queues), longest due first."""
        return self._index.due(queue_type, monotonic())


class _Run:
    """The demand of some requests, met in waves of calls to partitions.

    A run ends when its demand is met, when one answer can carry no more, or when every partition that was due at its
    start is drained: its jobs must not wait for partitions that become due later. While it continues, those partitions
    take part too, so that no queue is passed over in a round.
    """

    def __init__(self, dequeuer: Dequeuer, queue_type: str, requests: list[_Request]) -> None:
        self._dequeuer = dequeuer
        self._queue_type = queue_type
        self._requests = requests
        self._demand = sum(request.count for request in requests)
        self._lease_us = requests[0].lease_us
        self._jobs: list[LeasedJob] = []
        self._bytes = 0
        self._wave: list[tuple[int, int, Answer]] = []
        self._begun_with = {partition for partition, _ in dequeuer.due(queue_type)}
        self._unserved: dict[int, int] = {}
        self._counted: set[int] = set()
        self._rounds = 1
        self._failed: dict[int, SharqError] = {}
        self._put_off: set[int] = set()
        self._error: SharqError | None = None

    def begin(self) -> None:
        """Send the first wave."""
        try:
            self._send_wave()
        except Exception as error:  # noqa: BLE001 - logged and reported by _fail
            self._fail(error)

    async def collect(self) -> None:
        """Lease the available jobs from the partitions that can be asked, wave by wave."""
        try:
            waves_left = MAX_WAVES + len(self._begun_with)
            while self._wave:
                for partition, per_queue, answer in self._wave:
                    await self._take(partition, per_queue, answer)
                self._wave = []
                waves_left -= 1
                if waves_left:
                    self._send_wave()
                elif self._plan():
                    self._error = Unavailable(
                        "not every partition with a due queue could be asked; try again"
                    )
        except Exception as error:  # noqa: BLE001 - logged and reported by _fail
            self._fail(error)

    def put_back(self) -> list[_Request]:
        """Return the requests for the next run: those left without a job because one answer could carry no more."""
        if not self._jobs or self._error or self._begun_with.isdisjoint(self._due()):
            return []
        wanted = 0
        for index, request in enumerate(self._requests):
            if wanted >= len(self._jobs):
                unserved, self._requests = self._requests[index:], self._requests[:index]
                return unserved
            wanted += 0 if request.future.done() else request.count
        return []

    def hand_out(self) -> None:
        """Give the jobs to the requests in order of arrival, and void the leases whose requests are gone.

        A request without a job gets the failure, if there was one: an empty answer would be wrong while a due partition
        could not be asked (I6). The failure of a partition that is set aside is reported once a minute only; otherwise
        every request would get the error, and the other partitions' jobs would wait.
        """
        failure = self._error or next(iter(self._failed.values()), None)
        at = 0
        for request in self._requests:
            if request.future.done():
                continue
            own = self._jobs[at : at + request.count]
            at += len(own)
            if failure is not None and not own:
                request.future.set_exception(failure)
            else:
                request.future.set_result(own)
        if unclaimed := self._jobs[at:]:
            self._dequeuer.give_back_soon(unclaimed)

    def _fail(self, error: Exception) -> None:
        """End the run after an unexpected error, which its requests get."""
        log.error("dequeue_failed queue_type=%s", self._queue_type, exc_info=error)
        self._wave = []
        self._error = SharqError(f"the dequeue failed: {type(error).__name__}")

    def _due(self) -> dict[int, int]:
        """Return partition → approximate number of due queues for the partitions to ask, longest due first."""
        due = self._dequeuer.due(self._queue_type)
        left_out = self._failed.keys() | self._put_off
        return {partition: queues for partition, queues in due if partition not in left_out}

    def _send_wave(self) -> None:
        self._wave = [
            (
                partition,
                per_queue,
                self._dequeuer.send(partition, self._queue_type, count, per_queue, max_bytes, self._lease_us),
            )
            for partition, count, per_queue, max_bytes in self._plan()
        ]
        if self._wave:
            self._dequeuer.push()

    def _plan(self) -> list[tuple[int, int, int, int]]:
        """Return the next wave as (partition, count, limit per queue, byte limit) for each partition; empty if done."""
        wanted = self._demand - len(self._jobs)
        room = MAX_ANSWER_BYTES - self._bytes
        due = self._due()
        if wanted <= 0 or room < ROOM_FOR_ONE or self._begun_with.isdisjoint(due):
            return []
        # One due partition needs no rounds between partitions: its own function is fair over its queues.
        if len(due) == 1:
            ((partition, _),) = due.items()
            return [(partition, min(wanted, MAX_BATCH), MAX_BATCH, min(room, MAX_CALL_BYTES))]
        rounds = self._open_round(due, wanted)
        plan: list[tuple[int, int]] = []
        # Each partition is asked only for the queues that still await their turn, so that the round stays fair.
        owed = [partition for partition in due if self._unserved.get(partition, 0)]
        for partition in owed[: room // ROOM_FOR_ONE]:
            count = min(self._unserved[partition] * rounds, wanted, MAX_BATCH)
            if count:
                plan.append((partition, count))
                wanted -= count
        # The calls of a wave run side by side, so they share the room of the answer.
        budget = min(room // max(len(plan), 1), MAX_CALL_BYTES)
        return [(partition, count, rounds, budget) for partition, count in plan]

    def _open_round(self, due: dict[int, int], wanted: int) -> int:
        """Continue the current round or open the next, and return the number of rounds to ask for at once.

        A round is over when every due queue has given its job. Several rounds are asked for at once only if the demand
        covers them for every queue. The first round is alone, since only its replies tell how many queues are due.
        """
        if not any(self._unserved.get(partition, 0) for partition in due):
            if self._unserved:
                self._rounds = max(1, min(wanted // sum(due.values()), MAX_BATCH // max(due.values())))
            self._unserved = dict(due)
            self._counted.clear()
        return self._rounds

    async def _take(self, partition: int, per_queue: int, answer: Answer) -> None:
        try:
            reply, _ = await answer
            leased = value_of(reply)
        except NotKept as error:
            self._failed[partition] = error
            self._dequeuer.void(error.reply)
            return
        except CallFailed as error:
            if self._dequeuer.put_off(partition, self._queue_type, error):
                self._failed[partition] = error
            self._put_off.add(partition)
            return
        except SharqError as error:
            self._failed[partition] = error
            return
        if not leased.due_after:
            self._begun_with.discard(partition)
        self._dequeuer.on_leased(self._queue_type, leased.ready_for_us)
        self._jobs += leased.jobs
        self._bytes += sum(len(job.payload) for job in leased.jobs)
        self._note_served(partition, len(leased.jobs), per_queue, leased.due_before)

    def _note_served(self, partition: int, served: int, per_queue: int, due_before: int) -> None:
        """Update the number of the partition's due queues that still await their turn; the first reply counts them."""
        if not served or per_queue > 1:
            owed = 0
        elif partition in self._counted:
            owed = self._unserved[partition] - served
        else:
            owed = due_before - served
        self._counted.add(partition)
        self._unserved[partition] = max(owed, 0)


def _take_alike(requests: deque[_Request]) -> list[_Request]:
    """Take the first requests with equal lease times, as many as one run serves; drop those already cancelled."""
    taken: list[_Request] = []
    demand, max_requests = 0, max(TOGETHER, len(requests) // TOGETHER_SHARE)
    while requests and (not taken or requests[0].lease_us == taken[0].lease_us):
        if taken and (demand + requests[0].count > MAX_DEMAND or len(taken) == max_requests):
            break
        request = requests.popleft()
        if not request.future.done():
            taken.append(request)
            demand += request.count
    return taken
