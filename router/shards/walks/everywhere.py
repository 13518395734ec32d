"""Makes changes that every partition, or a home partition, must confirm, and calls of all shards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from router.shards.walks.unread import broken_text, is_broken
from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.link.messages import Call, PartitionCall, ShardPort

ReplyT = TypeVar("ReplyT")


async def confirmed(
    route: Callable[[Any], Awaitable[ReplyT]],
    make_call: Callable[[int], Any],
    partitions: Collection[int],
    of: int,
    done: int = 0,
) -> list[ReplyT]:
    """Make a call about each of some partitions, which is safe to repeat; return the answers in order.

    Args:
        route: calls the owner of a partition.
        of: the number of all partitions.
        done: the number of partitions that have confirmed it before.

    Raises:
        OutcomeUnknown: not every partition has confirmed it; the message says how many have.
    """
    replies, failures = await answers_in(route, make_call, partitions)
    # The others have done it. The error says how many, and the call may be repeated.
    if failures:
        raise not_everywhere(done + len(replies), of, failures)
    return list(replies.values())


async def answers_in(
    route: Callable[[Any], Awaitable[ReplyT]], make_call: Callable[[int], Any], partitions: Collection[int]
) -> tuple[dict[int, ReplyT], dict[int, SharqError]]:
    """Make a call about each of some partitions; return partition → its reply, and partition → its error."""
    answers = await asyncio.gather(
        *(route(make_call(partition)) for partition in partitions), return_exceptions=True
    )
    replies: dict[int, ReplyT] = {}
    failures: dict[int, SharqError] = {}
    for partition, answer in zip(partitions, answers, strict=True):
        if isinstance(answer, SharqError):
            failures[partition] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            replies[partition] = answer
    return replies, failures


async def changed_at_home(
    route: Callable[[PartitionCall[ReplyT]], Awaitable[ReplyT]], call: PartitionCall[ReplyT]
) -> ReplyT:
    """Make a change that one partition decides about; return its reply.

    Raises:
        OutcomeUnknown: the data of that partition is broken; the message names it.
        SharqError: the call failed otherwise.
    """
    try:
        return await route(call)
    except SharqError as error:
        if not is_broken(error):
            raise
        raise OutcomeUnknown(f"{broken_text([call.partition])}: {error.message}") from error


def not_everywhere(done: int, of: int, failures: Mapping[int, SharqError]) -> OutcomeUnknown:
    """Return the error of a change that not every partition has confirmed.

    Args:
        failures: the errors of the others, of which there is at least one.
    """
    confirmations = f"{done} of {of} partitions have confirmed it"
    passing = [error for error in failures.values() if not is_broken(error)]
    if passing:
        return OutcomeUnknown(f"{confirmations}; repeat the call until all have: {passing[0]}")
    failure = next(iter(failures.values()))
    return OutcomeUnknown(f"{confirmations}; {broken_text(failures)}: {failure}")


async def answers_of(shards: Sequence[ShardPort], call: Call[ReplyT]) -> dict[ShardPort, ReplyT | SharqError]:
    """Call some shards at the same time; return shard → its reply or its error."""
    calls = [shard.call(call) for shard in shards]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    by_shard: dict[ShardPort, ReplyT | SharqError] = {}
    for shard, answer in zip(shards, answers, strict=True):
        if isinstance(answer, BaseException) and not isinstance(answer, SharqError):
            raise answer
        by_shard[shard] = answer
    return by_shard
