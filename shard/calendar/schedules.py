"""Fires the schedules of this node's partitions at their slots.

The store decides: a firing names the version and the slot of the schedule that this node knows, and does nothing if the
schedule has another one. So two nodes may believe that they own a partition. The node keeps the schedules of its
partitions in memory, without their jobs, and sleeps until the next slot; between two slots a schedule costs nothing. It
reads them when it takes a partition over, after a change by another node, after a step of the store's clock, and every
RELOAD_S.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress

import msgspec

from shard.batching.pipeline import Observer, Pipeline
from shard.calendar import slots
from shard.calendar.awaited_slots import AwaitedSlot, AwaitedSlots
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.metrics.firings import FiringCounts
from sharq_core.campaigns.schedules import Schedule
from sharq_core.errors import SharqError
from sharq_core.logs.rare_log import RareLog
from sharq_core.logs.troubles import REMIND_EVERY_S, SharedTrouble
from sharq_core.models import EnqueueStatus
from sharq_core.scheduler.campaigns.schedule_calls import Fired, FireStatus, ScheduleCalls
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import MAX_BATCH

_logger = logging.getLogger(__name__)
log = RareLog(_logger, every_s=REMIND_EVERY_S)

RELOAD_S = 600.0
"""Time after which the schedules of a partition are read again."""

RETRY_S = 1.0
"""Pause before a failed reading is tried again, and the least one before a failed firing is."""

RETRIES_A_SECOND = 100
"""Firings that are tried again each second while many fail. The first one of a partition that succeeds lets the others
of that partition follow at once.
"""

LOOK_AGAIN_S = 1.0
"""Least time between two readings of a partition that other nodes change."""

EARLY_S = 0.01
"""Pause before a firing that came too early is tried again."""

READ_AT_ONCE = 8
"""Most partitions that are read at one time."""

NOTED_AT_ONCE = 256
"""Schedules of a reading that are followed before other calls have their turn. One takes some microseconds."""

FIRED_AT_ONCE = 16
"""Most firings in flight. Computing the next slot takes 0.1 ms, so that other calls wait for a millisecond or two."""

AHEAD_US = 60_000_000
"""A schedule that was fired for a slot so far ahead, or made then, shows that the store's clock has stepped back since.
Smaller steps delay its next slot by less than that.
"""


class Schedules:
    """The schedules of one node's partitions.

    Args:
        ownership: the node's partitions; it does not fire the schedules of others.
        observer: gets the hint of each firing, which may make a queue due.
        clocks: the latest time at which a call about a partition may run.
        counts: counts the firings.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: ScheduleCalls,
        executor: Executor,
        ownership: Ownership,
        observer: Observer,
        clocks: PartitionClocks,
        counts: FiringCounts,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._executor = executor
        self._ownership = ownership
        self._observer = observer
        self._clocks = clocks
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._known: dict[int, dict[str, Schedule]] = {}
        self._read_at: dict[int, float] = {}
        self._slots = AwaitedSlots(self._is_next)
        self._failing: set[int] = set()
        self._to_read = asyncio.Event()
        self._earlier = asyncio.Event()
        self._unread: SharedTrouble[int] = SharedTrouble(
            _logger, "schedules_not_read", "partition=%d", ": trying on"
        )
        self.follow()

    def __len__(self) -> int:
        """Return the number of schedules that this node knows."""
        return sum(map(len, self._known.values()))

    @property
    def lag_s(self) -> float:
        """The time in seconds by which the earliest slot is overdue; 0 if none is."""
        since = self._slots.overdue_since
        return 0.0 if since is None else max(self._loop.time() - since, 0.0)

    def follow(self) -> None:
        """Read the partitions that this node owns now, and forget those of others."""
        mine, now = self._ownership.mine, self._loop.time()
        self._known = {partition: entries for partition, entries in self._known.items() if partition in mine}
        self._slots.keep(mine)
        self._read_at = {partition: self._read_at.get(partition, now) for partition in mine}
        self._unread.keep(mine.__contains__)
        self._to_read.set()

    def look_soon(self) -> None:
        """Read all partitions again: the store's clock may have stepped."""
        now = self._loop.time()
        self._read_at = dict.fromkeys(self._read_at, now)
        self._to_read.set()

    def look_at(self, partition: int) -> None:
        """Read a partition again soon: another node has changed something there."""
        self._read_soon(partition, LOOK_AGAIN_S)

    def note(self, partition: int, schedule: Schedule) -> None:
        """Follow a schedule as it is now."""
        if partition not in self._ownership.mine:
            return
        self._known.setdefault(partition, {})[schedule.name] = schedule
        self._await_slot(partition, schedule)

    def drop(self, partition: int, name: str) -> None:
        """Forget a schedule that this partition no longer has."""
        self._known.get(partition, {}).pop(name, None)
        self._slots.drop(partition, name)

    def lose(self, partition: int) -> None:
        """Forget the schedules of a partition whose data was lost."""
        self._known.pop(partition, None)

    async def run(self) -> None:
        """Fire schedules at their slots until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self._fire_all())

    async def _read(self) -> None:
        """Read each partition when it is time."""
        while True:
            self._to_read.clear()
            now = self._loop.time()
            due = [partition for partition, at in self._read_at.items() if at <= now]
            for first in range(0, len(due), READ_AT_ONCE):
                await asyncio.gather(*map(self._read_partition, due[first : first + READ_AT_ONCE]))
            await _wait(self._to_read, min(self._read_at.values(), default=None))

    async def _read_partition(self, partition: int) -> None:
        """Read all schedules of a partition, and forget the records of those that were dropped long ago."""
        # A change that is noted during the reading sets an earlier time, which stays.
        self._read_at[partition] = self._loop.time() + RELOAD_S
        before = dict(self._known.get(partition, {}))
        schedules: dict[str, Schedule] = {}
        dropped: list[tuple[str, int]] = []
        scan = 0
        try:
            while True:
                page = await self._pipeline.value(self._calls.list_schedules(partition, scan, MAX_BATCH))
                schedules.update({schedule.name: schedule for schedule in page.schedules})
                dropped += page.dropped
                scan = page.scan
                if not scan:
                    break
            for name, version in dropped:
                await self._pipeline.value(self._calls.forget_schedule(partition, name, version))
            if partition in self._ownership.mine:
                await self._take(partition, before, schedules)
        except SharqError as error:
            # A store that is away is logged as such.
            if not error.is_away:
                self._unread.note(partition, error.message)
            self._read_soon(partition, RETRY_S)
        except Exception:
            log.exception("schedules_not_read partition=%d", partition)
            self._read_soon(partition, RELOAD_S)
        else:
            if (lasted_s := self._unread.end(partition)) is not None:
                log.info("schedules_read partition=%d after_s=%.1f", partition, lasted_s)

    async def _take(self, partition: int, before: dict[str, Schedule], after: dict[str, Schedule]) -> None:
        """Follow the schedules that were found, except those that changed here during the reading."""
        followed = self._known.setdefault(partition, {})
        for name in before.keys() - after.keys():
            if followed.get(name) is before[name]:
                del followed[name]
        for count, (name, schedule) in enumerate(after.items(), 1):
            if followed.get(name) is before.get(name):
                self.note(partition, await self._heal(partition, schedule))
            if count % NOTED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _heal(self, partition: int, schedule: Schedule) -> Schedule:
        """Return the schedule with its first slot from now on, if its slot dates from a clock that was far ahead."""
        now_us = self._executor.now_us(partition)
        last_us = schedule.last_slot_us or schedule.version
        if now_us is None or schedule.slot_us is None or last_us <= now_us + AHEAD_US:
            return schedule
        slot_us = slots.next_after(schedule.rule, now_us, schedule.slot_us)
        if slot_us is None or slot_us >= schedule.slot_us:
            return schedule
        not_after_us = self._clocks.not_after_us(partition)
        call = self._calls.move_schedule(partition, schedule, slot_us, not_after_us=not_after_us)
        if not await self._pipeline.value(call):
            self._read_soon(partition, RETRY_S)
            return schedule
        log.info("schedule_moved_back name=%s to_ms=%d", schedule.name, slot_us // 1000)
        return msgspec.structs.replace(schedule, slot_us=slot_us)

    def _read_soon(self, partition: int, after_s: float) -> None:
        """Read a partition after a time, or earlier."""
        if partition in self._read_at:
            self._read_at[partition] = min(self._read_at[partition], self._loop.time() + after_s)
            self._to_read.set()

    def _await_slot(self, partition: int, schedule: Schedule, after_s: float = 0.0) -> None:
        """Fire a schedule at its next slot, and not before a time from now has passed."""
        # A firing may end after the schedule has changed: then the change has its own entry, which must stay.
        is_known = self._known.get(partition, {}).get(schedule.name) is schedule
        if not is_known or schedule.slot_us is None or schedule.is_paused:
            return
        now_us = self._executor.now_us(partition)
        wait_s = RETRY_S if now_us is None else max((schedule.slot_us - now_us) / 1e6, after_s)
        due_at = self._loop.time() + wait_s
        slot = AwaitedSlot(due_at, partition, schedule.name, schedule.version, schedule.slot_us)
        awaited = self._slots.get(partition, schedule.name)
        # Each reading comes here again. A slot that is early fires nothing, so that only a later one is replaced.
        if awaited is not None and slot.is_slot_of(awaited) and awaited.due_at <= due_at + EARLY_S:
            return
        if self._slots.push(slot):
            self._earlier.set()

    async def _fire_all(self) -> None:
        """Fire each schedule when it is time."""
        while True:
            self._earlier.clear()
            due = self._take_due()
            await asyncio.gather(*(self._fire(*entry) for entry in due))
            if not due:
                await _wait(self._earlier, self._slots.first_at)

    def _take_due(self) -> list[tuple[int, Schedule]]:
        """Take up to FIRED_AT_ONCE schedules whose time has come."""
        due: list[tuple[int, Schedule]] = []
        now = self._loop.time()
        while len(due) < FIRED_AT_ONCE and (slot := self._slots.pop_due(now)) is not None:
            due.append((slot.partition, self._known[slot.partition][slot.name]))
        return due

    def _is_next(self, slot: AwaitedSlot) -> bool:
        """Return True if a slot is the next one of a schedule as it is now."""
        schedule = self._known.get(slot.partition, {}).get(slot.name)
        return (
            schedule is not None
            and (schedule.version, schedule.slot_us) == (slot.version, slot.slot_us)
            and not schedule.is_paused
        )

    async def _fire(self, partition: int, schedule: Schedule) -> None:
        """Fire a schedule for the latest slot that has passed."""
        now_us = self._executor.now_us(partition)
        if now_us is None or schedule.slot_us is None or now_us < schedule.slot_us:
            self._await_slot(partition, schedule)
            return
        try:
            # Slots that passed while no node fired them count as one: the latest is fired.
            slot_us, next_us = _slots_at(schedule, schedule.slot_us, now_us)
            not_after_us = self._clocks.not_after_us(partition)
            call = self._calls.fire_schedule(partition, schedule, slot_us, next_us, not_after_us=not_after_us)
            reply, _ = await self._pipeline.submit(call, self._observer)
            if reply.is_expired:
                self._fire_again(partition, schedule)
                return
            self._note_fired(partition, schedule, slot_us, next_us, value_of(reply))
        except SharqError as error:
            level = logging.DEBUG if error.is_away else logging.WARNING
            log.log(level, "schedule_not_fired name=%s error=%r", schedule.name, error.message)
            self._counts.failed += 1
            self._fire_again(partition, schedule)
        except Exception:
            log.exception("schedule_not_fired name=%s", schedule.name)
            self._counts.failed += 1
            self._await_slot(partition, schedule, RELOAD_S)

    def _fire_again(self, partition: int, schedule: Schedule) -> None:
        """Try a failed firing again later: the later the more of them there are, and by chance, so that they spread."""
        self._failing.add(partition)
        spread_s = 2 * self._slots.overdue / RETRIES_A_SECOND
        self._await_slot(partition, schedule, RETRY_S + random.uniform(0, spread_s))

    def _end_failing(self, partition: int) -> None:
        """Fire now what failed in a partition, because its server answers again."""
        if partition not in self._failing:
            return
        self._failing.discard(partition)
        self._slots.hurry(partition)

    def _note_fired(
        self, partition: int, schedule: Schedule, slot_us: int, next_us: int | None, fired: Fired
    ) -> None:
        """Follow a schedule after a firing, and read it again if it is another one now."""
        self._slots.end(partition, schedule.name)
        self._end_failing(partition)
        if fired.status is FireStatus.EARLY:
            self._await_slot(partition, schedule, EARLY_S)
            return
        # Another node has fired this slot or changed the schedule.
        if fired.status is FireStatus.STALE:
            self._read_soon(partition, 0.0)
            return
        self._counts.count(fired.enqueued)
        if fired.enqueued not in (EnqueueStatus.QUEUED, EnqueueStatus.DUPLICATE):
            status = fired.enqueued.name.lower()
            log.warning("schedule_not_enqueued name=%s status=%s", schedule.name, status, kind=status)
        followed = self._known.get(partition, {})
        if followed.get(schedule.name) is schedule:
            followed[schedule.name] = after = msgspec.structs.replace(
                schedule, slot_us=next_us, last_slot_us=slot_us
            )
            self._await_slot(partition, after)


def _slots_at(schedule: Schedule, slot_us: int, now_us: int) -> tuple[int, int | None]:
    """Return the slot to fire, the latest that has passed, and the next one."""
    next_us = slots.next_after(schedule.rule, slot_us, slot_us)
    if next_us is None or next_us > now_us:
        return slot_us, next_us
    latest_us = slots.latest_by(schedule.rule, slot_us, now_us)
    return latest_us, slots.next_after(schedule.rule, latest_us, latest_us)


async def _wait(event: asyncio.Event, until: float | None) -> None:
    """Wait for an event, at most until a time of the loop."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await event.wait()
