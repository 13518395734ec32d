"""Redrive or drop all dead letters of a type, page by page, and only those that were dead when the call began.

Jobs that are redriven may die again at once, and others die meanwhile: a walk to the end of the list would never end.
So the first pass learns the time of each partition's server, and the second pass leaves out who died later. Not here:
one page (shard/call_handlers.py), and how a partition's shard is found (router/shards/dispatch.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.link.messages import Call, DropDead, ListDead
from sharq_core.logs.plurals import counted, was_or_were
from sharq_core.models import DeadLetter, DeadPage, DeadRef, RedriveStatus

log = logging.getLogger(__name__)

PAGE = 100
"""Dead letters of one page."""

PARTITIONS_AT_ONCE = 8
"""Partitions asked side by side in the first pass."""

MAX_JUMPS = 3
"""How often the walk of one partition passes over letters that died after the call began, to look for letters that a
clock which has stepped back since stamped with a later time.
"""

ReplyT = TypeVar("ReplyT")


class Shards(Protocol):
    """How the walk reaches the partitions (router/shards/dispatch.py)."""

    @property
    def partitions(self) -> int: ...

    async def ask(self, partition: int, call: Call[ReplyT]) -> ReplyT: ...

    def redrive(self, jobs: list[DeadRef]) -> Coroutine[Any, Any, list[RedriveStatus | SharqError]]: ...


class DeadWalk:
    """One call about all dead letters of a type.

    Args:
        is_gone: True once the client has left. The walk then stops before its next page; what was done stays done.

    Attributes:
        done: letters that were queued again, or dropped, so far.
    """

    def __init__(self, shards: Shards, queue_type: str, is_gone: Callable[[], bool]) -> None:
        self._shards = shards
        self._queue_type = queue_type
        self._is_gone = is_gone
        self.done = 0
        self._without_letters: set[int] = set()

    async def redrive(self) -> int:
        """Queue the letters again; returns how many were queued.

        Raises:
            Unavailable, Overloaded: nothing was done.
            OutcomeUnknown: some letters were or may have been queued, and the walk has not come to its end.
        """
        return await self._walk(self._redrive_partition)

    async def drop(self) -> int:
        """Drop the letters for good; returns how many were dropped. Raises as `redrive` does."""
        return await self._walk(self._drop_partition)

    async def _walk(self, do: Callable[[int, int | None], Coroutine[Any, Any, None]]) -> int:
        try:
            for partition, begun_us in (await self._begin()).items():
                await do(partition, begun_us)
                if self._is_gone():
                    log.info(
                        "dead_walk_ended queue_type=%s done=%d: the client left", self._queue_type, self.done
                    )
                    break
        except SharqError as error:
            if not self.done or error.perhaps_done:
                raise
            done = f"{counted(self.done, 'dead letter')} {was_or_were(self.done)} done"
            raise OutcomeUnknown(f"{done}, then: {error.message}") from error
        return self.done

    async def _begin(self) -> dict[int, int | None]:
        """All partitions, each with its server's time now (µs); None when an older shard does not tell it."""
        found: dict[int, int | None] = {}
        count = self._shards.partitions
        for first in range(0, count, PARTITIONS_AT_ONCE):
            some = range(first, min(first + PARTITIONS_AT_ONCE, count))
            pages = await asyncio.gather(*(self._page(partition, "", 1) for partition in some))
            found |= {partition: page.now_us for partition, page in zip(some, pages, strict=True)}
            self._without_letters |= {p for p, page in zip(some, pages, strict=True) if not page.jobs}
            if self._is_gone():
                break
        return found

    async def _redrive_partition(self, partition: int, begun_us: int | None) -> None:
        """Redrive page by page, oldest first.

        Who died between the call's begin and the page is passed over. A letter that seems to die in the future was
        there before its server's clock stepped back, and a step during the walk brings the bound back, too.
        """
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
        for outcome in await self._shards.redrive(refs):
            if isinstance(outcome, SharqError):
                raise outcome
            self.done += outcome is RedriveStatus.QUEUED

    async def _drop_partition(self, partition: int, begun_us: int | None) -> None:
        """Drop page by page. A partition without letters is asked, too: they may have been dropped by this call's first
        try, whose answer was lost, and that is to be kept as `durability` promises.
        """
        while not self._is_gone():
            count = await self._shards.ask(partition, DropDead(self._queue_type, partition, PAGE, begun_us))
            self.done += count
            if count < PAGE:
                return

    async def _page(self, partition: int, scan: str, limit: int) -> DeadPage:
        return await self._shards.ask(partition, ListDead(self._queue_type, partition, scan, limit))


def was_dead(letter: DeadLetter, begun_us: int | None, page: DeadPage) -> bool:
    """The letter was there at begun_us, by its own time of death and the server's time when the page was read."""
    if begun_us is None or page.now_us is None:
        return True
    return not begun_us < letter.dead_at_us <= page.now_us
