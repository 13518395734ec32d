"""Asks another shard, once, about what the first one could not do because it does not reach its store or is gone.

Nothing that was perhaps done is done twice, but where that does no harm (router/shards/retry.py); and where every shard
is known to be away nobody is asked. Not here: the first try (router/shards/dispatch.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from router.shards.directory import Directory
from router.shards.retry import repeated, repeated_job
from sharq_core import errors
from sharq_core.link.messages import Call, Failure, ShardPort
from sharq_core.partitions import partition_of

OutcomeT = TypeVar("OutcomeT")
ReplyT = TypeVar("ReplyT")


class Addressed(Protocol):
    """Anything that names its queue."""

    @property
    def queue_type(self) -> str: ...
    @property
    def queue_id(self) -> str: ...


JobT = TypeVar("JobT", bound=Addressed)
BulkCall: TypeAlias = Callable[[list[JobT]], Call[list[OutcomeT | Failure]]]


class SecondTry:
    """The second tries of one router; how many there were the directory counts."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def ask(
        self, partition: int, call: Call[ReplyT], failed: ShardPort, error: errors.SharqError
    ) -> ReplyT:
        """Make a call about one partition again after it failed, or raise; what was perhaps done stays so if it fails
        again.
        """
        again = repeated(call, error)
        other = None if again is None else self._other(partition, failed, error.is_away)
        if again is None or other is None:
            raise error
        self._directory.second_tries += 1
        try:
            return await other.call(again)
        except errors.SharqError as second:
            raise error if error.perhaps_done else second from error

    async def ask_each(
        self,
        make_call: Callable[[list[int]], Call[ReplyT]],
        partitions: list[int],
        failed: ShardPort,
        error: errors.SharqError,
    ) -> list[ReplyT]:
        """Ask those who stand in for a shard about its partitions; raises its error when somebody is missing."""
        by_shard: dict[ShardPort, list[int]] = {}
        for partition in partitions:
            other = self._other(partition, failed, error.is_away)
            if other is None:
                raise error
            by_shard.setdefault(other, []).append(partition)
        self._directory.second_tries += len(by_shard)
        return await asyncio.gather(*(shard.call(make_call(own)) for shard, own in by_shard.items()))

    async def ask_jobs(
        self,
        make_call: BulkCall[JobT, OutcomeT],
        jobs: list[JobT],
        failed: ShardPort,
        answers: list[OutcomeT | Failure],
    ) -> list[OutcomeT | Failure]:
        """The answers of some jobs, with what other shards say to those whose shard did not reach its store.

        A job is not asked about again when a later one of its queue was done: it would change places with it (I3).
        """
        again: dict[ShardPort, dict[int, JobT]] = {}
        done: set[tuple[str, str]] = set()
        for index in reversed(range(len(jobs))):
            job, answer = jobs[index], answers[index]
            queue = (job.queue_type, job.queue_id)
            if not isinstance(answer, Failure):
                done.add(queue)
            elif answer.is_away and queue not in done:
                self._plan(again, index, job, failed, answer)
        found = list(answers)
        self._directory.second_tries += len(again)
        await asyncio.gather(
            *(self._ask_about(make_call, other, repeats, found) for other, repeats in again.items())
        )
        return found

    def _plan(
        self,
        again: dict[ShardPort, dict[int, JobT]],
        index: int,
        job: JobT,
        failed: ShardPort,
        answer: Failure,
    ) -> None:
        partition = partition_of(job.queue_type, job.queue_id, self._directory.partitions)
        repeat = repeated_job(job) if error_of(answer).perhaps_done else job
        other = self._other(partition, failed, True)
        if repeat is not None and other is not None:
            again.setdefault(other, {})[index] = repeat

    async def _ask_about(
        self,
        make_call: BulkCall[JobT, OutcomeT],
        other: ShardPort,
        repeats: dict[int, JobT],
        answers: list[OutcomeT | Failure],
    ) -> None:
        """Put a shard's answers in the places of failures; what was perhaps done stays so if it fails, too."""
        indexes = sorted(repeats)
        found: list[OutcomeT | Failure]
        try:
            found = await other.call(make_call([repeats[index] for index in indexes]))
        except errors.SharqError as error:
            found = [Failure(error.code, error.message, error.is_away) for _ in indexes]
        for index, answer in zip(indexes, found, strict=True):
            first = answers[index]
            is_in_doubt = isinstance(first, Failure) and error_of(first).perhaps_done
            if not (is_in_doubt and isinstance(answer, Failure)):
                answers[index] = answer

    def _other(self, partition: int, failed: ShardPort, is_away: bool) -> ShardPort | None:
        """Who may do better: the partition's owner, if it is another by now, or who stands in for one that does not
        reach its store.
        """
        owner = self._directory.owner(partition)
        if owner is not failed:
            return owner
        return self._directory.stand_in(partition, failed) if is_away else None


def error_of(failure: Failure) -> errors.SharqError:
    """The error that a job's failure stands for."""
    return errors.from_code(failure.code, failure.message, is_away=failure.is_away)
