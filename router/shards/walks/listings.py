"""Reads lists page by page: the queues of a type, and its dead letters.

A page goes partition by partition, so that its cursor stays valid while the ring changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, Protocol, TypeVar

from router.shards.walks.unread import Unread
from sharq_core.errors import InvalidRequest, SharqError
from sharq_core.job_life import DeadLetter, DeadPage
from sharq_core.link.job_calls import ListDead
from sharq_core.link.messages import PartitionCall
from sharq_core.partitions import partition_of

PAGE = 100
"""Maximum number of jobs or queues requested from one partition in one call."""

FIRST_PAGE = 25
"""The same for the first call about each of several partitions, whose answers come together."""

PARTITIONS_AT_ONCE = 8
"""Number of partitions asked at once for a listing: enough to hide the round trip, few enough to bound excess reads."""

MAX_SCANS = 200
"""Maximum number of times that a listing continues within a partition: a type may have a million empty queues."""

DEAD_PAGE_BYTES = 262_144
"""Bytes of payloads after which a page of dead letters ends; a page of one shard is at most as long."""

_MAX_SCAN = 2**64 - 1
"""The largest cursor that the store's HSCAN knows, and the largest time of death in a cursor of dead letters."""

ItemT = TypeVar("ItemT")


class ScanPage(Protocol):
    """A page of one partition. `scan` is the cursor of its next page, 0 at the end."""

    @property
    def scan(self) -> int:
        """The cursor of the next page of the partition, 0 at the end."""
        ...


PageT = TypeVar("PageT", bound=ScanPage)


class PartitionWalk(Generic[PageT, ItemT]):
    """A walk through the pages of all partitions, one partition after the other.

    Args:
        route: calls the owner of a partition.
        make_call: returns the call for a partition, a position in it, and a number of items.
        items_of: returns the (id, item) pairs of a page.
        limit: the number of items at which the walk ends, which the last store call may exceed; None for no end. With
            a limit the walk also ends after MAX_SCANS calls, so it may have few items or none before the end.

    Attributes:
        cursor: the position behind the pages so far; None at the end, and for the beginning.
        unread: the partitions that were left out.

    Raises:
        InvalidRequest: the cursor was not made by such a walk.
    """

    def __init__(
        self,
        route: Callable[[PartitionCall[PageT]], Awaitable[PageT]],
        make_call: Callable[[int, int, int], PartitionCall[PageT]],
        items_of: Callable[[PageT], Iterable[tuple[str, ItemT]]],
        partitions: int,
        limit: int | None,
        cursor: str | None,
    ) -> None:
        self.cursor = cursor
        self.unread = Unread(partitions)
        self._route = route
        self._make_call = make_call
        self._items_of = items_of
        self._partitions = partitions
        self._limit = limit
        self._partition, self._position = _scan_cursor(cursor, partitions)
        self._first_pages: dict[int, PageT | SharqError] = {}

    async def pages(self) -> AsyncIterator[dict[str, ItemT]]:
        """Yield id → item, each id once, one page of a partition at a time.

        Raises:
            SharqError: a partition cannot be reached, or no partition can be read.
        """
        # The store may return an id twice, but only within a partition.
        seen: set[str] = set()
        count = scans = 0
        while self._partition < self._partitions and not self._is_over(count, scans):
            page = await self._next_page(count)
            items = (
                {}
                if page is None
                else {name: item for name, item in self._items_of(page) if name not in seen}
            )
            if page is not None and page.scan:
                seen.update(items)
                scans += 1
                self._position = page.scan
            else:
                seen.clear()
                self._partition, self._position = self._partition + 1, 0
            # Unread first pages of later partitions are dropped: the cursor points into the partition that comes next.
            is_end = self._partition >= self._partitions
            self.cursor = None if is_end else f"{self._partition}-{self._position}"
            count += len(items)
            yield items

    def _is_over(self, count: int, scans: int) -> bool:
        return self._limit is not None and (count >= self._limit or scans >= MAX_SCANS)

    async def _next_page(self, count: int) -> PageT | None:
        """Return the page at the position; None if the partition is left out."""
        partition = self._partition
        if self._position and partition not in self._first_pages:
            page = await self._ask(partition, self._position, self._wanted(count, PAGE))
        else:
            if partition not in self._first_pages:
                await self._read_ahead(self._wanted(count, FIRST_PAGE))
            page = self._first_pages.pop(partition)
        if isinstance(page, SharqError):
            self.unread.leave_out(partition, page)
            return None
        return page

    def _wanted(self, count: int, most: int) -> int:
        return most if self._limit is None else min(most, self._limit - count)

    async def _read_ahead(self, wanted: int) -> None:
        """Read the first pages of the next partitions together."""
        ahead = range(self._partition, min(self._partition + PARTITIONS_AT_ONCE, self._partitions))
        asked = [partition for partition in ahead if partition not in self._first_pages]
        pages = await asyncio.gather(*(self._ask(partition, 0, wanted) for partition in asked))
        self._first_pages.update(zip(asked, pages, strict=True))

    async def _ask(self, partition: int, position: int, wanted: int) -> PageT | SharqError:
        """Return a page, or the error of its partition: it counts only when its turn comes."""
        try:
            return await self._route(self._make_call(partition, position, wanted))
        except SharqError as error:
            return error.bare()


