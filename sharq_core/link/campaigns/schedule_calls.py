"""Defines the calls about schedules. All are of format 4, and each is about one partition; its type is empty.

router/shards/campaigns/schedules.py says how a change goes through the partitions.
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.campaigns.schedules import (
    ScheduleChange,
    ScheduleClaim,
    SchedulePage,
    ScheduleRule,
    ScheduleView,
)
from sharq_core.link.messages import PartitionCall
from sharq_core.models import NewJob


class ClaimSchedule(PartitionCall[ScheduleClaim], frozen=True):
    """A call that begins a change of a schedule in the home partition of its name.

    Attributes:
        above: a version that the one of the change must exceed; 0 for any.
        target: the partition that will have the schedule; None if the change creates none.
        is_paused: whether it is paused from now on; None leaves that as it is.
    """

    function: ClassVar[str] = "claim_schedule"
    formats: ClassVar[int] = 4

    name: str
    above: int
    target: int | None
    is_paused: bool | None


class SettleSchedule(PartitionCall[bool], frozen=True):
    """A call that ends a change in the home partition of a name; False if a later change has begun.

    Attributes:
        target: the only partition that has the schedule now; None if none has it.
    """

    function: ClassVar[str] = "settle_schedule"
    formats: ClassVar[int] = 4

    name: str
    version: int
    target: int | None


class PutSchedule(PartitionCall[ScheduleChange], frozen=True):
    """A call that creates or replaces a schedule in the partition of its job's queue.

    Attributes:
        job: its id is not used, because each firing has its own.
        entry: the job as the client gave it, as JSON, without its payload.
    """

    function: ClassVar[str] = "put_schedule"
    formats: ClassVar[int] = 4

    name: str
    version: int
    is_paused: bool
    rule: ScheduleRule
    job: NewJob
    entry: bytes


class PauseSchedule(PartitionCall[ScheduleChange], frozen=True):
    """A call that pauses a schedule in a partition, or resumes it from the next slot on."""

    function: ClassVar[str] = "pause_schedule"
    formats: ClassVar[int] = 4

    name: str
    version: int
    is_paused: bool


class DropSchedule(PartitionCall[ScheduleChange], frozen=True):
    """A call that drops a schedule from a partition, where no change of a lower version is done any more."""

    function: ClassVar[str] = "drop_schedule"
    formats: ClassVar[int] = 4

    name: str
    version: int


class GetSchedule(PartitionCall[ScheduleView], frozen=True):
    """A call for what a partition knows of a schedule."""

    function: ClassVar[str] = "get_schedule"
    formats: ClassVar[int] = 4
    is_read: ClassVar[bool] = True

    name: str


class ListSchedules(PartitionCall[SchedulePage], frozen=True):
    """A call for about `count` schedules of a partition from `scan` on (0: from the start)."""

    function: ClassVar[str] = "list_schedules"
    formats: ClassVar[int] = 4
    is_read: ClassVar[bool] = True

    scan: int
    count: int
