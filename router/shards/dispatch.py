"""Routes calls to shards and joins their answers, for every operation of the API but the dequeue
(router/longpoll/dequeues.py).

A call about one queue or partition goes to the partition's owner, whatever it does. A bulk call is split by owner and
its answers are joined in order. A call about a whole type goes partition by partition, so that a cursor stays valid
while the ring changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from router.shards.dead_letter_walk import DeadWalk
from router.shards.directory import Directory
from router.shards.second_try import BulkCall, SecondTry
from sharq_core import errors
from sharq_core.link.messages import (
    Addressed,
    Call,
    CheckStore,
    Enqueue,
    Extend,
    Failure,
    Finish,
    GetCounts,
    GetTop,
    ListDead,
    ListQueues,
    PartitionCall,
    QueueCall,
    Redrive,
    Release,
    ShardPort,
)
from sharq_core.models import (
    Counts,
    DeadLetter,
    DeadRef,
    Enqueued,
    ExtendJob,
    FinishJob,
    LeaseOutcome,
    NewJob,
    RedriveStatus,
    ReleaseJob,
    TopOrder,
    TopQueues,
)
from sharq_core.partitions import partition_of
from sharq_core.top_queues import merge

PAGE = 100
"""Maximum number of jobs or queues requested from one partition in one call."""

PARTITIONS_AT_ONCE = 8
"""Number of partitions asked at once for a listing: enough to hide the round trip, few enough to bound excess reads."""

MAX_SCANS = 100
"""Maximum number of times that a listing continues within a partition: a type may have a million empty queues."""

DEAD_PAGE_BYTES = 262_144
"""Bytes of payloads after which a page of dead letters ends; a page of one shard is at most as long."""

_MAX_SCAN = 2**64 - 1
"""The largest cursor that the store's HSCAN knows, and the largest time of death in a cursor of dead letters."""

OutcomeT = TypeVar("OutcomeT")
ReplyT = TypeVar("ReplyT")


JobT = TypeVar("JobT", bound=Addressed)


