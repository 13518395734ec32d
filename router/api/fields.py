"""The types of the fields of requests: each has its range, its description for OpenAPI and its text for messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import Meta, Raw, Struct

from sharq_core.models import MAX_INTERVAL_US, MAX_LEASE_US, MIN_LEASE_US

MAX_BULK = 1000
MAX_WAIT_MS = 60_000
MAX_PAGE = 10_000
MAX_TOP = 100
DEFAULT_QUEUE_TYPE = "default"
"""The queue type of a dequeue that names none."""
MAX_TYPES = 16
"""Most queue types that one dequeue may name."""

_INT32_MAX = 2**31 - 1

NAME_PATTERN = r"^(?!\.\.?$)[A-Za-z0-9_\-.+@]{1,100}$(?!\n)"
"""The name of a window or a schedule. Proxies fold `.` and `..` away, so they are refused; so is the newline that `$`
alone accepts.
"""

QUEUE_TYPE_PATTERN = r"^(?!\.\.?$)(?=.{1,100}$)[A-Za-z0-9_\-.+@]+(?:~[A-Za-z0-9_\-.+@]+)?$(?!\n)"
"""A queue type: a name, or one that holds one `~` between two other characters (a gathered type)."""

MAX_CAP_NAME = 64
"""The most characters of a cap's name."""

CAP_NAME_PATTERN = rf"^(?!\.\.?$)[A-Za-z0-9_\-.+@]{{1,{MAX_CAP_NAME}}}$(?!\n)"
"""The name of a cap."""

_PART = r"(?!\.\.?(?:/|$))[A-Za-z0-9_\-.+@:]+"
MAX_NAME = 100
"""The most characters of an identifier or a name."""

IDENTIFIER_PATTERN = rf"^{_PART}(?:/{_PART})*$(?!\n)"
"""The id of a queue, a job or a batch, apart from its length, which makes the pattern slow for those who generate
values from it. A proxy that decodes `%2F` folds `.`, `..` and empty parts of the path away.
"""

_LINE = r"(?!\.\.?(?:\n|\Z))[A-Za-z0-9_\-.+@:/]{1,100}"
_are_identifiers = re.compile(rf"{_LINE}(?:\n{_LINE})*").fullmatch
"""Matches identifiers that are joined by newlines, if no part between slashes is empty, `.` or `..`."""

_has_folded_part = re.compile(r"(?:^|/)\.{0,2}(?:/|$)", re.MULTILINE).search
"""Finds a part between slashes that is empty, `.` or `..`."""

match_queue_type = re.compile(QUEUE_TYPE_PATTERN).match
"""Matches a queue type."""

NAME_WORDS = "1 to 100 characters of A-Z a-z 0-9 _ - . + @, but neither . nor .."
QUEUE_TYPE_WORDS = f"{NAME_WORDS}, and at most one ~, neither first nor last"
CAP_NAME_WORDS = f"1 to {MAX_CAP_NAME} characters of A-Z a-z 0-9 _ - . + @, but neither . nor .."
IDENTIFIER_WORDS = (
    "1 to 100 characters of A-Z a-z 0-9 _ - . + @ : /, but no part between slashes may be empty, . or .."
)

PATH_PATTERNS = {
    "queue_type": QUEUE_TYPE_PATTERN,
    "queue_id": IDENTIFIER_PATTERN,
    "job_id": IDENTIFIER_PATTERN,
    "batch": IDENTIFIER_PATTERN,
    "schedule": NAME_PATTERN,
    "window": NAME_PATTERN,
    "cap": CAP_NAME_PATTERN,
}
"""The patterns of the parts of paths, percent-decoded."""

_WORDS = {
    QUEUE_TYPE_PATTERN: QUEUE_TYPE_WORDS,
    IDENTIFIER_PATTERN: IDENTIFIER_WORDS,
    NAME_PATTERN: NAME_WORDS,
    CAP_NAME_PATTERN: CAP_NAME_WORDS,
}

PATH_PARTS: dict[str, tuple[Callable[[str], object], str]] = {
    name: (re.compile(rf"(?=.{{1,{MAX_NAME}}}$){pattern}").match, _WORDS[pattern])
    for name, pattern in PATH_PATTERNS.items()
}
"""The pattern that matches each part of a path, and its description in messages."""


class Expected(Struct, frozen=True):
    """The text that follows "expected" in the message about a wrong value of a field; it begins with an article."""

    text: str


MAX_YEAR_MS = MAX_INTERVAL_US // 1000
_MIN_HOLD_MS = MIN_LEASE_US // 1000
_MAX_HOLD_MS = MAX_LEASE_US // 1000

