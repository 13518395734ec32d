"""The types of the fields about campaigns: windows, batches, results and progress of jobs, and windows of queues."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Raw

from router.api.fields import (
    IDENTIFIER_PATTERN,
    IDENTIFIER_WORDS,
    MAX_NAME,
    MAX_WAIT_MS,
    NAME_PATTERN,
    Expected,
)
from sharq_core.campaigns.results import MAX_PROGRESS_BYTES, MAX_RESULT_BYTES

_name = Meta(pattern=NAME_PATTERN, max_length=MAX_NAME)
_NAME_TEXT = "1 to 100 characters of A-Z a-z 0-9 _ - . + @"

WindowName: TypeAlias = Annotated[
    str,
    _name,
    Meta(
        description="The name of the window outside of which the job is not leased, such as the hours of its "
        "recipient. It waits, keeps its place and uses no slot of the rate. The windows of its queue and of its "
        f"gathered type hold it back, too. {_NAME_TEXT[0].upper()}{_NAME_TEXT[1:]}."
    ),
    Expected(f"the name of a window, {_NAME_TEXT}"),
]
IgnoreWindow: TypeAlias = Annotated[
    bool,
    Meta(
        description="True lets the job leave outside of all windows: its own, that of its queue and that of its "
        "gathered type, as a one-time code may."
    ),
    Expected("true or false"),
]
BatchId: TypeAlias = Annotated[
    str,
    Meta(pattern=IDENTIFIER_PATTERN, max_length=MAX_NAME),
    Meta(
        description="The batch that counts the job, such as a campaign: all jobs of the type with this batch, in any "
        f"queue. {IDENTIFIER_WORDS[0].upper()}{IDENTIFIER_WORDS[1:]}."
    ),
    Expected(f"the id of a batch, {IDENTIFIER_WORDS}"),
]
DefaultWindow: TypeAlias = Annotated[
    str,
    _name,
    Meta(
        description="The name of the window outside of which no job is leased, except those that ignore windows. Jobs "
        "with a window of their own wait until both are open."
    ),
    Expected(f"the name of a window, {_NAME_TEXT}"),
]
Result: TypeAlias = Annotated[
    Raw,
    Meta(
        description=f"What the work gave: any JSON value of up to {MAX_RESULT_BYTES // 1024} KiB. The state of the job "
        "shows it, for as long as the server remembers the job and has room for its result."
    ),
    Expected("any JSON value"),
]
Progress: TypeAlias = Annotated[
    Raw,
    Meta(
        description=f"How far the work is: any JSON value of up to {MAX_PROGRESS_BYTES // 1024} KiB. The state of the "
        "job shows the latest one until the job has ended."
    ),
    Expected("any JSON value"),
]
_wait = Meta(ge=0, le=MAX_WAIT_MS)
JobWait: TypeAlias = Annotated[
    Annotated[int, _wait] | Annotated[float, _wait],
    Meta(
        description="Time to wait for the end of the job, in milliseconds from 0 to "
        f"{MAX_WAIT_MS}: until it is finished, dead, cancelled or expired. 0 answers at once."
    ),
    Expected(f"a number of milliseconds from 0 to {MAX_WAIT_MS}"),
]
