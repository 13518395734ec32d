"""Asks the owners of many partitions together, and leaves out the partitions whose data is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from router.shards.directory import Directory
from router.shards.second_try import SecondTry
from router.shards.walks.listings import PARTITIONS_AT_ONCE
from router.shards.walks.unread import Unread, is_broken
from sharq_core.errors import SharqError
from sharq_core.link.messages import Call, ShardPort

ReplyT = TypeVar("ReplyT")


class PartitionReads:
    """The reads of one router that are about several partitions in one call."""

    def __init__(self, directory: Directory, second_try: SecondTry) -> None:
        self._directory = directory
        self._second_try = second_try

    def some_at_a_time(self) -> Iterator[dict[ShardPort, list[int]]]:
        """Yield all partitions by their owners, up to PARTITIONS_AT_ONCE of each owner at a time."""
        owned = self._by_shard()
        for first in range(0, max(map(len, owned.values()), default=0), PARTITIONS_AT_ONCE):
            some = {shard: own[first : first + PARTITIONS_AT_ONCE] for shard, own in owned.items()}
            yield {shard: own for shard, own in some.items() if own}

    async def ask(
        self,
        make_call: Callable[[list[int]], Call[ReplyT]],
        unread: Unread,
        asked: dict[ShardPort, list[int]] | None = None,
    ) -> list[ReplyT]:
        """Ask shards about their partitions, or the stand-ins of a shard that does not reach its store.

        Args:
            make_call: makes the call about some partitions.
            unread: gets the partitions that are left out.
            asked: the partitions by their owners; None for all.
        """
        asked = self._by_shard() if asked is None else asked
        return await _join(self._replies(make_call, unread, shard, own) for shard, own in asked.items())

    def _by_shard(self) -> dict[ShardPort, list[int]]:
        """Return all partitions, by their owners."""
        by_shard: dict[ShardPort, list[int]] = {}
        for partition in range(self._directory.partitions):
            by_shard.setdefault(self._directory.owner(partition), []).append(partition)
        return by_shard

    async def _replies(
        self,
        make_call: Callable[[list[int]], Call[ReplyT]],
        unread: Unread,
        shard: ShardPort,
        partitions: list[int],
    ) -> list[ReplyT]:
        """Ask a shard about some of its partitions; if one of them is broken, about the two halves, and so on."""
        try:
            return await self._ask_shard(make_call, shard, partitions)
        except SharqError as error:
            if len(partitions) == 1:
                unread.leave_out(partitions[0], error)
                return []
            if not is_broken(error):
                raise
        middle = len(partitions) // 2
        halves = (partitions[:middle], partitions[middle:])
        return await _join(self._replies(make_call, unread, shard, half) for half in halves)

    async def _ask_shard(
        self, make_call: Callable[[list[int]], Call[ReplyT]], shard: ShardPort, partitions: list[int]
    ) -> list[ReplyT]:
        """Return the reply of a shard, or those of its stand-ins."""
        try:
            return [await shard.call(make_call(partitions))]
        except SharqError as error:
            if not error.is_away:
                raise
            return await self._second_try.ask_each(make_call, partitions, shard, error)


async def _join(parts: Iterable[Coroutine[Any, Any, list[ReplyT]]]) -> list[ReplyT]:
    """Run some reads together, and return all their replies once all have ended; raise the first error."""
    answers = await asyncio.gather(*parts, return_exceptions=True)
    replies: list[ReplyT] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        replies += answer
    return replies
