"""Makes the calls about schedules, and decodes their replies.

All methods take `now_us` (None for the store's clock), for tests. Some take `not_after_us`: after that time by the
store's clock nothing is done and the reply is expired. lua/schedule_record.lua says how a change goes through the
partitions.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from sharq_core.campaigns.schedules import (
    Schedule,
    ScheduleChange,
    ScheduleClaim,
    ScheduleHome,
    SchedulePage,
    ScheduleRule,
    ScheduleStatus,
    ScheduleView,
)
from sharq_core.models import EnqueueStatus, NewJob
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.keys import Keys, shown_id, stored_id
from sharq_core.scheduler.replies import decode_flag, decoder
from sharq_core.store.commands import Word

KEEP_DROPPED_US = 600_000_000
"""schedule_record.lua's KEEP_US: how long the record of a dropped schedule is kept."""

_NONE = -1
_STATUSES = tuple(EnqueueStatus)
_encode_rule = msgspec.json.Encoder().encode
_decode_rule = msgspec.json.Decoder(ScheduleRule).decode


class FireStatus(enum.IntEnum):
    """The outcome of a firing. Only FIRED changed anything."""

    FIRED = 0
    STALE = 1
    """The schedule has changed, is paused, or was fired for this slot."""
    EARLY = 2
    """The slot has not come."""


class Fired(msgspec.Struct, frozen=True):
    """The answer of a firing.

    Attributes:
        enqueued: the outcome of the enqueue; meaningful if it was FIRED.
    """

    status: FireStatus
    enqueued: EnqueueStatus


