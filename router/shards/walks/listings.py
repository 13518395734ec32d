"""Reads lists page by page: the queues of a type, and its dead letters.

A page goes partition by partition, so that its cursor stays valid while the ring changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from sharq_core.errors import InvalidRequest
from sharq_core.job_life import DeadLetter, DeadPage
from sharq_core.link.job_calls import ListDead
from sharq_core.link.messages import PartitionCall
from sharq_core.partitions import partition_of

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

ItemT = TypeVar("ItemT")


class ScanPage(Protocol):
    """A page of one partition. `scan` is the cursor of its next page, 0 at the end."""

    @property
    def scan(self) -> int:
        """The cursor of the next page of the partition, 0 at the end."""
        ...


PageT = TypeVar("PageT", bound=ScanPage)


async def read_queues(
    route: Callable[[PartitionCall[PageT]], Awaitable[PageT]],
    make_call: Callable[[int, int, int], PartitionCall[PageT]],
    items_of: Callable[[PageT], Iterable[tuple[str, ItemT]]],
    partitions: int,
    limit: int,
    cursor: str | None,
) -> tuple[dict[str, ItemT], str | None]:
    """Return queue_id → item for about `limit` queues from a cursor on, and the next cursor (None at the end).

    A page may exceed `limit` by the excess of one store call. It may be short or even empty before the end, if many
    queues without items were read.

    Args:
        route: calls the owner of a partition.
        make_call: returns the call for a partition, a position in it, and a number of queues.
        items_of: returns the (queue_id, item) pairs of a page.

    Raises:
        InvalidRequest: the cursor was not made by this function.
    """
    partition, position = _scan_cursor(cursor, partitions)
    items: dict[str, ItemT] = {}
    first_pages: dict[int, PageT] = {}
    scans = 0
    while partition < partitions and scans < MAX_SCANS and len(items) < limit:
        if partition not in first_pages:
            ahead = range(partition, min(partition + PARTITIONS_AT_ONCE, partitions))
            asked = [p for p in ahead if p not in first_pages]
            pages = await asyncio.gather(
                *(route(make_call(p, position if p == partition else 0, min(PAGE, limit))) for p in asked)
            )
            first_pages.update(zip(asked, pages, strict=True))
        page = first_pages.pop(partition)
        items.update(items_of(page))
        scans += page.scan > 0
        partition, position = (partition, page.scan) if page.scan else (partition + 1, 0)
    # Unused first pages of later partitions are dropped: the cursor points into the partition that comes next.
    done = partition >= partitions
    return items, None if done else f"{partition}-{position}"


async def read_dead(
    route: Callable[[ListDead], Awaitable[DeadPage]],
    queue_type: str,
    partitions: int,
    limit: int,
    cursor: str | None,
    max_bytes: int = DEAD_PAGE_BYTES,
    queue_id: str = "",
) -> tuple[list[DeadLetter], str | None]:
    """Return a type's dead letters, oldest first within a partition, and the next cursor (None at the end).

    A page ends early once its payloads reach max_bytes. The letters of one queue are all in its partition; a page of
    them also ends after MAX_SCANS calls, so it may be short or empty although more follow.

    Args:
        queue_id: only those of this queue; empty for all.

    Raises:
        InvalidRequest: the cursor was not made by this function.
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
        page = await route(ListDead(queue_type, partition, scan, min(PAGE, limit - len(letters)), queue_id))
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
