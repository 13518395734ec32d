"""The kinds of field that requests are made of: each its range, and its words for messages and OpenAPI.

The words stand behind "expected" in a message, so they begin with an article. Not here: which request has
which field (router/api/request_shapes.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw

from sharq_core.models import IDENTIFIER_PATTERN, MAX_INTERVAL_US, MAX_LEASE_US, MIN_LEASE_US

MAX_BULK = 1000
MAX_WAIT_MS = 60_000
MAX_PAGE = 10_000
MAX_TOP = 100
_INT32_MAX = 2**31 - 1

STRICT_IDENTIFIER_PATTERN = rf"^(?!\.\.?$){IDENTIFIER_PATTERN.removeprefix('^')}(?!\n)"
"""Refuses `.` and `..`, which proxies fold away, and the newline that `$` alone lets pass."""

_LINE = r"(?!\.\.?(?:\n|\Z))[A-Za-z0-9_\-.+@]{1,100}"
_are_identifiers = re.compile(rf"{_LINE}(?:\n{_LINE})*").fullmatch
"""Of identifiers with newlines between."""

IDENTIFIER_WORDS = "1 to 100 of A-Z a-z 0-9 _ - . + @, and neither . nor .."

_year = Meta(ge=0, le=MAX_INTERVAL_US // 1000)
_year_words = Meta(
    description=f"a number of milliseconds from 0 to {MAX_INTERVAL_US // 1000}, fractions allowed"
)
_wait = Meta(ge=0, le=MAX_WAIT_MS)
_wait_words = Meta(description=f"a number of milliseconds from 0 to {MAX_WAIT_MS}")
_hold = Meta(ge=MIN_LEASE_US // 1000, le=MAX_LEASE_US // 1000)
_hold_words = Meta(
    description=f"a number of milliseconds from {MIN_LEASE_US // 1000} to {MAX_LEASE_US // 1000}"
)

Identifier: TypeAlias = Annotated[
    str, Meta(pattern=STRICT_IDENTIFIER_PATTERN, description=f"a string: {IDENTIFIER_WORDS}")
]
Interval: TypeAlias = Annotated[Annotated[int, _year] | Annotated[float, _year], _year_words]
Delay: TypeAlias = Annotated[Annotated[int, _year] | Annotated[float, _year], _year_words]
Wait: TypeAlias = Annotated[Annotated[int, _wait] | Annotated[float, _wait], _wait_words]
HoldTime: TypeAlias = Annotated[Annotated[int, _hold] | Annotated[float, _hold], _hold_words]
"""How long a lease lasts from now."""
RequeueLimit: TypeAlias = Annotated[
    int, Meta(ge=-1, le=_INT32_MAX, description=f"an integer from -1 (for ever) to {_INT32_MAX}")
]
Burst: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000, description="an integer from 1 to 1000000")]
Cap: TypeAlias = Annotated[int, Meta(ge=0, description="an integer, 0 or more")]
Flag: TypeAlias = Annotated[bool, Meta(description="true or false")]
LeaseToken: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=100, description="a string of 1 to 100 characters, as the dequeue gave it"),
]
Payload: TypeAlias = Annotated[Raw, Meta(description="any JSON value")]
Ignored: TypeAlias = Annotated[Raw, Meta(description="anything; the path decides")]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_BULK, description=f"an integer from 1 to {MAX_BULK}")]
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PAGE, description=f"an integer from 1 to {MAX_PAGE}")]
TopBy: TypeAlias = Annotated[Literal["age", "depth"], Meta(description="a word: age or depth")]
TopLimit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_TOP, description=f"an integer from 1 to {MAX_TOP}")]
Cursor: TypeAlias = Annotated[str, Meta(max_length=300, description="the cursor of the page before")]
bulk = Meta(min_length=1, max_length=MAX_BULK, description=f"a list of 1 to {MAX_BULK} jobs")


def are_identifiers(values: Sequence[str]) -> bool:
    """Whether all of them are identifiers; a tenth of the time that it takes one by one."""
    lines = "\n".join(values)
    return lines.count("\n") < len(values) and _are_identifiers(lines) is not None


def to_us(duration_ms: float) -> int:
    """Whole microseconds of a duration in milliseconds, rounded up, so that no rate is exceeded.

    A fraction counts with its first 15 digits: a double holds any 15 exactly, and what follows is noise
    (33.333 becomes 33333; 3.3000000000000003 becomes 3300; 1e-9 becomes 1).
    """
    if isinstance(duration_ms, int):
        return duration_ms * 1000
    return math.ceil(Decimal(f"{duration_ms:.15g}") * 1000)


def clamp_cap(length: int) -> int:
    """A queue's cap, cut to what an integer argument of the store can hold; no queue grows so long."""
    return min(length, _INT32_MAX)