class ScheduleCalls:
    """The maker of one deployment's calls about schedules.

    Args:
        functions: knows the retention, and the data set that enqueued jobs are meant for.
    """

    def __init__(self, keys: Keys, functions: Functions) -> None:
        self._keys = keys
        self._functions = functions

    def claim_schedule(
        self,
        partition: int,
        name: str,
        above: int,
        target: int | None,
        is_paused: bool | None,  # noqa: FBT001 - a field of the call of the same name
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ScheduleClaim]:
        """Begin a change in the home partition of a name.

        Args:
            above: a version that the one of the change must exceed; 0 for any.
            target: the partition that will have the schedule; None if the change creates none.
            is_paused: whether it is paused from now on; None leaves that as it is.
        """
        paused = _NONE if is_paused is None else int(is_paused)
        arguments: list[Word] = [name, above, _NONE if target is None else target, paused, not_after_us or 0]
        return make_call(self._keys, library.CLAIM_SCHEDULE, partition, "", now_us, arguments, _decode_claim)

    def settle_schedule(
        self,
        partition: int,
        name: str,
        version: int,
        target: int | None,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """End a change in the home partition of a name. Value: False if a later change has begun.

        Args:
            target: the only partition that has the schedule now; None if none has it, which forgets the name.
        """
        arguments: list[Word] = [name, version, _NONE if target is None else target, not_after_us or 0]
        return make_call(self._keys, library.SETTLE_SCHEDULE, partition, "", now_us, arguments, decode_flag)

    def put_schedule(
        self,
        partition: int,
        name: str,
        version: int,
        rule: ScheduleRule,
        slot_us: int | None,
        job: NewJob,
        entry: bytes,
        *,
        is_paused: bool,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ScheduleChange]:
        """Create or replace a schedule in the partition of its job's queue.

        Args:
            slot_us: the first slot; None if there is none.
            job: its id is not used, because each firing has its own.
            entry: see ScheduleView.
        """
        header = packed.enqueue_header(msgspec.structs.replace(job, repeat=True))
        arguments: list[Word] = [
            not_after_us or 0,
            self._functions.data_id,
            name,
            version,
            int(is_paused),
            slot_us or 0,
            stored_id(job.queue_id),
            _encode_rule(rule),
            header,
            entry,
            job.payload,
        ]
        size = len(job.payload)
        return make_call(
            self._keys,
            library.PUT_SCHEDULE,
            partition,
            job.queue_type,
            now_us,
            arguments,
            _decode_change,
            size=size,
        )

    def drop_schedule(
        self,
        partition: int,
        name: str,
        version: int,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ScheduleChange]:
        """Drop a schedule from a partition, where no change of a lower version is done any more."""
        arguments: list[Word] = [name, version, not_after_us or 0]
        return make_call(self._keys, library.DROP_SCHEDULE, partition, "", now_us, arguments, _decode_change)

    def pause_schedule(
        self,
        partition: int,
        name: str,
        version: int,
        seen: int,
        slot_us: int | None,
        *,
        is_paused: bool,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ScheduleChange]:
        """Pause a schedule in a partition, or resume it from a slot on.

        Args:
            seen: the version of the record that the caller has read.
            slot_us: the next slot; None if there is none.
        """
        arguments: list[Word] = [name, version, seen, int(is_paused), slot_us or 0, not_after_us or 0]
        return make_call(self._keys, library.PAUSE_SCHEDULE, partition, "", now_us, arguments, _decode_change)

    def get_schedule(
        self, partition: int, name: str, *, now_us: int | None = None
    ) -> FunctionCall[ScheduleView]:
        """Read what a partition knows of a schedule."""
        return make_call(self._keys, library.GET_SCHEDULE, partition, "", now_us, [name], _decode_view)

    def list_schedules(
        self, partition: int, scan: int, count: int, *, now_us: int | None = None
    ) -> FunctionCall[SchedulePage]:
        """Read about `count` (1 to MAX_BATCH) schedules of a partition from the cursor `scan` on (0 at first)."""
        arguments: list[Word] = [scan, min(count, MAX_BATCH)]
        return make_call(self._keys, library.LIST_SCHEDULES, partition, "", now_us, arguments, _decode_page)

    def fire_schedule(
        self,
        partition: int,
        schedule: Schedule,
        slot_us: int,
        next_slot_us: int | None,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[Fired]:
        """Enqueue the job of a schedule for a slot, and set its next slot.

        Args:
            schedule: as the caller knows it; if it has changed, nothing is done.
            slot_us: the slot to fire: the schedule's next one, or a later one that has passed.
        """
        keep = self._functions.retention
        terms = packed.TERMS.pack(not_after_us or 0, keep.finished_us, keep.dead_us)
        arguments: list[Word] = [
            terms + self._functions.data_id,
            schedule.name,
            schedule.version,
            schedule.slot_us or 0,
            slot_us,
            next_slot_us or 0,
            packed.field(schedule.queue_id, job_id_of(schedule.name, slot_us)),
        ]
        return make_call(
            self._keys,
            library.FIRE_SCHEDULE,
            partition,
            schedule.queue_type,
            now_us,
            arguments,
            _decode_fired,
        )

    def move_schedule(
        self,
        partition: int,
        schedule: Schedule,
        slot_us: int | None,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Set the next slot of a schedule. Value: False if the schedule has changed."""
        arguments: list[Word] = [
            schedule.name,
            schedule.version,
            schedule.slot_us or 0,
            slot_us or 0,
            not_after_us or 0,
        ]
        return make_call(self._keys, library.MOVE_SCHEDULE, partition, "", now_us, arguments, decode_flag)

    def forget_schedule(
        self, partition: int, name: str, version: int, *, now_us: int | None = None
    ) -> FunctionCall[bool]:
        """Forget the record of a schedule that was dropped long ago. Value: False if it is kept."""
        return make_call(
            self._keys, library.FORGET_SCHEDULE, partition, "", now_us, [name, version], decode_flag
        )


def job_id_of(name: str, slot_us: int) -> str:
    """Return the id of the job that a slot enqueues, so that two firings for one slot enqueue it once."""
    return f"{name}@{slot_us // 1000}"


@decoder
def _decode_claim(raw: list[Any]) -> ScheduleClaim:
    return ScheduleClaim(raw[4], bool(raw[5]), bool(raw[6]), raw[7:])


@decoder
def _decode_change(raw: list[Any]) -> ScheduleChange:
    return ScheduleChange(ScheduleStatus(raw[4]), raw[5])


@decoder
def _decode_view(raw: list[Any]) -> ScheduleView:
    home, row = raw[4], raw[5]
    return ScheduleView(
        now_us=raw[1],
        home=ScheduleHome(home[0], bool(home[1]), home[2:]) if home else None,
        schedule=_schedule(row) if row and not _is_dropped(row) else None,
        version=row[1] if row else 0,
        entry=raw[6],
        payload=raw[7],
    )


@decoder
def _decode_page(raw: list[Any]) -> SchedulePage:
    rows = raw[5:]
    return SchedulePage(
        [_schedule(row) for row in rows if not _is_dropped(row)],
        int(raw[4]),
        [
            (row[0].decode(), row[1])
            for row in rows
            if _is_dropped(row) and raw[1] >= row[8] + KEEP_DROPPED_US
        ],
    )


@decoder
def _decode_fired(raw: list[Any]) -> Fired:
    return Fired(FireStatus(raw[4]), _STATUSES[raw[5]])


def _is_dropped(row: list[Any]) -> bool:
    return bool(row[3])


def _schedule(row: list[Any]) -> Schedule:
    """Return the schedule of a row (schedule_record.lua)."""
    name, version, is_paused, _, slot, last, status, fired, _, queue_type, queue_id, rule = row
    return Schedule(
        name=name.decode(),
        version=version,
        is_paused=bool(is_paused),
        slot_us=slot or None,
        last_slot_us=last or None,
        last_status=status - 1 if status else None,
        fired=fired,
        queue_type=queue_type.decode(),
        queue_id=shown_id(queue_id),
        rule=_decode_rule(rule),
    )
