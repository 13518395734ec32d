"""The shapes of requests and answers about schedules.

router/api/campaigns/schedule_parsing.py turns the requests into values.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from router.api.campaigns.time_zones import TimeZone
from router.api.fields import Expected
from router.api.request_shapes import EnqueueEntry
from router.api.response_shapes import CursorOut, QueueIdOut, Shape, Success, UnreadOut
from sharq_core.campaigns.schedules import MAX_CRON, MAX_EVERY_MS, MAX_NAME, MIN_EVERY_MS

NAME_MEANING = (
    f"The name of the schedule: 1 to {MAX_NAME} characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are "
    "refused."
)

CRON_TEXT = "five fields: minute, hour, day of the month, month and day of the week, such as 0 9 * * mon-fri"

NOT_IN_A_JOB = {
    "job_id": "each slot makes its own, <name>@<slot in ms>",
    "delay": "the schedule says when",
    "at": "the schedule says when",
    "expires_at": "it would pass once for all slots; use expires",
    "traceparent": "the jobs of all slots would be in one trace",
    "tracestate": "the jobs of all slots would be in one trace",
}
"""The fields of an enqueue that the job of a schedule may not have, and why."""

Cron: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CRON,
        description="The slots as a cron expression of five fields: minute, hour, day of the month, month, day of the "
        "week. Days are numbers or names; `L` is the last day of the month, `mon#1` the first Monday in it. If both "
        "days are restricted, either of them is enough. A time that a change of the clocks skips is made up for right "
        "after it, and one that comes twice counts once; if the minute or the hour begins with `*`, neither is so.",
    ),
    Expected(CRON_TEXT),
]
Every: TypeAlias = Annotated[
    int,
    Meta(
        ge=MIN_EVERY_MS,
        le=MAX_EVERY_MS,
        description=f"The time between two slots, in ms from {MIN_EVERY_MS} to {MAX_EVERY_MS}. The first one comes "
        "after this time.",
    ),
    Expected(f"an integer of milliseconds from {MIN_EVERY_MS} to {MAX_EVERY_MS}"),
]


def _scheduled_fields() -> list[tuple[str, Any, Any]]:
    """Return the fields of an enqueue that the job of a schedule may have, each with its type and default."""
    hints = get_type_hints(EnqueueEntry, include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(EnqueueEntry):
        if field.name not in NOT_IN_A_JOB:
            default = msgspec.NODEFAULT if field.required else field.default
            fields.append((field.name, hints[field.name], default))
    return fields


ScheduledEntry: Any = msgspec.defstruct(
    "ScheduledEntry",
    _scheduled_fields(),
    namespace={"__doc__": "The job that each slot enqueues, with the queue that it is for."},
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
"""An EnqueueEntry without the fields of NOT_IN_A_JOB, for the OpenAPI document."""


class ScheduleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The slots of a schedule, `cron` or `every`, one of the two, and the job that each slot enqueues."""

    cron: Cron | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    tz: (
        Annotated[TimeZone, Meta(description="The time zone of `cron`. The default is `UTC`.")] | UnsetType
    ) = UNSET
    job: Annotated[
        ScheduledEntry,
        Meta(description="The job that each slot enqueues, as an entry of a bulk enqueue."),
        Expected("a JSON object"),
    ]
    rate_later: Annotated[
        bool,
        Meta(
            description="True if the queue gets its rate later. Without it, a job that names no rate is refused, as by "
            "an enqueue, while its queue has none. The default is false."
        ),
    ] = False


NameOut: TypeAlias = Annotated[str, Meta(description="The name of the schedule.")]
CronOut: TypeAlias = Annotated[str | None, Meta(description="The cron expression; null with `every`.")]
EveryOut: TypeAlias = Annotated[
    int | None, Meta(description="The time between two slots, in ms; null with `cron`.")
]
ZoneOut: TypeAlias = Annotated[str, Meta(description="The time zone of `cron`.")]
PausedOut: TypeAlias = Annotated[bool, Meta(description="True if no slot enqueues until a resume.")]
NextOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="The next slot, in ms since the epoch; null if the schedule is paused or has no further slot."
    ),
]
LastOut: TypeAlias = Annotated[
    int | None, Meta(description="The latest slot that was fired, in ms since the epoch; null for none.")
]
LastStatusOut: TypeAlias = Annotated[
    str | None,
    Meta(
        description="The outcome of the enqueue of the latest slot: `queued`, `duplicate`, or why there is no job: "
        "`full`, `no_interval`, and so on; null for none."
    ),
]
FiredOut: TypeAlias = Annotated[
    int, Meta(description="Number of slots that were fired since the schedule has been in its partition.")
]


class ScheduleAnswer(Success, frozen=True, kw_only=True):
    """The state of one schedule."""

    name: NameOut
    cron: CronOut
    every: EveryOut
    tz: ZoneOut
    job: Annotated[Raw, Meta(description="The job, as it was given.", extra_json_schema={"type": "object"})]
    paused: PausedOut
    next_at: NextOut
    last_at: LastOut
    last_status: LastStatusOut
    fired: FiredOut


class ScheduleRow(Shape, frozen=True, kw_only=True):
    """One schedule of a list."""

    name: NameOut
    cron: CronOut
    every: EveryOut
    tz: ZoneOut
    queue_type: Annotated[str, Meta(description="The type of the queue of its jobs.")]
    queue_id: QueueIdOut
    paused: PausedOut
    next_at: NextOut
    last_at: LastOut
    last_status: LastStatusOut
    fired: FiredOut


class ScheduleRows(Success, frozen=True, kw_only=True):
    """A page of the schedules."""

    schedules: Annotated[list[ScheduleRow], Meta(description="The schedules with their next slots.")]
    cursor: CursorOut
    unread_partitions: UnreadOut | UnsetType = UNSET
