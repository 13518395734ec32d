"""Tries once to lease jobs of some types from some shards, longest due first.

A shard that falls silent meanwhile, because its process is paused or cut off, delays no dequeue: the others are asked
instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from itertools import compress

from router.longpoll.due_hints import Hints, Place
from router.shards.directory import Directory
from sharq_core.errors import SharqError, Unavailable
from sharq_core.link.control_calls import PeekTypes
from sharq_core.link.messages import Dequeue, Dequeued, Peek, ShardPort
from sharq_core.models import LeasedJob

ENOUGH_BYTES = 1 << 20
"""Bytes of payloads after which no further shard is asked: each may answer 8 MiB, which is also the limit of a whole
answer.
"""

LOOK_EVERY_S = 0.1
"""Seconds between two checks whether a shard that has not answered yet has fallen silent."""


class DequeueAttempt:
    """One dequeue that does not wait.

    Args:
        has_choice: True if several types and several shards are asked. Then a shard that falls silent after it was
            asked for jobs does not keep the others from being asked; the jobs of its late answer are given back.

    Attributes:
        jobs: the leased jobs.
        failures: the errors of shards, in order.
        away: the shards that do not reach their store.
        peeked: the places whose hints were read in this attempt and that gave no less than they had promised.
    """

    def __init__(
        self, hints: Hints, directory: Directory, count: int, lease_us: int, *, has_choice: bool
    ) -> None:
        self.jobs: list[LeasedJob] = []
        self.failures: list[SharqError] = []
        self.away: set[ShardPort] = set()
        self.peeked: set[Place] = set()
        self._failed: set[ShardPort] = set()
        self._size_bytes = 0
        self._hints = hints
        self._directory = directory
        self._count = count
        self._lease_us = lease_us
        self._has_choice = has_choice
        self._late: dict[asyncio.Task[Dequeued], Place] = {}

    @property
    def may_be_repeated(self) -> bool:
        """True if the dequeue failed and certainly leased nothing."""
        return (
            not self.jobs
            and bool(self.failures)
            and not any(failure.perhaps_done for failure in self.failures)
        )

    async def peek(self, places: Sequence[Place]) -> None:
        """Ask shards for the next due time of types in their indexes, and keep it as a hint."""
        by_shard: dict[ShardPort, list[str]] = {}
        for queue_type, shard in places:
            by_shard.setdefault(shard, []).append(queue_type)
        # A single shard is awaited in any case: no other one can answer in its place.
        if len(by_shard) == 1:
            for shard, queue_types in by_shard.items():
                await self._peek_at(shard, queue_types)
            return
        peeks = {
            asyncio.create_task(self._peek_at(shard, queue_types)): shard
            for shard, queue_types in by_shard.items()
        }
        try:
            waiting = set(peeks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=LOOK_EVERY_S)
                for peek in done:
                    peek.result()
                # A silent shard may take its whole timeout to fail. The dequeue goes on with the others.
                for peek in [peek for peek in waiting if self._is_silent(peeks[peek])]:
                    waiting.remove(peek)
                    self._fail(peeks[peek], Unavailable("a shard has fallen silent"))
                    self._failed.add(peeks[peek])
        finally:
            for peek in peeks:
                peek.cancel()

    def note_failures(self, places: Sequence[Place], errors: Sequence[SharqError | None]) -> None:
        """Note the errors of shards that were asked for their hints."""
        for (_, shard), error in zip(places, errors, strict=True):
            if error is not None:
                self._fail(shard, error)

    async def take_from(self, places: Sequence[Place]) -> None:
        """Lease from one place after the other until there are enough jobs; first a job of each of several types.

        A shard that failed is not asked again, because it may take its whole timeout to fail.
        """
        places = [place for place in places if place[1] not in self._failed]
        try:
            if self._count - len(self.jobs) > 1 and any(place[0] != places[0][0] for place in places):
                places = await self._take_together(places)
            for place in places:
                wanted = self._count - len(self.jobs)
                if wanted <= 0 or self._size_bytes >= ENOUGH_BYTES:
                    return
                if place[1] not in self._failed:
                    await self._take(place, wanted)
            while self._late and not self.jobs:
                late_answer, place = self._late.popitem()
                await self._hear(*place, late_answer)
        finally:
            for late_answer in self._late:
                late_answer.cancel()  # the link gives the jobs of its answer back
            self._late.clear()

    async def _take_together(self, places: Sequence[Place]) -> list[Place]:
        """Lease one job from each of several places, and as many as there is room for from the first.

        The calls share a pipeline to the store, and the way there. One after the other, each would have both to itself.

        Returns:
            The places that may have more jobs, the longest due first.
        """
        wanted = self._count - len(self.jobs)
        first, *others = places[:wanted]
        have_more = await asyncio.gather(
            self._take(first, wanted - len(others)), *(self._take(place, 1) for place in others)
        )
        order = [queue_type for queue_type, _ in places]
        self.jobs.sort(key=lambda job: order.index(job.queue_type))
        return [*compress(places, have_more), *places[wanted:]]

    async def _take(self, place: Place, wanted: int) -> bool:
        """Lease jobs from one place, or leave it behind if its shard falls silent and there is another.

        Returns:
            True if it says that it has more that are due.
        """
        queue_type, shard = place
        self.peeked.discard(place)
        if not self._has_choice:
            return await self._hear(
                queue_type, shard, shard.call(Dequeue(queue_type, wanted, self._lease_us))
            )
        answer = asyncio.ensure_future(shard.call(Dequeue(queue_type, wanted, self._lease_us)))
        self._late[answer] = queue_type, shard
        while not answer.done():
            await asyncio.wait((answer,), timeout=LOOK_EVERY_S)
            if not answer.done() and self._is_silent(shard):
                self._failed.add(shard)
                return False
        del self._late[answer]
        return await self._hear(queue_type, shard, answer)

    async def _hear(self, queue_type: str, shard: ShardPort, answer: Awaitable[Dequeued]) -> bool:
        """Take the jobs of an answer; return True if it says that more are due."""
        try:
            reply = await answer
        except SharqError as error:
            self._fail(shard, error)
            self._failed.add(shard)
            return False
        self.jobs += reply.jobs
        self._size_bytes += sum(len(job.payload) for job in reply.jobs)
        self._hints.hear(queue_type, shard, reply.next_due_in_us)
        return reply.next_due_in_us is not None and reply.next_due_in_us <= 0

    async def _peek_at(self, shard: ShardPort, queue_types: list[str]) -> None:
        try:
            if len(queue_types) == 1:
                due_in_us = [await shard.call(Peek(queue_types[0]))]
            elif self._directory.formats >= PeekTypes.formats:
                due_in_us = await shard.call(PeekTypes(queue_types))
            else:
                peeks = (shard.call(Peek(queue_type)) for queue_type in queue_types)
                due_in_us = await asyncio.gather(*peeks)
        except SharqError as error:
            self._fail(shard, error)
            return
        for queue_type, due in zip(queue_types, due_in_us, strict=True):
            self._hints.hear(queue_type, shard, due)
            self.peeked.add((queue_type, shard))

    def _is_silent(self, shard: ShardPort) -> bool:
        """Return True if a shard can no longer be reached, as far as the directory knows."""
        return shard not in self._directory.shards()

    def _fail(self, shard: ShardPort, error: SharqError) -> None:
        self.failures.append(error)
        if error.is_away:
            self.away.add(shard)
