"""The types of the fields about the life of a job: when it is due, its priority, its expiry and its retries."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from router.api.fields import MAX_YEAR_MS, Expected, QueueId
from sharq_core.job_life import FIRST_PRIORITY, LAST_PRIORITY, MAX_ERROR_BYTES, MAX_RETRY_MS

MAX_TIME_MS = 2**53 // 1000
"""The latest time of a job, in ms since the epoch: in the year 2255. The store's numbers hold any µs up to it."""

MAX_JOBS_PAGE = 1000
"""Most jobs on a page of the jobs of a queue."""

MAX_PREFIX = 100
MAX_FACTOR = 10

_time = Meta(ge=0, le=MAX_TIME_MS)
_time_expected = Expected(f"an integer, a time in milliseconds since the epoch from 0 to {MAX_TIME_MS}")
_expires = Meta(gt=0, le=MAX_YEAR_MS)
_factor = Meta(ge=1, le=MAX_FACTOR)
_jitter = Meta(ge=0, le=1)
_retry_ms = Meta(ge=0, le=MAX_RETRY_MS)
_retry_expected = Expected(f"an integer from 0 to {MAX_RETRY_MS}, in milliseconds (30 days)")
_flag = Expected("true or false")
_expires_expected = Expected(f"a number of milliseconds over 0 and up to {MAX_YEAR_MS}, fractions allowed")
_fate_expected = Expected("a word: dead or drop")

FACTOR_TEXT = f"a number from 1 to {MAX_FACTOR} with at most two decimals"
JITTER_TEXT = "a number from 0 to 1 with at most two decimals"

