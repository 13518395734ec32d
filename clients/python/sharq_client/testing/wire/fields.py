"""The types of the fields of requests, each with its range and the text of the message about a wrong value."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw

YEAR_MS = 365 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000
RETRY_MS = 30 * DAY_MS
LATEST_MS = 2**53 // 1000
MAX_JOBS = 1000
MAX_COST = 1_000_000

_NAME_WORDS = "1 to 100 characters of A-Z a-z 0-9 _ - . + @, but neither . nor .."
QUEUE_TYPE_WORDS = f"{_NAME_WORDS}, and at most one ~, neither first nor last"
IDENTIFIER_WORDS = (
    "1 to 100 characters of A-Z a-z 0-9 _ - . + @ : /, but no part between slashes may be empty, . or .."
)

_PART = r"(?!\.\.?(?:/|$))[A-Za-z0-9_\-.+@:]+"
IDENTIFIER_PATTERN = rf"^(?=.{{1,100}}$){_PART}(?:/{_PART})*$(?!\n)"
QUEUE_TYPE_PATTERN = r"^(?!\.\.?$)(?=.{1,100}$)[A-Za-z0-9_\-.+@]+(?:~[A-Za-z0-9_\-.+@]+)?$(?!\n)"
TRACEPARENT_PATTERN = (
    r"^(?!ff|00.{53}.)(?!.{3}0{32})(?!.{36}0{16})"
    r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,200})?$(?!\n)"
)
RATE_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?/(s|min|h|day)$"

RATE_WORDS = (
    "a rate over 0 as number/unit with the unit s, min, h or day, such as 40/s, 0.5/s, 90/min, 2000/h or 10000/day, "
    "from once in 365 days to 1000000/s"
)
BURST_WORDS = "a number from 1 to 1000000 with at most two decimals"
FACTOR_WORDS = "a number from 1 to 10 with at most two decimals"
JITTER_WORDS = "a number from 0 to 1 with at most two decimals"
HOLD_UNTIL_WORDS = "a time in milliseconds since the epoch, later than now and at most 24 hours from now"


def expected(text: str) -> Meta:
    """Return the annotation of a field with the text that follows "expected" in the message about it."""
    return Meta(extra={"expected": text})


_TIME_WORDS = f"an integer, a time in milliseconds since the epoch from 0 to {LATEST_MS}"
_year = expected(f"a number of milliseconds from 0 to {YEAR_MS}, fractions allowed")
_over_0 = expected(f"a number of milliseconds over 0 and up to {YEAR_MS}, fractions allowed")
_lease = expected(f"a number of milliseconds from 100 to {DAY_MS}")
_hold = expected(f"a number of milliseconds from 0 to {DAY_MS} (24 hours)")
_retry = expected(f"an integer from 0 to {RETRY_MS}, in milliseconds (30 days)")
_flag = expected("true or false")
_fate = expected("a word: dead or drop")

QueueType: TypeAlias = Annotated[
    str, Meta(pattern=QUEUE_TYPE_PATTERN), expected(f"a string: {QUEUE_TYPE_WORDS}")
]
Identifier: TypeAlias = Annotated[
    str, Meta(pattern=IDENTIFIER_PATTERN), expected(f"a string: {IDENTIFIER_WORDS}")
]
BatchId: TypeAlias = Annotated[
    str,
    Meta(pattern=IDENTIFIER_PATTERN),
    expected(f"the id of a batch, {IDENTIFIER_WORDS}"),
]
Payload: TypeAlias = Annotated[Raw, expected("any JSON value")]
Interval: TypeAlias = Annotated[float, Meta(ge=0, le=YEAR_MS), _year]
Delay: TypeAlias = Annotated[float, Meta(ge=0, le=YEAR_MS), _year]
Rate: TypeAlias = Annotated[str, Meta(pattern=RATE_PATTERN), expected(RATE_WORDS)]
Burst: TypeAlias = Annotated[float, Meta(ge=1, le=1_000_000), expected(BURST_WORDS)]
RequeueLimit: TypeAlias = Annotated[
    int, Meta(ge=-1, le=2**31 - 1), expected(f"an integer from -1 (forever) to {2**31 - 1}")
]
QueueCap: TypeAlias = Annotated[int, Meta(ge=0), expected("an integer, 0 or more")]
Flag: TypeAlias = Annotated[bool, _flag]
Cost: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_COST), expected(f"an integer from 1 to {MAX_COST}")]
ActualCost: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_COST), expected(f"an integer from 0 to {MAX_COST}")]
MaxLeased: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000), expected("an integer from 1 to 1000000")]
Weight: TypeAlias = Annotated[int, Meta(ge=1, le=100), expected("an integer from 1 to 100")]
At: TypeAlias = Annotated[int, Meta(ge=0, le=LATEST_MS), expected(_TIME_WORDS)]
Priority: TypeAlias = Annotated[int, Meta(ge=1, le=9), expected("an integer from 1 (first) to 9 (last)")]
Expires: TypeAlias = Annotated[float, Meta(gt=0, le=YEAR_MS), _over_0]
Fate: TypeAlias = Annotated[Literal["dead", "drop"], _fate]
LeaseToken: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=100),
    expected("a string of 1 to 100 characters, as the dequeue returned it"),
]
Hold: TypeAlias = Annotated[float, Meta(ge=0, le=DAY_MS), _hold]
HoldFor: TypeAlias = Annotated[
    float, Meta(ge=1, le=DAY_MS), expected(f"a number of milliseconds from 1 to {DAY_MS} (24 hours)")
]
HoldUntil: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1), expected(HOLD_UNTIL_WORDS)]
LeaseTime: TypeAlias = Annotated[float, Meta(ge=100, le=DAY_MS), _lease]
Wait: TypeAlias = Annotated[
    float, Meta(ge=0, le=60_000), expected("a number of milliseconds from 0 to 60000")
]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_JOBS), expected(f"an integer from 1 to {MAX_JOBS}")]
Page: TypeAlias = Annotated[int, Meta(ge=1, le=10_000), expected("an integer from 1 to 10000")]
Traceparent: TypeAlias = Annotated[
    str,
    Meta(pattern=TRACEPARENT_PATTERN),
    expected(
        "a traceparent of W3C Trace Context, as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ),
]
Tracestate: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^[ -~]*$(?!\n)", max_length=512),
    expected("a string of up to 512 printable ASCII characters"),
]
ErrorText: TypeAlias = Annotated[str, expected("a string")]
RetryMs: TypeAlias = Annotated[int, Meta(ge=0, le=RETRY_MS), _retry]
RetryFactor: TypeAlias = Annotated[float, Meta(ge=1, le=10), expected(FACTOR_WORDS)]
RetryJitter: TypeAlias = Annotated[float, Meta(ge=0, le=1), expected(JITTER_WORDS)]
LimitInterval: TypeAlias = Annotated[float, Meta(gt=0, le=YEAR_MS), _over_0]
LimitUnit: TypeAlias = Annotated[Literal["job", "cost"], expected("a word: job or cost")]
State: TypeAlias = Annotated[
    Literal["queued", "delayed", "leased"], expected("a word: queued, delayed or leased")
]
Prefix: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_\-.+@:/]{0,100}$(?!\n)"),
    expected("a string of up to 100 characters of A-Z a-z 0-9 _ - . + @ : /"),
]
Search: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_\-.+@:/]{1,100}$(?!\n)"),
    expected("1 to 100 of A-Z a-z 0-9 _ - . + @ : /"),
]
retry_expected = expected("an object with delay and, if need be, factor, max and jitter")
jobs_bounds = Meta(min_length=1, max_length=MAX_JOBS, extra={"expected": f"a list of 1 to {MAX_JOBS} jobs"})
limits_bounds = Meta(
    max_length=3, extra={"expected": "a list of up to 3 limits, each with a rate or an interval"}
)