_year = Meta(ge=0, le=MAX_YEAR_MS)
_year_ms = Expected(f"a number of milliseconds from 0 to {MAX_YEAR_MS}, fractions allowed")
_wait = Meta(ge=0, le=MAX_WAIT_MS)
_hold = Meta(ge=_MIN_HOLD_MS, le=_MAX_HOLD_MS)
_hold_ms = Expected(f"a number of milliseconds from {_MIN_HOLD_MS} to {_MAX_HOLD_MS}")
_identifier = Expected(f"a string: {IDENTIFIER_WORDS}")
_queue_type = Expected(f"a string: {NAME_WORDS}, and at most one ~, neither first nor last")
_flag = Expected("true or false")

_LIMITS = "1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused."
QUEUE_TYPE_MEANING = (
    f"The type of the queue, the name that workers ask for: {_LIMITS} It may hold one `~`, neither first nor last; "
    "all queues of such a gathered type are in one partition."
)
WINDOW_MEANING = f"The name of the window: {_LIMITS}"
CAP_MEANING = f"The name of the cap: 1 to {MAX_CAP_NAME} {_LIMITS.removeprefix('1 to 100 ')}"
_ID_LIMITS = (
    "1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has "
    "`%2F` for a slash in it."
)
QUEUE_ID_MEANING = f"The id of the queue within its type: {_ID_LIMITS}"
JOB_ID_MEANING = f"The id of the job, unique within its queue: {_ID_LIMITS}"

