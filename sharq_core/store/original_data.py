"""Finds the data of an original deployment under our prefix and reports it; it only reads.

The original keeps, after `<prefix>:`, the sets `ready:queue_type` and `active:queue_type` of its types, for each type a
zset `<type>` of queues with waiting jobs and a zset `<type>:active` of `<queue_id>:<job_id>` on lease, and for each
queue a list `<type>:<queue_id>` of waiting jobs. None of it is ever served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TypeAlias, cast

import msgspec
import redis.exceptions
from redis.asyncio import Redis

log = logging.getLogger(__name__)

_PAGE = 500
_MAX_TYPES = 1000
_MAX_MEMBERS = 100_000
"""The most queues and leased jobs read in all."""

_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 30.0

_Members: TypeAlias = list[bytes]


class OriginalData(msgspec.Struct, frozen=True):
    """The data of an original deployment.

    Attributes:
        queues: queues with waiting or leased jobs.
        jobs: waiting and leased jobs.
        is_at_least: there is more than was read.
    """

    queues: int
    jobs: int
    is_at_least: bool


class _Tally:
    """The counts so far, and the number of members that may still be read."""

    def __init__(self) -> None:
        self.queues: set[tuple[bytes, bytes]] = set()
        self.jobs = 0
        self.members_left = _MAX_MEMBERS
        self.is_at_least = False


async def find_original_data(client: Redis, prefix: str) -> OriginalData | None:
    """Find an original deployment's data and count it; change nothing.

    Args:
        client: a client of one server; decode_responses off.
        prefix: the original's key_prefix as its config has it, braces included.

    Returns:
        None if there is none.

    Raises:
        redis.exceptions.RedisError: the store does not answer. Nothing was changed.

    Cost: O(queues + leased jobs), at most 100,000 of them, 500 per call.
    """
    root = prefix.encode() + b":"
    type_sets = [root + b"ready:queue_type", root + b"active:queue_type"]
    key_types = [await client.type(key) for key in type_sets]
    sets = [key for key, key_type in zip(type_sets, key_types, strict=True) if key_type == b"set"]
    if not sets:
        return None
    tally = _Tally()
    queue_types: set[bytes] = set()
    for key in sets:
        queue_types |= await _read_types(client, key, tally)
    for queue_type in sorted(queue_types):
        await _count_type(client, root + queue_type, queue_type, tally)
    return OriginalData(len(tally.queues), tally.jobs, tally.is_at_least)


async def report_original_data(client: Redis, prefix: str) -> None:
    """Log a warning if an original deployment's data is here; retry while the store is away.

    Args:
        client: as for find_original_data.
        prefix: as for find_original_data.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            found = await find_original_data(client, prefix)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        except redis.exceptions.RedisError as error:
            log.warning("original_data_unknown key_prefix=%s error=%r", prefix, str(error))
            return
        else:
            break
    if found is not None:
        log.warning(
            "original_data_found key_prefix=%s queues=%d jobs=%d%s: they are not served and were not touched",
            prefix,
            found.queues,
            found.jobs,
            " at_least=true" if found.is_at_least else "",
        )


async def _read_types(client: Redis, key: bytes, tally: _Tally) -> set[bytes]:
    """Return the types in a set. SSCAN answers a small set whole, so one call is enough for any real deployment."""
    cursor, members = cast(tuple[int, _Members], await client.sscan(key, 0, count=_MAX_TYPES))
    tally.is_at_least |= cursor != 0
    return set(members)


async def _count_type(client: Redis, root: bytes, queue_type: bytes, tally: _Tally) -> None:
    async for queue_ids in _pages(client, root, tally):
        pipeline = client.pipeline(transaction=False)
        for queue_id in queue_ids:
            pipeline.llen(root + b":" + queue_id)
        lengths = await pipeline.execute(raise_on_error=False)
        tally.jobs += sum(length for length in lengths if isinstance(length, int))
        tally.queues |= {(queue_type, queue_id) for queue_id in queue_ids}
    async for leased in _pages(client, root + b":active", tally):
        tally.jobs += len(leased)
        tally.queues |= {(queue_type, member.partition(b":")[0]) for member in leased}


async def _pages(client: Redis, key: bytes, tally: _Tally) -> AsyncIterator[_Members]:
    """Yield a zset's members by rank; one that moves between two pages may be seen twice or missed."""
    position = 0
    while members := await _page(client, key, position):
        if tally.members_left < len(members):
            tally.is_at_least = True
            return
        tally.members_left -= len(members)
        position += len(members)
        yield members


async def _page(client: Redis, key: bytes, position: int) -> _Members:
    """Return a page; empty for a key of another type, because the original allowed types named like its own keys."""
    try:
        return cast(_Members, await client.zrange(key, position, position + _PAGE - 1))
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return []
        raise