At: TypeAlias = Annotated[
    int,
    _time,
    Meta(
        description="The time before which the job may not be leased, in ms since the epoch by the store's clock, "
        f"instead of `delay`, from 0 to {MAX_TIME_MS}. A time in the past means now."
    ),
    _time_expected,
]
Priority: TypeAlias = Annotated[
    int,
    Meta(
        ge=FIRST_PRIORITY,
        le=LAST_PRIORITY,
        description=f"The place of the job within its queue, from {FIRST_PRIORITY} to {LAST_PRIORITY}: jobs of a lower "
        f"number leave first, whenever they came, and never past the queue's rate.",
    ),
    Expected(f"an integer from {FIRST_PRIORITY} (first) to {LAST_PRIORITY} (last)"),
]
Expires: TypeAlias = Annotated[
    Annotated[int, _expires] | Annotated[float, _expires],
    Meta(
        description="Time from now after which the job is worthless and is no longer leased, in milliseconds over 0 "
        f"and up to {MAX_YEAR_MS}; fractions are allowed. It must not end before the job is due.",
    ),
    _expires_expected,
]
ExpiresAt: TypeAlias = Annotated[
    int,
    _time,
    Meta(
        description="The time from which on the job is worthless and is no longer leased, in ms since the epoch by the "
        f"store's clock, instead of `expires`, from 0 to {MAX_TIME_MS}: later than now, and later than the job is due."
    ),
    _time_expected,
]
ExpiryFate: TypeAlias = Annotated[
    Literal["dead", "drop"],
    Meta(
        description="The fate of the job if it expires: `dead` makes it a dead letter, `drop` forgets it. If it is "
        "absent, the queue or else the gathered type decides, and else it is `dead`."
    ),
    _fate_expected,
]
DefaultExpires: TypeAlias = Annotated[
    Annotated[int, _expires] | Annotated[float, _expires],
    Meta(
        description="Time after which jobs without an expiry of their own expire, counted from when each is due, in "
        f"milliseconds over 0 and up to {MAX_YEAR_MS}; fractions are allowed.",
    ),
    _expires_expected,
]
DefaultFate: TypeAlias = Annotated[
    Literal["dead", "drop"],
    Meta(
        description="The fate of expired jobs that do not name one: `dead` makes them dead letters, `drop` "
        "forgets them."
    ),
    _fate_expected,
]
RetryDelay: TypeAlias = Annotated[
    int,
    _retry_ms,
    Meta(
        description=f"Wait after the first failed attempt, in milliseconds from 0 to {MAX_RETRY_MS} (30 days)."
    ),
    _retry_expected,
]
RetryFactor: TypeAlias = Annotated[
    Annotated[int, _factor] | Annotated[float, _factor],
    Meta(
        description=f"Factor by which the wait grows with each further attempt, from 1 to {MAX_FACTOR}, with at most "
        "two decimals."
    ),
    Expected(FACTOR_TEXT),
]
RetryMax: TypeAlias = Annotated[
    int,
    _retry_ms,
    Meta(description=f"The longest wait, in milliseconds from 0 to {MAX_RETRY_MS} (30 days)."),
    _retry_expected,
]
RetryJitter: TypeAlias = Annotated[
    Annotated[int, _jitter] | Annotated[float, _jitter],
    Meta(
        description="The share of the wait that chance may take off, from 0 to 1, with at most two decimals, so that "
        "jobs that failed together do not come back together."
    ),
    Expected(JITTER_TEXT),
]
retry_meaning = Meta(
    description="How long the job waits after an attempt that failed: min(`max`, `delay` x `factor` ^ (attempt - 1)), "
    "less a random part of up to `jitter`. It applies to a lease that ends by time, and to a release without `delay` "
    "or with `prefer_retry`. If it is absent, the policy of the queue or else of the gathered type applies, and else "
    "there is no wait.",
)
default_retry_meaning = Meta(
    description="The retry policy of jobs that have none of their own: how long a job waits after an attempt that "
    "failed."
)
retry_expected = Expected("an object with delay and, if need be, factor, max and jitter")
ErrorText: TypeAlias = Annotated[
    str,
    Meta(
        description="The reason of the failure, for a person. It is kept with the job, shown with it and with its dead "
        f"letter, and replaced by that of a later release. It is cut to {MAX_ERROR_BYTES} bytes of UTF-8."
    ),
    Expected("a string"),
]
PreferRetry: TypeAlias = Annotated[
    bool,
    Meta(
        description="True lets the retry policy of the job, its queue or its gathered type decide how long the job "
        "waits; `delay` then applies only if there is none. False lets `delay` decide. The default is true if `delay` "
        "is absent, else false."
    ),
    _flag,
]
Force: TypeAlias = Annotated[
    bool,
    Meta(
        description="True also cancels a leased job: its lease is lost, and its worker is answered `lease_lost`. "
        "Without it, a leased job is refused with `leased`."
    ),
    _flag,
]
ListedState: TypeAlias = Annotated[
    Literal["queued", "delayed", "leased"],
    Meta(
        description="The state of the listed jobs: `queued` in the order in which they leave the queue, `delayed` in "
        "the order in which they were enqueued, `leased` in no order."
    ),
    Expected("a word: queued, delayed or leased"),
]
JobsLimit: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_JOBS_PAGE,
        description=f"Maximum number of jobs on the page, from 1 to {MAX_JOBS_PAGE}. A page may be shorter, and even "
        "empty, although more follow. A page of leased jobs may be slightly longer.",
    ),
    Expected(f"an integer from 1 to {MAX_JOBS_PAGE}"),
]
LettersOf: TypeAlias = Annotated[
    QueueId,
    Meta(
        description="Only the dead letters of this queue. A page may then be short or empty although more follow. If "
        "it is absent, those of all queues."
    ),
]
_PREFIX_TEXT = f"a string of up to {MAX_PREFIX} characters of A-Z a-z 0-9 _ - . + @ : /"
_prefix = Meta(pattern=rf"^[A-Za-z0-9_\-.+@:/]{{0,{MAX_PREFIX}}}$(?!\n)", max_length=MAX_PREFIX)
Prefix: TypeAlias = Annotated[
    str,
    _prefix,
    Meta(
        description=f"Only jobs whose ids begin with it, up to {MAX_PREFIX} characters. If it is absent, all jobs."
    ),
    Expected(_PREFIX_TEXT),
]
CancelledPrefix: TypeAlias = Annotated[
    str,
    _prefix,
    Meta(
        description=f"The jobs whose ids begin with it are cancelled, up to {MAX_PREFIX} characters. An empty prefix "
        "means all jobs."
    ),
    Expected(_PREFIX_TEXT),
]