QueueType: TypeAlias = Annotated[
    str, Meta(pattern=QUEUE_TYPE_PATTERN, description=QUEUE_TYPE_MEANING), _queue_type
]
QueueId: TypeAlias = Annotated[
    str, Meta(pattern=IDENTIFIER_PATTERN, max_length=MAX_NAME, description=QUEUE_ID_MEANING), _identifier
]
JobId: TypeAlias = Annotated[
    str, Meta(pattern=IDENTIFIER_PATTERN, max_length=MAX_NAME, description=JOB_ID_MEANING), _identifier
]
NewJobId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=IDENTIFIER_PATTERN,
        max_length=MAX_NAME,
        description=f"{JOB_ID_MEANING} If it is absent, the server makes a UUID. If the queue already has a job of "
        "this id that is queued, delayed or leased, the enqueue changes nothing and answers `duplicate`.",
    ),
    _identifier,
]
Interval: TypeAlias = Annotated[
    Annotated[int, _year] | Annotated[float, _year],
    Meta(
        description=f"Minimum time between two leases of the queue, in milliseconds from 0 to {MAX_YEAR_MS}; "
        "fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only "
        "if the queue does not have an interval yet."
    ),
    _year_ms,
]
Delay: TypeAlias = Annotated[
    Annotated[int, _year] | Annotated[float, _year],
    Meta(
        description=f"Time from now until the job may be leased, in milliseconds from 0 to {MAX_YEAR_MS}; fractions "
        "are allowed."
    ),
    _year_ms,
]
Wait: TypeAlias = Annotated[
    Annotated[int, _wait] | Annotated[float, _wait],
    Meta(
        description=f"Time to wait for a ready job, in milliseconds from 0 to {MAX_WAIT_MS}. 0 answers at once.",
    ),
    Expected(f"a number of milliseconds from 0 to {MAX_WAIT_MS}"),
]
LeaseTime: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description=f"Length of the lease (visibility timeout), in milliseconds from {_MIN_HOLD_MS} to {_MAX_HOLD_MS}. "
        "The default is the server's `job_expire_interval`."
    ),
    _hold_ms,
]
ExtendBy: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description="Time from now to the new end of the lease, in milliseconds from "
        f"{_MIN_HOLD_MS} to {_MAX_HOLD_MS}."
    ),
    _hold_ms,
]
RequeueLimit: TypeAlias = Annotated[
    int,
    Meta(
        ge=-1,
        le=_INT32_MAX,
        description="Number of times that the job may return to its queue after its lease ended, from 0 to "
        f"{_INT32_MAX}; -1 means forever. A job past its limit becomes a dead letter. The default is the server's "
        "`default_job_requeue_limit`.",
    ),
    Expected(f"an integer from -1 (forever) to {_INT32_MAX}"),
]
QueueCap: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        description="Length from which on this enqueue is refused with `queue_full`: number of queued and delayed jobs "
        "of the queue, 0 or more. If it is absent, the length is not limited.",
    ),
    Expected("an integer, 0 or more"),
]
Repeat: TypeAlias = Annotated[
    bool,
    Meta(
        description="True if this enqueue is sent again after a doubtful answer. The id of a job that is finished, "
        "dead, cancelled or expired is a `duplicate` then, too, as long as the server remembers the job."
    ),
    _flag,
]
Pin: TypeAlias = Annotated[
    bool,
    Meta(
        description="True freezes the rate and burst against the values that enqueues carry, false ends that. If it is "
        "absent, the pin stays as it is."
    ),
    _flag,
]
PurgeAll: TypeAlias = Annotated[
    bool,
    Meta(description="True also forgets the rate of the queue, once its ready time has passed."),
    _flag,
]
LeaseToken: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a "
        "job acts.",
    ),
    Expected("a string of 1 to 100 characters, as the dequeue returned it"),
]
Payload: TypeAlias = Annotated[
    Raw,
    Meta(
        description="The content of the job: any JSON value, up to the server's `max_payload_bytes`. It is delivered "
        "unchanged."
    ),
    Expected("any JSON value"),
]
Ignored: TypeAlias = Annotated[
    Raw,
    Meta(description="Ignored: the path names the queue."),
    Expected("anything; the path names the queue"),
]
Count: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_BULK,
        description=f"Maximum number of jobs to lease, from 1 to {MAX_BULK}. With it, the answer is a list of jobs; "
        "without it, the answer is a single job.",
    ),
    Expected(f"an integer from 1 to {MAX_BULK}"),
]
PageLimit: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_PAGE,
        description=f"Maximum number of items on the page, from 1 to {MAX_PAGE}. A page may be shorter, or slightly "
        "longer.",
    ),
    Expected(f"an integer from 1 to {MAX_PAGE}"),
]
TopBy: TypeAlias = Annotated[
    Literal["age", "depth"],
    Meta(
        description="The order: `age` puts the queues first that have been ready longest, `depth` those that hold the "
        "most jobs."
    ),
    Expected("a word: age or depth"),
]
Search: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.+@:/-]+$(?!\n)",
        max_length=MAX_NAME,
        description="Only queues whose ids contain this text, in this case: 1 to 100 of `A-Z a-z 0-9 _ - . + @ : /`. A "
        "page may be short or even empty before the end, if many ids were compared; its `cursor` goes on.",
    ),
    Expected("1 to 100 of A-Z a-z 0-9 _ - . + @ : /"),
]
TopLimit: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=MAX_TOP, description=f"Maximum number of queues in the answer, from 1 to {MAX_TOP}."),
    Expected(f"an integer from 1 to {MAX_TOP}"),
]
QueueTypes: TypeAlias = Annotated[
    list[QueueType],
    Meta(
        min_length=1,
        max_length=MAX_TYPES,
        description=f"The queue types to lease from, 1 to {MAX_TYPES}: `?type=sms&type=mail`. If it is absent, the "
        "type is `default`. The type whose job has been due longest comes first. A type that is named twice counts "
        "once. Each job of the answer has its `queue_type` then.",
    ),
    Expected(f"1 to {MAX_TYPES} queue types, each {NAME_WORDS}, and at most one ~, neither first nor last"),
]
Cursor: TypeAlias = Annotated[
    str,
    Meta(
        max_length=300,
        description="The `cursor` of the previous page, up to 300 characters. If it is absent, the list starts at its "
        "beginning.",
    ),
    Expected("the cursor of the previous page"),
]
bulk = Meta(
    min_length=1,
    max_length=MAX_BULK,
    description=f"1 to {MAX_BULK} jobs. The result of each job is at the same place in `results`.",
)
named_letters = Meta(min_length=1, max_length=MAX_BULK, description=f"1 to {MAX_BULK} dead letters.")
bulk_expected = Expected(f"a list of 1 to {MAX_BULK} jobs")
letters_expected = Expected(f"a list of 1 to {MAX_BULK} dead letters")


def expected_text(hint: Any) -> str | None:
    """Return the text of the Expected in a field's type; None if it has none."""
    for item in getattr(hint, "__metadata__", ()):
        if isinstance(item, Expected):
            return item.text
    return next((text for part in get_args(hint) if (text := expected_text(part)) is not None), None)


def are_queue_types(values: Iterable[str]) -> bool:
    """Return whether all values are queue types."""
    return all(map(match_queue_type, values))


def are_identifiers(values: Sequence[str]) -> bool:
    """Return whether all values are identifiers. Matching them joined is faster than matching each."""
    lines = "\n".join(values)
    if lines.count("\n") >= len(values) or _are_identifiers(lines) is None:
        return False
    # Most lists have no slash, and the search takes half as long as all of the parsing.
    return "/" not in lines or _has_folded_part(lines) is None


def clamp_cap(length: int) -> int:
    """Return a queue's cap, at most the largest integer argument of the store; no queue grows that long."""
    return min(length, _INT32_MAX)
