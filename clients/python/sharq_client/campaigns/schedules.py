"""Defines schedules, which enqueue a job at set times, as they are sent and as the server answers them."""

from __future__ import annotations

import msgspec

from sharq_client.bodies import EnqueueBody


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a schedule in a list. Times are in ms since the epoch by the store's clock.

    Attributes:
        cron: the cron expression of its slots; None with every.
        every: the time between two slots; None with cron.
        tz: the time zone of cron.
        queue_type, queue_id: the queue of its jobs.
        next_at: the next slot; None if the schedule is paused, or if there is none.
        last_at: the latest slot that was fired; None for none.
        last_status: the outcome of the enqueue of that slot: `queued`, `duplicate`, or the reason why there is no job,
            such as `full`; None for none.
        fired: the number of slots that were fired since the schedule has been in its partition.
    """

    name: str
    cron: str | None
    every: int | None
    tz: str
    queue_type: str = ""
    queue_id: str = ""
    paused: bool
    next_at: int | None
    last_at: int | None
    last_status: str | None
    fired: int


class ScheduleState(ScheduleRow, frozen=True, kw_only=True):
    """The state of one schedule, as in a list but with its job, which names the queue instead.

    Attributes:
        job: the job that each slot enqueues.
    """

    job: EnqueueBody


class ScheduleBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of PUT /schedule/."""

    cron: str | None = None
    every: int | None = None
    tz: str | None = None
    job: EnqueueBody
    rate_later: bool = False