async def read_dead(
    route: Callable[[ListDead], Awaitable[DeadPage]],
    queue_type: str,
    partitions: int,
    limit: int,
    cursor: str | None,
    max_bytes: int = DEAD_PAGE_BYTES,
    queue_id: str = "",
    unread: Unread | None = None,
) -> tuple[list[DeadLetter], str | None]:
    """Return a type's dead letters, oldest first within a partition, and the next cursor (None at the end).

    A page ends early once its payloads reach max_bytes. The letters of one queue are all in its partition; a page of
    them also ends after MAX_SCANS calls, so it may be short or empty although more follow.

    Args:
        queue_id: only those of this queue; empty for all.
        unread: gets the partitions that are left out; None to leave out none.

    Raises:
        InvalidRequest: the cursor was not made by this function.
        SharqError: a partition cannot be read.
    """
    partition, scan = _split_cursor(cursor, partitions)
    if scan and not _is_dead_scan(scan):
        raise bad_cursor()
    letters: list[DeadLetter] = []
    size = calls = 0
    if queue_id:
        home = partition_of(queue_type, queue_id, partitions)
        if cursor is not None and partition != home:
            raise bad_cursor()
        partition, partitions = home, home + 1
    while partition < partitions and len(letters) < limit and size < max_bytes:
        if queue_id and calls == MAX_SCANS:
            break
        call = ListDead(queue_type, partition, scan, min(PAGE, limit - len(letters)), queue_id)
        try:
            page = await route(call)
        except SharqError as error:
            if unread is None or queue_id:
                raise
            unread.leave_out(partition, error)
            partition, scan = partition + 1, ""
            continue
        calls += 1
        letters += page.jobs
        size += sum(len(letter.payload) for letter in page.jobs)
        partition, scan = (partition, page.scan) if page.scan else (partition + 1, "")
    return letters, None if partition >= partitions else f"{partition}-{scan}"


def _split_cursor(cursor: str | None, partitions: int) -> tuple[int, str]:
    """Return the partition and the position in it; 0 and an empty position at the beginning.

    Raises:
        InvalidRequest: the cursor was not made by a list of this cluster.
    """
    if cursor is None:
        return 0, ""
    partition, dash, scan = cursor.partition("-")
    is_ours = dash and cursor.isascii() and partition.isdecimal()
    if not is_ours or int(partition) >= partitions:
        raise bad_cursor()
    return int(partition), scan


def _scan_cursor(cursor: str | None, partitions: int) -> tuple[int, int]:
    """Return the partition of a cursor, and the position as the store's HSCAN takes it; raise as `_split_cursor`."""
    partition, scan = _split_cursor(cursor, partitions)
    if scan and not scan.isdecimal():
        raise bad_cursor()
    position = int(scan or 0)
    if position > _MAX_SCAN:
        raise bad_cursor()
    return partition, position


def bad_cursor() -> InvalidRequest:
    """Return the error of a cursor that no list made."""
    return InvalidRequest("cursor: not a cursor that this server gave out")


def _is_dead_scan(scan: str) -> bool:
    """Return whether a position consists of a time of death, a colon and a letter."""
    died, colon, _ = scan.partition(":")
    return bool(colon) and died.isdecimal() and int(died) <= _MAX_SCAN
