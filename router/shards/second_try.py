"""Repeats a call once at another shard if the first shard does not reach its store or is gone.

A call that was perhaps done is repeated only if that does no harm (router/shards/retry.py). If every shard is known to
be away, no shard is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from router.shards.directory import Directory
from router.shards.retry import is_refused, repeated, repeated_job
from sharq_core import errors
from sharq_core.link.messages import Addressed, Call, Failure, ShardPort
from sharq_core.partitions import partition_of

OutcomeT = TypeVar("OutcomeT")
ReplyT = TypeVar("ReplyT")


JobT = TypeVar("JobT", bound=Addressed)
BulkCall: TypeAlias = Callable[[list[JobT]], Call[list[OutcomeT | Failure]]]


class SecondTry:
    """The second tries of one router. The directory counts them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def ask(
        self, partition: int, call: Call[ReplyT], failed: ShardPort, error: errors.SharqError
    ) -> ReplyT:
        """Repeat a failed call about one partition at another shard, or raise its error if it must not be repeated.

        Raises:
            SharqError: the second error, but the first if the first call was perhaps done: it stays in doubt, and so
                does each of its jobs that the second call refuses.
        """
        # Some calls are sent in another form now: an enqueue as a repeat, for example.
        again = repeated(call, error)
        other = None if again is None else self._other(partition, failed, is_away=error.is_away)
        if again is None or other is None:
            raise error
        self._directory.second_tries += 1
        try:
            reply = await other.call(again)
        except errors.SharqError as second:
            raise error if error.perhaps_done else second from error
        # A refusal by the second shard proves nothing about the first call, which may still run.
        if error.perhaps_done and isinstance(reply, list):
            doubt = Failure(error.code, error.message, error.is_away)
            reply[:] = [doubt if is_refused(answer) else answer for answer in reply]
        return reply

    async def ask_each(
        self,
        make_call: Callable[[list[int]], Call[ReplyT]],
        partitions: list[int],
        failed: ShardPort,
        error: errors.SharqError,
    ) -> list[ReplyT]:
        """Ask the stand-ins of a shard about its partitions; raise its error if a partition has no stand-in."""
        by_shard: dict[ShardPort, list[int]] = {}
        for partition in partitions:
            other = self._other(partition, failed, is_away=error.is_away)
            if other is None:
                raise error
            by_shard.setdefault(other, []).append(partition)
        self._directory.second_tries += len(by_shard)
        return await asyncio.gather(*(shard.call(make_call(group)) for shard, group in by_shard.items()))

    async def ask_jobs(
        self,
        make_call: BulkCall[JobT, OutcomeT],
        jobs: list[JobT],
        failed: ShardPort,
        answers: list[OutcomeT | Failure],
    ) -> list[OutcomeT | Failure]:
        """Return the answers of jobs, in which other shards answer for jobs whose shard did not reach its store.

        A job is not sent again if a later job of its queue was done, because that would change their order (I3).
        """
        again: dict[ShardPort, dict[int, JobT]] = {}  # by shard and index in jobs
        done: set[tuple[str, str]] = set()
        # From the end, so that it is known for each job if a later one of its queue was done.
        for index in reversed(range(len(jobs))):
            job, answer = jobs[index], answers[index]
            queue = (job.queue_type, job.queue_id)
            if not isinstance(answer, Failure):
                done.add(queue)
            elif answer.is_away and queue not in done:
                self._plan(again, index, job, failed, answer)
        merged = list(answers)
        self._directory.second_tries += len(again)
        await asyncio.gather(
            *(self._ask_about(make_call, other, repeats, merged) for other, repeats in again.items())
        )
        return merged

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
        other = self._other(partition, failed, is_away=True)
        if repeat is not None and other is not None:
            again.setdefault(other, {})[index] = repeat

    async def _ask_about(
        self,
        make_call: BulkCall[JobT, OutcomeT],
        other: ShardPort,
        repeats: dict[int, JobT],
        answers: list[OutcomeT | Failure],
    ) -> None:
        """Replace failures by the answers of another shard; a job that was perhaps done stays so if it fails again."""
        indexes = sorted(repeats)
        outcomes: list[OutcomeT | Failure]
        try:
            outcomes = await other.call(make_call([repeats[index] for index in indexes]))
        except errors.SharqError as error:
            outcomes = [Failure(error.code, error.message, error.is_away) for _ in indexes]
        for index, answer in zip(indexes, outcomes, strict=True):
            first = answers[index]
            is_in_doubt = isinstance(first, Failure) and error_of(first).perhaps_done
            if not (is_in_doubt and is_refused(answer)):
                answers[index] = answer

    def _other(self, partition: int, failed: ShardPort, *, is_away: bool) -> ShardPort | None:
        """Return the shard for a second try; None if there is none.

        It is the partition's owner if that has changed, or else the stand-in of an owner that does not reach its store.
        """
        owner = self._directory.owner(partition)
        if owner is not failed:
            return owner
        return self._directory.stand_in(partition, failed) if is_away else None


def error_of(failure: Failure) -> errors.SharqError:
    """Return the error that a job's failure stands for."""
    return errors.from_code(failure.code, failure.message, is_away=failure.is_away)