class Dispatch:
    """Every operation but the dequeue.

    All methods raise Unavailable or Overloaded (nothing was done) or OutcomeUnknown (perhaps done) if their call fails
    as a whole. Bulk calls answer each job on its own.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._second_try = SecondTry(directory)

    @property
    def partitions(self) -> int:
        """The number of partitions, P; the default until a shard has reported it."""
        return self._directory.partitions

    async def route(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        """Call the owner of the call's partition; if it fails, call another shard once if that does no harm."""
        partition = call.partition_in(self._directory.partitions)
        shard = self._directory.owner(partition)
        try:
            return await shard.call(call)
        except errors.SharqError as error:
            return await self._second_try.ask(partition, call, shard, error)

    async def route_job(self, make_call: BulkCall[JobT, OutcomeT], job: JobT) -> OutcomeT:
        """Call the owner of one job's partition, and raise the error that a call about several jobs returns.

        Args:
            make_call: the kind of call, as `Enqueue`.
        """
        partition = partition_of(job.queue_type, job.queue_id, self._directory.partitions)
        shard = self._directory.owner(partition)
        call = make_call([job])
        try:
            (answer,) = await shard.call(call)
        except errors.SharqError as error:
            (answer,) = await self._second_try.ask(partition, call, shard, error)
        else:
            if isinstance(answer, Failure) and answer.is_away:
                answers: list[OutcomeT | Failure] = [answer]
                (answer,) = await self._second_try.ask_jobs(make_call, [job], shard, answers)
        if isinstance(answer, Failure):
            raise errors.from_code(answer.code, answer.message)
        return answer

    def enqueue(self, jobs: list[NewJob]) -> Coroutine[Any, Any, list[Enqueued | errors.SharqError]]:
        """Enqueue jobs; return one answer for each job, in order."""
        return self._fan_out(Enqueue, jobs)

    def finish(self, jobs: list[FinishJob]) -> Coroutine[Any, Any, list[LeaseOutcome | errors.SharqError]]:
        """End leases and forget the jobs; return one answer for each job, in order."""
        return self._fan_out(Finish, jobs)

    def extend(self, jobs: list[ExtendJob]) -> Coroutine[Any, Any, list[LeaseOutcome | errors.SharqError]]:
        """Extend leases; return one answer for each job, in order."""
        return self._fan_out(Extend, jobs)

    def release(self, jobs: list[ReleaseJob]) -> Coroutine[Any, Any, list[LeaseOutcome | errors.SharqError]]:
        """Release jobs, unfinished; return one answer for each job, in order."""
        return self._fan_out(Release, jobs)

    def redrive(self, jobs: list[DeadRef]) -> Coroutine[Any, Any, list[RedriveStatus | errors.SharqError]]:
        """Enqueue dead letters again; return one answer for each, in order."""
        return self._fan_out(Redrive, jobs)

    async def counts(self) -> list[Counts]:
        """Return the counters of all shards, in parts of a few partitions: a type may be in several of them.

        Cost: one store call for each partition and 500 types.
        """
        owned = self._by_shard()
        parts: list[Counts] = []
        for first in range(0, max(map(len, owned.values()), default=0), PARTITIONS_AT_ONCE):
            some = {shard: own[first : first + PARTITIONS_AT_ONCE] for shard, own in owned.items()}
            parts += await self._ask_owners(GetCounts, {shard: own for shard, own in some.items() if own})
        return parts

    async def top_queues(self, queue_type: str, by: TopOrder, limit: int) -> TopQueues:
        """Return the first queues of a type in an order. Cost: bounded, see shard/index/top_queues.py."""
        parts = await self._ask_owners(lambda partitions: GetTop(queue_type, partitions, by, limit))
        return merge(parts, by, limit)

    async def list_queues(
        self, queue_type: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return the ids of a type's queues that have queued, delayed or leased jobs, and the next cursor.

        Each id occurs once; the cursor is None at the end. A page may exceed `limit` by the excess of one store call.
        It may be short or even empty before the end, if it has read many queues without jobs.

        Raises:
            InvalidRequest: the cursor was not made by this method.
        """
        partition, scan = self._parse_cursor(cursor)
        if scan and not scan.isdecimal():
            raise _bad_cursor()
        position = int(scan or 0)
        if position > _MAX_SCAN:
            raise _bad_cursor()
        queue_ids: dict[str, None] = {}
        scans = 0
        while partition < self._directory.partitions and scans < MAX_SCANS:
            ahead = range(partition, min(partition + PARTITIONS_AT_ONCE, self._directory.partitions))
            pages = await asyncio.gather(
                *(
                    self.route(ListQueues(queue_type, p, position if p == partition else 0, min(PAGE, limit)))
                    for p in ahead
                )
            )
            for p, page in zip(ahead, pages, strict=True):
                queue_ids.update(dict.fromkeys(page.queue_ids))
                partition, position = (p, page.scan) if page.scan else (p + 1, 0)
                scans += page.scan > 0
                # The pages of later partitions are dropped, because the cursor must point into this one.
                if len(queue_ids) >= limit or page.scan:
                    break
            if len(queue_ids) >= limit:
                break
        done = partition >= self._directory.partitions
        return list(queue_ids), None if done else f"{partition}-{position}"

    async def list_dead(
        self, queue_type: str, limit: int, cursor: str | None, max_bytes: int = DEAD_PAGE_BYTES
    ) -> tuple[list[DeadLetter], str | None]:
        """Return a type's dead letters, oldest first within a partition, and the next cursor (None at the end).

        A page ends early once its payloads reach max_bytes.

        Raises:
            InvalidRequest: the cursor was not made by this method.
        """
        partition, scan = self._parse_cursor(cursor)
        if scan and not _is_dead_scan(scan):
            raise _bad_cursor()
        letters: list[DeadLetter] = []
        size = 0
        while partition < self._directory.partitions and len(letters) < limit and size < max_bytes:
            call = ListDead(queue_type, partition, scan, min(PAGE, limit - len(letters)))
            page = await self.route(call)
            letters += page.jobs
            size += sum(len(letter.payload) for letter in page.jobs)
            partition, scan = (partition, page.scan) if page.scan else (partition + 1, "")
        return letters, None if partition >= self._directory.partitions else f"{partition}-{scan}"

    async def redrive_all(self, queue_type: str, is_gone: Callable[[], bool] = lambda: False) -> int:
        """Enqueue every dead letter that a type has now; return the number enqueued. See `DeadWalk`."""
        return await DeadWalk(self, queue_type, is_gone).redrive()

    async def drop_dead(self, queue_type: str, is_gone: Callable[[], bool] = lambda: False) -> int:
        """Drop every dead letter that a type has now; return the number dropped. See `DeadWalk`."""
        return await DeadWalk(self, queue_type, is_gone).drop()

    async def check_store(self) -> None:
        """Return once every server of the store has answered every shard; raise Unavailable if one fails to."""
        shards = self._directory.shards()
        if not shards:
            raise errors.Unavailable("no shard can be reached")
        await asyncio.gather(*(shard.call(CheckStore()) for shard in shards))

    def _by_shard(self) -> dict[ShardPort, list[int]]:
        """Return all partitions, by their owners."""
        by_shard: dict[ShardPort, list[int]] = {}
        for partition in range(self._directory.partitions):
            by_shard.setdefault(self._directory.owner(partition), []).append(partition)
        return by_shard

    def _partition(self, key: Addressed) -> int:
        return partition_of(key.queue_type, key.queue_id, self._directory.partitions)

    async def _ask_owners(
        self,
        make_call: Callable[[list[int]], Call[ReplyT]],
        asked: dict[ShardPort, list[int]] | None = None,
    ) -> list[ReplyT]:
        """Ask shards about their partitions, or the stand-ins of a shard that does not reach its store.

        Args:
            make_call: makes the call about some partitions.
            asked: the partitions by their owners; None for all.
        """
        if asked is None:
            asked = self._by_shard()
        answers = await asyncio.gather(
            *(shard.call(make_call(own)) for shard, own in asked.items()), return_exceptions=True
        )
        replies: list[ReplyT] = []
        for (shard, own), answer in zip(asked.items(), answers, strict=True):
            if not isinstance(answer, BaseException):
                replies.append(answer)
            elif isinstance(answer, errors.SharqError) and answer.is_away:
                replies += await self._second_try.ask_each(make_call, own, shard, answer)
            else:
                raise answer
        return replies

    async def _fan_out(
        self, make_call: BulkCall[JobT, OutcomeT], jobs: list[JobT]
    ) -> list[OutcomeT | errors.SharqError]:
        """Split the jobs by owner, call the owners at the same time, and join the answers in order."""
        groups: dict[ShardPort, list[int]] = {}
        for index, job in enumerate(jobs):
            groups.setdefault(self._directory.owner(self._partition(job)), []).append(index)
        if len(groups) == 1:
            return await self._call_owner(next(iter(groups)), make_call, jobs)
        results: dict[int, OutcomeT | errors.SharqError] = {}

        async def call_owner(shard: ShardPort, indexes: list[int]) -> None:
            outcomes = await self._call_owner(shard, make_call, [jobs[index] for index in indexes])
            results.update(zip(indexes, outcomes, strict=True))

        await asyncio.gather(*(call_owner(shard, indexes) for shard, indexes in groups.items()))
        return [results[index] for index in range(len(jobs))]

    async def _call_owner(
        self, shard: ShardPort, make_call: BulkCall[JobT, OutcomeT], jobs: list[JobT]
    ) -> list[OutcomeT | errors.SharqError]:
        """Return the answers of jobs whose partitions have the same owner.

        An error of the call as a whole becomes the answer of each job, but is raised if there is only one job.
        """
        call = make_call(jobs)
        try:
            answers = await shard.call(call)
        except errors.SharqError as error:
            if len(jobs) == 1:
                partition = self._partition(jobs[0])
                answers = await self._second_try.ask(partition, call, shard, error)
                return [_outcome(answer) for answer in answers]
            if not error.is_away:
                return await self._retry(shard, call, jobs, error)
            failure: OutcomeT | Failure = Failure(error.code, error.message, is_away=True)
            answers = [failure for _ in jobs]
        if any(isinstance(answer, Failure) and answer.is_away for answer in answers):
            answers = await self._second_try.ask_jobs(make_call, jobs, shard, answers)
        return [_outcome(answer) for answer in answers]

    async def _retry(
        self,
        failed: ShardPort,
        call: Call[list[OutcomeT | Failure]],
        jobs: list[JobT],
        error: errors.SharqError,
    ) -> list[OutcomeT | errors.SharqError]:
        try:
            answers = await self._second_try.ask(self._partition(jobs[0]), call, failed, error)
        except errors.SharqError as last:
            bare = last.bare()
            return [bare for _ in jobs]
        return [_outcome(answer) for answer in answers]

    def _parse_cursor(self, cursor: str | None) -> tuple[int, str]:
        if cursor is None:
            return 0, ""
        partition, dash, scan = cursor.partition("-")
        is_ours = dash and cursor.isascii() and partition.isdecimal()
        if not is_ours or int(partition) >= self._directory.partitions:
            raise _bad_cursor()
        return int(partition), scan


def _is_dead_scan(scan: str) -> bool:
    """Return whether a position consists of a time of death, a colon and a letter."""
    died, colon, _ = scan.partition(":")
    return bool(colon) and died.isdecimal() and int(died) <= _MAX_SCAN


def _bad_cursor() -> errors.InvalidRequest:
    return errors.InvalidRequest("cursor: not a cursor that this server gave out")


def _outcome(answer: OutcomeT | Failure) -> OutcomeT | errors.SharqError:
    return errors.from_code(answer.code, answer.message) if isinstance(answer, Failure) else answer
