"""Changes schedules for routers: computes the next slot, changes the record, and tells the node that fires it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import structs

from shard.batching.pipeline import Pipeline
from shard.calendar import slots
from shard.calendar.schedules import Schedules
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.campaigns.schedules import (
    Schedule,
    ScheduleChange,
    ScheduleRule,
    ScheduleStatus,
    ScheduleView,
)
from sharq_core.errors import InvalidRequest, OutcomeUnknown, SharqError, Unavailable
from sharq_core.link.campaigns.schedule_calls import DropSchedule, PauseSchedule, PutSchedule
from sharq_core.scheduler.campaigns.schedule_calls import ScheduleCalls
from sharq_core.scheduler.surveys import SurveyCalls

TRIES = 10
"""Most readings of a schedule that others change at the same time."""


class ScheduleChanges:
    """The handlers of calls that change schedules in one partition.

    Args:
        surveys: makes the note for the owner of a partition that this node does not own.

    Attributes:
        by_type: the handler of each type of call; it raises as ShardPort.call does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: ScheduleCalls,
        surveys: SurveyCalls,
        schedules: Schedules,
        ownership: Ownership,
        clocks: PartitionClocks,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._surveys = surveys
        self._schedules = schedules
        self._ownership = ownership
        self._clocks = clocks
        self.by_type: dict[type, Callable[[Any], Awaitable[Any]]] = {
            PutSchedule: self._put,
            PauseSchedule: self._pause,
            DropSchedule: self._drop,
        }

    async def _put(self, call: PutSchedule) -> ScheduleChange:
        partition, job = call.partition, call.job
        view = await self._read(partition, call.name)
        # The store cannot compute slots, so the call brings the first one. It follows the store's time of this reading.
        slot_us = _next_after(call.rule, view.now_us)
        change = await self._pipeline.value(
            self._calls.put_schedule(
                partition,
                call.name,
                call.version,
                call.rule,
                slot_us,
                job,
                call.entry,
                is_paused=call.is_paused,
                not_after_us=self._clocks.not_after_us(partition),
            )
        )
        if change.status is not ScheduleStatus.DONE:
            return change
        # A schedule that is replaced keeps the history of its firings.
        before = view.schedule
        schedule = Schedule(
            name=call.name,
            version=call.version,
            is_paused=call.is_paused,
            slot_us=slot_us,
            last_slot_us=before.last_slot_us if before else None,
            last_status=before.last_status if before else None,
            fired=before.fired if before else 0,
            queue_type=job.queue_type,
            queue_id=job.queue_id,
            rule=call.rule,
        )
        await self._tell(partition, schedule)
        return structs.replace(change, schedule=schedule)

    async def _pause(self, call: PauseSchedule) -> ScheduleChange:
        for _ in range(TRIES):
            view = await self._read(call.partition, call.name)
            schedule = view.schedule
            slot_us = None if schedule is None else _slot_after(call, schedule, view.now_us)
            change = await self._pipeline.value(
                self._calls.pause_schedule(
                    call.partition,
                    call.name,
                    call.version,
                    view.version,
                    slot_us,
                    is_paused=call.is_paused,
                    not_after_us=self._clocks.not_after_us(call.partition),
                )
            )
            # Another call came between the reading and the change, so the next slot may be another one.
            if change.status is ScheduleStatus.CHANGED:
                continue
            if schedule is not None and change.status is ScheduleStatus.DONE:
                changed = structs.replace(
                    schedule, version=call.version, is_paused=call.is_paused, slot_us=slot_us
                )
                await self._tell(call.partition, changed)
            return change
        raise Unavailable(f"{call.name}: other calls change the schedule all the time; nothing was done")

    async def _drop(self, call: DropSchedule) -> ScheduleChange:
        not_after_us = self._clocks.not_after_us(call.partition)
        change = await self._pipeline.value(
            self._calls.drop_schedule(call.partition, call.name, call.version, not_after_us=not_after_us)
        )
        if change.status is not ScheduleStatus.SUPERSEDED:
            self._schedules.drop(call.partition, call.name)
        return change

    async def _read(self, partition: int, name: str) -> ScheduleView:
        return await self._pipeline.value(self._calls.get_schedule(partition, name))

    async def _tell(self, partition: int, schedule: Schedule) -> None:
        """Let this node follow the schedule, or leave a note for the owner of its partition.

        Raises:
            OutcomeUnknown: the schedule was changed, and its owner does not know it yet.
        """
        if self._ownership.owns(partition):
            self._schedules.note(partition, schedule)
            return
        try:
            await self._pipeline.value(self._surveys.touch(partition, schedule.queue_type))
        except SharqError as error:
            raise OutcomeUnknown(
                f"the schedule was changed, and its node does not know it yet; repeat the call: {error.message}"
            ) from error


def _slot_after(call: PauseSchedule, schedule: Schedule, now_us: int) -> int | None:
    """Return the next slot after a pause or a resume, which skips the slots that passed during the pause."""
    slot_us = schedule.slot_us
    if call.is_paused or not schedule.is_paused or slot_us is None or slot_us > now_us:
        return slot_us
    return _next_after(schedule.rule, now_us, slot_us)


def _next_after(rule: ScheduleRule, now_us: int, slot_us: int | None = None) -> int | None:
    """Return the first slot of a rule after a time; raise InvalidRequest if this node does not know its time zone."""
    try:
        return slots.next_after(rule, now_us, slot_us)
    except KeyError:
        raise InvalidRequest(f"tz: expected a time zone that the shards know, got {rule.tz!r}") from None
