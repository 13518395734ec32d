"""Redrive or drop all dead letters of a type, page by page, and only those that were dead when the call began.

Redriven jobs may die again at once, and other jobs die meanwhile, so a walk to the end of the list might never end.
Therefore the first pass learns the time of each partition's server, and the second pass skips letters that died later.

A walk goes on without a partition whose data is broken, and ends with an error that names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from router.shards.walks.everywhere import answers_in
from router.shards.walks.unread import Unread, broken_text
from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.job_life import DeadLetter, DeadPage, DeadRef, RedriveStatus
from sharq_core.link.job_calls import DropDead, ListDead
from sharq_core.link.messages import PartitionCall
from sharq_core.logs.plurals import counted, was_or_were

log = logging.getLogger(__name__)

PAGE = 100
"""Number of dead letters on one page."""

PARTITIONS_AT_ONCE = 8
"""Number of partitions asked at the same time in the first pass."""

MAX_JUMPS = 3
"""Maximum number of times that the walk of one partition skips letters that died after the call started. Behind them
may be older letters with a later time, if the clock has stepped back since.
"""

ReplyT = TypeVar("ReplyT")


class Shards(Protocol):
    """The access to the partitions (router/shards/dispatch.py)."""

    @property
    def partitions(self) -> int:
        """The number of partitions, P."""
        ...

    async def route(self, call: PartitionCall[ReplyT]) -> ReplyT:
        """Return the reply of the owner of a call's partition; raise its error."""
        ...

    def redrive(self, jobs: list[DeadRef]) -> Coroutine[Any, Any, list[RedriveStatus | SharqError]]:
        """Enqueue dead letters again; return one answer for each, in order."""
        ...


class DeadWalk:
    """One call about all dead letters of a type.

    Args:
        is_gone: returns True once the client has left. The walk then stops before its next page and undoes nothing.

    Attributes:
        done: the number of letters that were enqueued again, or dropped, so far.
    """

    def __init__(self, shards: Shards, queue_type: str, is_gone: Callable[[], bool]) -> None:
        self._shards = shards
        self._queue_type = queue_type
        self._is_gone = is_gone
        self.done = 0
        self._without_letters: set[int] = set()
        self._unread = Unread(shards.partitions)

    async def redrive(self) -> int:
        """Enqueue the letters again; return the number that were enqueued.

        Raises:
            Unavailable, Overloaded: nothing was done.
            OutcomeUnknown: some letters were or may have been enqueued, and the walk is incomplete.
        """
        return await self._walk(self._redrive_partition)

    async def drop(self) -> int:
        """Drop the letters for good; return the number that were dropped. Raise as `redrive` does."""
        return await self._walk(self._drop_partition)

    async def _walk(self, do: Callable[[int, int | None], Coroutine[Any, Any, None]]) -> int:
        try:
            for partition, begun_us in (await self._begin()).items():
                try:
                    await do(partition, begun_us)
                except SharqError as error:
                    self._unread.leave_out(partition, error)
                if self._is_gone():
                    log.info(
                        "dead_walk_ended queue_type=%s done=%d: the client left", self._queue_type, self.done
                    )
                    break
        except SharqError as error:
            if not self.done or error.perhaps_done:
                raise
            raise OutcomeUnknown(f"{self._done_text()}, then: {error.message}") from error
        if self._unread.partitions:
            raise OutcomeUnknown(f"{self._done_text()}, but {broken_text(self._unread.partitions)}")
        return self.done

    def _done_text(self) -> str:
        return f"{counted(self.done, 'dead letter')} {was_or_were(self.done)} done"

    async def _begin(self) -> dict[int, int | None]:
        """Return all partitions, each with its server's time now (µs); None if an older shard does not report it.

        Partitions whose letters cannot be read are left out.
        """
        begun_us: dict[int, int | None] = {}
        count = self._shards.partitions
        for first in range(0, count, PARTITIONS_AT_ONCE):
            pages, failures = await answers_in(
                self._shards.route,
                lambda partition: ListDead(self._queue_type, partition, "", 1),
                range(first, min(first + PARTITIONS_AT_ONCE, count)),
            )
            for partition, error in failures.items():
                self._unread.leave_out(partition, error)
            begun_us |= {partition: page.now_us for partition, page in pages.items()}
            self._without_letters |= {partition for partition, page in pages.items() if not page.jobs}
            if self._is_gone():
                break
        return begun_us

    async def _redrive_partition(self, partition: int, begun_us: int | None) -> None:
        """Redrive the letters of a partition page by page, oldest first, except those that died after begun_us."""
        # A letter whose time of death is in the future was there before its server's clock stepped back, so it is
        # redriven. If the clock steps back during the walk, the bound moves back with it. After a page that ends with
        # a letter that died after the bound, the walk jumps to the page's own time, to find such future letters.
        scan, jumps = "", 0
        while not self._is_gone() and partition not in self._without_letters:
            page = await self._page(partition, scan, PAGE)
            if begun_us is not None and page.now_us is not None:
                begun_us = min(begun_us, page.now_us)
            await self._redrive([letter for letter in page.jobs if was_dead(letter, begun_us, page)])
            if not page.scan:
                return
            scan = page.scan
            if not was_dead(page.jobs[-1], begun_us, page):
                scan, jumps = f"{page.now_us}:", jumps + 1
                if jumps > MAX_JUMPS:
                    return

    async def _redrive(self, letters: list[DeadLetter]) -> None:
        refs = [DeadRef(self._queue_type, letter.queue_id, letter.job_id) for letter in letters]
        outcomes = await self._shards.redrive(refs)
        self.done += outcomes.count(RedriveStatus.QUEUED)
        for outcome in outcomes:
            if isinstance(outcome, SharqError):
                raise outcome

    async def _drop_partition(self, partition: int, begun_us: int | None) -> None:
        """Drop the letters of a partition page by page.

        A partition without letters is asked, too: the first try of this call may have dropped them with its answer
        lost, and that drop must be confirmed as `durability` demands.
        """
        while not self._is_gone():
            count = await self._shards.route(DropDead(self._queue_type, partition, PAGE, begun_us))
            self.done += count
            # A page of large letters may be short although more follow.
            if not count:
                return

    async def _page(self, partition: int, scan: str, limit: int) -> DeadPage:
        return await self._shards.route(ListDead(self._queue_type, partition, scan, limit))


def was_dead(letter: DeadLetter, begun_us: int | None, page: DeadPage) -> bool:
    """Return whether a letter was dead at begun_us, by its time of death and the server's time on the page."""
    if begun_us is None or page.now_us is None:
        return True
    return not begun_us < letter.dead_at_us <= page.now_us
