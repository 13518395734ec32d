"""Finds the data of an original deployment under our prefix and reports it; it only reads.

The original keeps the names of its types in two sets: `<prefix>:ready:queue_type` of those with waiting jobs, and
`<prefix>:active:queue_type` of those with leased ones. Its jobs are never served.
"""

from __future__ import annotations

import asyncio
import logging

import redis.exceptions
from redis.asyncio import Redis

log = logging.getLogger(__name__)

_TYPE_SETS = ("ready:queue_type", "active:queue_type")

_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 30.0


async def has_original_data(client: Redis, prefix: str) -> bool:
    """Return True if an original deployment has waiting or leased jobs under the prefix.

    Args:
        client: a client of one server; decode_responses off.
        prefix: the original's key_prefix as its config has it, braces included.

    Raises:
        redis.exceptions.RedisError: the store does not answer.
    """
    return any([await client.type(f"{prefix}:{name}") == b"set" for name in _TYPE_SETS])


async def report_original_data(client: Redis, prefix: str) -> None:
    """Log a warning if an original deployment's data is here.

    It is tried again while the store is away, and while this process has no file descriptor left.

    Args:
        client: as for has_original_data.
        prefix: as for has_original_data.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            is_here = await has_original_data(client, prefix)
        except (OSError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        except redis.exceptions.RedisError as error:
            log.warning("original_data_unknown key_prefix=%s error=%r", prefix, str(error))
            return
        else:
            break
    if is_here:
        log.warning(
            "original_data_found key_prefix=%s: the store holds jobs of the original SHARQ; they are not served and "
            "were not touched",
            prefix,
        )
