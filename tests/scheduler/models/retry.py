"""The wait of a retry policy, computed apart from the Lua, from the same bytes of the lease token."""

from __future__ import annotations

import math
import struct

from sharq_core.job_life import Retry

GOLDEN = 0.6180339887498949


def wait_us(policy: Retry, attempt: int, token: str | None) -> int:
    """Return how long a job waits after an attempt that failed."""
    factor, jitter = round(policy.factor * 100) / 100, round(policy.jitter * 100) / 100
    wait_ms = policy.max_ms + 0.0
    try:
        wait_ms = min(policy.delay_ms * factor ** max(attempt - 1, 0), wait_ms)
    except OverflowError:
        wait_ms = wait_ms if policy.delay_ms else 0.0
    if jitter and token:
        wait_ms *= 1 - jitter * _chance(bytes.fromhex(token))
    return math.floor(wait_ms * 1000)


def _chance(token: bytes) -> float:
    """Return a number from 0 to less than 1: one of a sequence that spreads evenly, from a start by chance."""
    number, random = struct.unpack_from(">QI", token)
    return float((number * GOLDEN + random / 2**32) % 1)
