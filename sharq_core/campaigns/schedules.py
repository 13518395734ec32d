"""Defines the values of schedules, which enqueue a job again and again at set times.

shard/calendar/slots.py computes the slots of a rule; shard/calendar/schedules.py fires them.
"""

from __future__ import annotations

import enum
from zlib import crc32

import msgspec

MAX_NAME = 86
"""The longest name: `<name>@<slot in ms>` is the job_id, which has at most 100 characters."""

MIN_EVERY_MS = 1_000
MAX_EVERY_MS = 365 * 24 * 3600 * 1000
MAX_CRON = 200
"""The longest cron expression, in characters."""


def home_of(name: str, partitions: int) -> int:
    """Return the home partition of a schedule's name, which knows where the schedule is."""
    return crc32(f"schedule:{name}".encode()) % partitions


class ScheduleRule(msgspec.Struct, frozen=True, array_like=True):
    """The times of a schedule, called its slots: those of a cron expression, or one every `every_us`.

    Attributes:
        cron: five fields: minute, hour, day of the month, month, day of the week; empty for `every_us`.
        every_us: the time between two slots, in whole ms; 0 for `cron`.
        tz: the time zone of the cron expression.
    """

    cron: str = ""
    every_us: int = 0
    tz: str = "UTC"


class Schedule(msgspec.Struct, frozen=True, array_like=True):
    """A schedule without its job.

    Attributes:
        version: of its latest change.
        slot_us: the next slot, by the store's clock; None if there is none.
        last_slot_us: the latest slot that was fired; None for none.
        last_status: the value of EnqueueStatus of the enqueue then; None for none.
        fired: the number of firings.
        queue_type, queue_id: the queue of its jobs.
    """

    name: str
    version: int
    is_paused: bool
    slot_us: int | None
    last_slot_us: int | None
    last_status: int | None
    fired: int
    queue_type: str
    queue_id: str
    rule: ScheduleRule


class ScheduleStatus(enum.IntEnum):
    """The outcome of a change of a schedule in one partition."""

    DONE = 0
    NOT_FOUND = 1
    SUPERSEDED = 2
    """A change of a higher version came first; nothing was done."""
    FULL = 3
    """The partition has as many schedules as it may have; nothing was done."""
    CHANGED = 4
    """The schedule is no longer the one that the caller has read; nothing was done."""


class ScheduleChange(msgspec.Struct, frozen=True, array_like=True):
    """The answer of a change in one partition.

    Attributes:
        version: that of the record there.
        schedule: the schedule that was put; None after any other change.
    """

    status: ScheduleStatus
    version: int
    schedule: Schedule | None = None


class ScheduleClaim(msgspec.Struct, frozen=True, array_like=True):
    """The answer of a home partition to the beginning of a change.

    Attributes:
        version: of the change; 0 if the name is unknown and the change does not create it.
        is_paused: True if the schedule is paused.
        is_known: True if the name was known.
        partitions: those that may have a record of the schedule.
    """

    version: int
    is_paused: bool
    is_known: bool
    partitions: list[int]


class ScheduleHome(msgspec.Struct, frozen=True, array_like=True):
    """The record of a home partition, as in ScheduleClaim."""

    version: int
    is_paused: bool
    partitions: list[int]


class ScheduleView(msgspec.Struct, frozen=True, array_like=True):
    """The state of a schedule in one partition.

    Attributes:
        now_us: the store's clock.
        home: None if this is not the home partition of the name, or the name is unknown.
        schedule: None if this partition does not have it.
        version: that of its record, also if the schedule was dropped; 0 if there is no record.
        entry: the job as the client gave it, as JSON, without its payload; empty without a schedule.
        payload: the payload of the job, as JSON.
    """

    now_us: int
    home: ScheduleHome | None
    schedule: Schedule | None
    version: int
    entry: bytes
    payload: bytes


class SchedulePage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the schedules of one partition.

    Attributes:
        scan: the cursor of the next page, 0 at the end.
        dropped: names and versions of dropped schedules whose records need not be kept any longer.
    """

    schedules: list[Schedule]
    scan: int
    dropped: list[tuple[str, int]] = []
