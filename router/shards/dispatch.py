"""Routes calls to shards and joins their answers.

A call about one queue or partition goes to the partition's owner, whatever it does. A bulk call is split by owner and
its answers are joined in order. A call about a whole type goes partition by partition, so that a cursor stays valid
while the ring changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from router.shards.directory import Directory
from router.shards.second_try import BulkCall, SecondTry
from router.shards.upgrade import CONSOLE, explanations, newer_field_of_job, newer_part_of_call, refusal
from router.shards.walks.dead_letters import DeadWalk
from router.shards.walks.everywhere import answers_of, confirmed
from router.shards.walks.listings import PartitionWalk, read_dead
from router.shards.walks.partition_reads import PartitionReads
from router.shards.walks.unread import Unread
from sharq_core import errors
from sharq_core.job_changes import CancelJob, CancelOutcome
from sharq_core.job_life import DeadLetter, DeadRef, RedriveStatus
from sharq_core.limits import Explanation, TypeSummary
from sharq_core.link.control_calls import (
    Explain,
    GetQueueLimits,
    ListQueueStats,
    ListTypes,
    PauseAll,
    PauseType,
)
from sharq_core.link.job_calls import Cancel, DropLetters, Redrive
from sharq_core.link.messages import (
    FORMATS,
    Addressed,
    Call,
    CheckStore,
    Enqueue,
    Extend,
    Failure,
    Finish,
    GetCounts,
    GetQueue,
    GetTop,
    ListQueues,
    PartitionCall,
    QueueCall,
    Release,
    ShardPort,
)
from sharq_core.models import (
    Counts,
    Enqueued,
    ExtendJob,
    FinishJob,
    LeaseOutcome,
    NewJob,
    QueueKey,
    QueuePage,
    QueueStats,
    QueueStatsPage,
    ReleaseJob,
)
from sharq_core.partitions import partition_of
from sharq_core.pieces import in_pieces
from sharq_core.top_queues import TopOrder, TopQueues, merge
from sharq_core.type_parts import FirstTypes, merge_explanations

OutcomeT = TypeVar("OutcomeT")
ReplyT = TypeVar("ReplyT")
JobT = TypeVar("JobT", bound=Addressed)

TYPES_AT_ONCE = 500
"""Types that are added to a list before other work has its turn, which takes about 2 ms."""


class Dispatch:
    """Every operation but the dequeue.

    All methods raise Unavailable or Overloaded (nothing was done) or OutcomeUnknown (perhaps done) if their call fails
    as a whole. Bulk calls answer each job on its own.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._second_try = SecondTry(directory)
        self._reads = PartitionReads(directory, self._second_try)

    @property
    def partitions(self) -> int:
        """The number of partitions, P; the default until a shard has reported it."""
        return self._directory.partitions

    @property
    def formats(self) -> int:
        """The newest record format that every member can handle."""
        return self._directory.formats

    async def route(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        """Call the owner of the call's partition; if it fails, call another shard once if that does no harm."""
        formats = self._directory.formats
        if formats < FORMATS and (newer := newer_part_of_call(call, formats)) is not None:
            raise refusal(newer)
        partition = call.partition_in(self._directory.partitions)
        shard = self._directory.owner(partition)
        try:
            return await shard.call(call)
        except errors.SharqError as error:
            return await self._second_try.ask(partition, call, shard, error)

    async def route_job(self, make_call: BulkCall[JobT, OutcomeT], job: JobT) -> OutcomeT:
        """Call the owner of one job's partition, and raise the error that a call about several jobs returns.

        Args:
            make_call: the type of call, as `Enqueue`.
        """
        formats = self._directory.formats
        if formats < FORMATS and (newer := newer_field_of_job(job, formats)) is not None:
            raise refusal(newer)
        shard = self._directory.sole_owner or self._directory.owner(self._partition(job))
        call = make_call([job])
        try:
            (answer,) = await shard.call(call)
        except errors.SharqError as error:
            (answer,) = await self._second_try.ask(self._partition(job), call, shard, error)
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

    async def drop_letters(self, jobs: list[DeadRef]) -> list[bool | errors.SharqError]:
        """Drop named dead letters; return one answer for each, in order, False if there is none."""
        if newer := newer_part_of_call(DropLetters(jobs), self._directory.formats):
            raise refusal(newer)
        return await self._fan_out(DropLetters, jobs)

    def cancel(self, jobs: list[CancelJob]) -> Coroutine[Any, Any, list[CancelOutcome | errors.SharqError]]:
        """Cancel jobs; return one answer for each, in order."""
        return self._fan_out(Cancel, jobs)

    async def queue(self, key: QueueKey) -> QueueStats:
        """Return the statistics of a queue; without what a shard of format 1 does not know, while there is one."""
        if self._directory.formats < GetQueueLimits.formats:
            return await self.route(GetQueue(key))
        return await self.route(GetQueueLimits(key))

    async def counts(self, unread: Unread) -> list[Counts]:
        """Return the counters of all shards, in parts; a type may be in several. Cost: a call for each partition.

        Args:
            unread: gets the partitions that are left out.
        """
        parts: list[Counts] = []
        for some in self._reads.some_at_a_time():
            parts += await self._reads.ask(GetCounts, unread, some)
        return parts

    async def top_queues(self, queue_type: str, by: TopOrder, limit: int, unread: Unread) -> TopQueues:
        """Return the first queues of a type in an order. Cost: bounded, see shard/index/top_queues.py.

        Args:
            unread: gets the partitions that are left out.
        """
        if by is TopOrder.DEAD and self._directory.formats < CONSOLE:
            raise refusal("by=dead")
        parts = await self._reads.ask(lambda partitions: GetTop(queue_type, partitions, by, limit), unread)
        return merge(parts, by, limit)

    def list_queues(
        self, queue_type: str, limit: int | None, cursor: str | None
    ) -> PartitionWalk[QueuePage, None]:
        """Return the list of a type's queues that have queued, delayed or leased jobs, without items.

        Raises:
            InvalidRequest: the cursor was not made by such a list.
        """
        return PartitionWalk(
            self.route,
            lambda partition, scan, count: ListQueues(queue_type, partition, scan, count),
            lambda page: dict.fromkeys(page.queue_ids).items(),
            self.partitions,
            limit,
            cursor,
        )

    def list_queue_stats(
        self, queue_type: str, limit: int, cursor: str | None, search: str = ""
    ) -> PartitionWalk[QueueStatsPage, QueueStats]:
        """Return the list of a type's queues with their statistics; raise as `list_queues` does.

        Args:
            search: only queues whose ids contain this text; empty for all.
        """
        return PartitionWalk(
            self.route,
            lambda partition, scan, count: ListQueueStats(
                queue_type, partition, scan, count, search, with_ages=True
            ),
            lambda page: page.queues,
            self.partitions,
            limit,
            cursor,
        )

    async def list_types(self, limit: int, after: str, unread: Unread) -> list[TypeSummary]:
        """Return the first `limit` types whose names sort after `after`, with their numbers over all partitions.

        Cost: one store call for each partition and 500 types.

        Args:
            unread: gets the partitions that are left out.
        """
        self._require(ListTypes)
        first = FirstTypes(limit)
        for some in self._reads.some_at_a_time():
            for page in await self._reads.ask(lambda own: ListTypes(own, after, limit), unread, some):
                async for part in in_pieces(page, TYPES_AT_ONCE):
                    first.add(part)
        return first.summaries()

    async def pause_type(self, queue_type: str, *, is_paused: bool) -> None:
        """Pause or resume all queues of a type, those that come later, too; raise as `_everywhere` does."""
        await self._everywhere(lambda partition: PauseType(queue_type, partition, is_paused))

    async def pause_all(self, *, is_paused: bool) -> None:
        """Pause or resume all queues of all types, those that come later, too; raise as `_everywhere` does."""
        await self._everywhere(lambda partition: PauseAll("", partition, is_paused))

    async def explain(self, *queue_types: str) -> Explanation | None:
        """Return the reason why a dequeue of some types gets nothing; None while a shard cannot tell.

        Cost: none for the store if the shards were asked within the last second.
        """
        if self._directory.formats < Explain.formats:
            return None
        shards = self._directory.informed(self._directory.shards())
        asked = explanations(queue_types, self._directory.formats)
        calls = [shard.call(call) for shard in shards for call in asked]
        return merge_explanations(await asyncio.gather(*calls))

    def list_dead(
        self, queue_type: str, limit: int, cursor: str | None, queue_id: str, unread: Unread
    ) -> Coroutine[Any, Any, tuple[list[DeadLetter], str | None]]:
        """Return the dead letters of a type or of one queue, and the next cursor; see `read_dead`."""
        return read_dead(
            self.route, queue_type, self.partitions, limit, cursor, queue_id=queue_id, unread=unread
        )

    def dead_walk(self, queue_type: str, is_gone: Callable[[], bool] = lambda: False) -> DeadWalk:
        """Return a call that enqueues again, or drops, every dead letter that a type has when it begins."""
        return DeadWalk(self, queue_type, is_gone)

    async def check_store(self) -> None:
        """Return once every server of the store has answered every shard; raise Unavailable if one fails to."""
        shards = self._directory.shards()
        if not shards:
            raise errors.Unavailable("no shard can be reached")
        await asyncio.gather(*(shard.call(CheckStore()) for shard in shards))

    async def ask_all(self, call: Call[ReplyT]) -> dict[ShardPort, ReplyT | errors.SharqError]:
        """Ask every shard that can be reached; return shard → its reply or its error."""
        self._require(type(call))
        return await answers_of(self._directory.shards(), call)

    def _require(self, call: type[Call[Any]]) -> None:
        """Raise Unavailable while a shard does not know a kind of call."""
        if self._directory.formats < call.formats:
            raise refusal("this call")

    async def _everywhere(self, make_call: Callable[[int], PartitionCall[None]]) -> None:
        """Make a call about each partition, which is safe to repeat.

        Raises:
            Unavailable: nothing was done, because a shard does not know the call yet.
            OutcomeUnknown: not every partition has confirmed it; the message says how many have.
        """
        self._require(type(make_call(0)))
        await confirmed(self.route, make_call, range(self.partitions), self.partitions)

    def _partition(self, key: Addressed) -> int:
        return partition_of(key.queue_type, key.queue_id, self._directory.partitions)

    async def _fan_out(
        self, make_call: BulkCall[JobT, OutcomeT], jobs: list[JobT]
    ) -> list[OutcomeT | errors.SharqError]:
        """Call the owners of jobs, and refuse jobs that not every shard can handle yet."""
        if self._directory.formats >= FORMATS:
            return await self._split(make_call, jobs)
        newer = [newer_field_of_job(job, self._directory.formats) for job in jobs]
        older = [job for job, field in zip(jobs, newer, strict=True) if field is None]
        outcomes: list[OutcomeT | errors.SharqError] = await self._split(make_call, older) if older else []
        remaining = iter(outcomes)
        return [next(remaining) if field is None else refusal(field) for field in newer]

    async def _split(
        self, make_call: BulkCall[JobT, OutcomeT], jobs: list[JobT]
    ) -> list[OutcomeT | errors.SharqError]:
        """Split the jobs by owner, call the owners at the same time, and join the answers in order."""
        if jobs and self._directory.sole_owner is not None:
            return await self._call_owner(self._directory.sole_owner, make_call, jobs)
        groups: dict[ShardPort, list[int]] = {}
        for index, job in enumerate(jobs):
            groups.setdefault(self._directory.owner(self._partition(job)), []).append(index)
        if len(groups) == 1:
            return await self._call_owner(next(iter(groups)), make_call, jobs)
        results: dict[int, OutcomeT | errors.SharqError] = {}

        async def call_owner(shard: ShardPort, indexes: list[int]) -> None:
            try:
                outcomes = await self._call_owner(shard, make_call, [jobs[index] for index in indexes])
            except errors.SharqError as error:  # of a job that is alone at its shard; the others have answers
                outcomes = [error.bare() for _ in indexes]
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
                answers = await self._second_try.ask(self._partition(jobs[0]), call, shard, error)
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


def _outcome(answer: OutcomeT | Failure) -> OutcomeT | errors.SharqError:
    return errors.from_code(answer.code, answer.message) if isinstance(answer, Failure) else answer
