"""Reads how much acknowledged work of a store is only in its memory."""

from __future__ import annotations

import redis.exceptions
from msgspec import Struct
from redis.asyncio import Redis


class Unwritten(Struct, frozen=True):
    """Acknowledged work that is only in the store's memory.

    Attributes:
        waiting_bytes: bytes to be written to its file.
        is_refused: the last write to the disk failed.
    """

    waiting_bytes: int
    is_refused: bool


async def read_unwritten(client: Redis) -> Unwritten | None:
    """Return the acknowledged work that is not in the file yet; None for none, or if the store does not say."""
    try:
        facts = await client.info("persistence")
    except (OSError, redis.exceptions.RedisError, TimeoutError):
        return None
    is_refused = facts.get("aof_last_write_status", "ok") != "ok"
    waiting = int(facts.get("aof_buffer_length", 0))
    return Unwritten(waiting, is_refused) if waiting or is_refused else None
