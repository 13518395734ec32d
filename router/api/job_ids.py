"""Makes the job ids of enqueues that name none: UUID version 7 (RFC 9562), increasing within this process."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

_TAIL_BITS = 74
_VERSION = 0x7
_VARIANT = 0b10


def _growing_ids() -> Iterator[str]:
    """Yield ids: the millisecond and a random tail, or a random step past the previous id if that is greater.

    Source: RFC 9562, section 6.2, method 2. A fresh tail has its top bit clear, so that the steps have room.
    """
    last = 0
    while True:
        fresh = (time.time_ns() // 1_000_000) << _TAIL_BITS | secrets.randbits(_TAIL_BITS - 1)
        last = max(fresh, last + 1 + secrets.randbits(32))
        yield _format(last)


def _format(number: int) -> str:
    """Return a number of 122 bits as a UUID, with version and variant between its 48, 12 and 62 bits."""
    high, low = number >> 62, number & (1 << 62) - 1
    digits = f"{(high >> 12) << 16 | _VERSION << 12 | high & 0xFFF:016x}{_VARIANT << 62 | low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


new_job_id = _growing_ids().__next__
"""Return a UUID version 7 in its usual form, 36 characters. Later calls return greater ids."""
