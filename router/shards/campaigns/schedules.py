"""Routes changes of schedules through the partitions.

The record of a schedule is in the partition of its queue, so that a firing is one step there. The home partition of the
name gives each change a version, and says which partitions may have a record: the one that has it, and those of changes
that are under way or were given up. A change drops the record from all of them but its own before it puts one there,
and a partition refuses a change of a lower version than it has seen. So two changes at once never leave two schedules:
one of them is refused, and begins again with a higher version.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic

from router.shards.dispatch import Dispatch
from router.shards.upgrade import newer_field_of_job, refusal
from router.shards.walks.everywhere import answers_in, changed_at_home, not_everywhere
from router.shards.walks.listings import PartitionWalk
from router.shards.walks.unread import is_broken
from sharq_core.campaigns.schedules import (
    Schedule,
    ScheduleChange,
    ScheduleClaim,
    SchedulePage,
    ScheduleRule,
    ScheduleStatus,
    home_of,
)
from sharq_core.errors import NotFound, OutcomeUnknown, SharqError, StoreFull
from sharq_core.link.campaigns.schedule_calls import (
    ClaimSchedule,
    DropSchedule,
    GetSchedule,
    ListSchedules,
    PauseSchedule,
    PutSchedule,
    SettleSchedule,
)
from sharq_core.models import NewJob
from sharq_core.partitions import partition_of

log = logging.getLogger(__name__)

TRIES = 20
"""Most attempts of one change. Each one after the first means that another change of the schedule came first."""

PUT_S, LOOK_AGAIN_S = 3.0, 0.05
"""Time for which a pause waits for the record of a put, if it finds none although the home knows the name, and the
interval of its readings. The pause refuses the put, which takes as long again.
"""

_MOVED = "the schedule is gone from its former queue"
_NOTED = "the home partition of the schedule has noted the change"
_DROPPED = "a partition has dropped the schedule"

FIRST_PAUSE_S, MOST_DOUBLINGS = 0.005, 6
"""The bound of the first random pause before a change is tried again, and how often it doubles: up to 0.32 s."""


class ScheduleRouting:
    """The operations on schedules.

    All methods raise Unavailable (nothing was done) or OutcomeUnknown (perhaps done; safe to repeat).
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def put(self, name: str, rule: ScheduleRule, job: NewJob, entry: bytes) -> Schedule:
        """Create or replace a schedule, and return it; one that is paused stays so.

        Raises:
            StoreFull: the store takes no more, or the partition of the queue no more schedules.
        """
        # Before the first step, because a refusal of the last one would leave the name without its schedule.
        if (newer := newer_field_of_job(job, self._dispatch.formats)) is not None:
            raise refusal(newer)
        target = partition_of(job.queue_type, job.queue_id, self._dispatch.partitions)
        above, is_moved = 0, False
        for attempt in range(TRIES):
            await _give_way(attempt)
            with _in_doubt(_MOVED, is_begun=is_moved):
                claim = await self._claim(name, above, target=target)
                others = [partition for partition in claim.partitions if partition != target]
                dropped = await self._drop(name, claim.version, others)
            above, is_moved = _highest(dropped), is_moved or _is_found(dropped)
            if above <= claim.version:
                call = PutSchedule("", target, name, claim.version, claim.is_paused, rule, job, entry)
                with _in_doubt(_MOVED, is_begun=is_moved):
                    change = await self._put(call)
                if change.schedule is not None:
                    if others:
                        await self._settle(name, claim.version, target)
                    return change.schedule
                above = change.version
        raise _contended(name)

    async def set_paused(self, name: str, *, is_paused: bool) -> None:
        """Pause a schedule or resume it from the next slot on; raise NotFound if there is none."""
        above = 0
        for attempt in range(TRIES):
            await _give_way(attempt)
            with _in_doubt(_NOTED, is_begun=attempt > 0):
                claim = await self._claim(name, above, is_paused=is_paused)
            with _in_doubt(_NOTED):
                changes = await self._change_all(
                    partial(_pause, name, claim.version, is_paused=is_paused), claim.partitions
                )
            above = _highest(changes)
            if above > claim.version:
                continue
            if _is_found(changes):
                return
            # A put may be between its drop and its record. It is refused now, and begins again as paused as this says.
            # Another claim would refuse it again.
            if await self._is_put_since(name, claim.version):
                return
            await self._settle(name, claim.version, None)
            raise _not_found(name)
        raise _contended(name)

    async def pause(self, name: str, *, is_paused: bool) -> tuple[Schedule, bytes, bytes]:
        """Pause a schedule or resume it as `set_paused` does, and return it as `get` does.

        Raises:
            NotFound: there is none, or it was deleted since.
        """
        await self.set_paused(name, is_paused=is_paused)
        until_s = monotonic() + PUT_S
        with _in_doubt("the schedule is paused" if is_paused else "the schedule is resumed"):
            while monotonic() < until_s:
                with suppress(NotFound):  # a put may be between its drop and its record
                    return await self.get(name)
                await asyncio.sleep(LOOK_AGAIN_S)
            return await self.get(name)

    async def delete(self, name: str) -> None:
        """Drop a schedule; raise NotFound if there is none."""
        above, is_dropped = 0, False
        for attempt in range(TRIES):
            await _give_way(attempt)
            with _in_doubt(_DROPPED, is_begun=is_dropped):
                claim = await self._claim(name, above)
                changes = await self._drop(name, claim.version, claim.partitions)
            above, is_dropped = _highest(changes), is_dropped or _is_found(changes)
            if above <= claim.version:
                await self._settle(name, claim.version, None)
                # More than one partition: a put is under way, or was given up.
                if not is_dropped and len(claim.partitions) == 1:
                    raise _not_found(name)
                return
        raise _contended(name)

    async def get(self, name: str) -> tuple[Schedule, bytes, bytes]:
        """Return a schedule, its entry and its payload, as in ScheduleView; raise NotFound if there is none."""
        home = home_of(name, self._dispatch.partitions)
        view = await self._dispatch.route(GetSchedule("", home, name))
        partitions = view.home.partitions if view.home else []
        views = await asyncio.gather(
            *(
                self._dispatch.route(GetSchedule("", partition, name))
                for partition in partitions
                if partition != home
            )
        )
        newest = max((view, *views), key=lambda each: each.version if each.schedule else 0)
        if newest.schedule is None:
            raise _not_found(name)
        return newest.schedule, newest.entry, newest.payload

    def list_schedules(self, limit: int, cursor: str | None) -> PartitionWalk[SchedulePage, Schedule]:
        """Return the list of all schedules; raise InvalidRequest if no such list made the cursor."""
        return PartitionWalk(
            self._dispatch.route,
            lambda partition, scan, count: ListSchedules("", partition, scan, count),
            lambda page: ((schedule.name, schedule) for schedule in page.schedules),
            self._dispatch.partitions,
            limit,
            cursor,
        )

    async def _claim(
        self, name: str, above: int, *, target: int | None = None, is_paused: bool | None = None
    ) -> ScheduleClaim:
        """Begin a change; raise NotFound if the name is unknown and the change does not create it."""
        home = home_of(name, self._dispatch.partitions)
        call = ClaimSchedule("", home, name, above, target, is_paused)
        claim = await changed_at_home(self._dispatch.route, call)
        if not claim.version:
            raise _not_found(name)
        return claim

    async def _is_put_since(self, name: str, version: int) -> bool:
        """Wait for a record that is newer than a version; return False if none comes in PUT_S."""
        until_s = monotonic() + PUT_S
        while monotonic() < until_s:
            await asyncio.sleep(LOOK_AGAIN_S)
            with suppress(NotFound):
                schedule, _, _ = await self.get(name)
                if schedule.version > version:
                    return True
        return False

    async def _settle(self, name: str, version: int, target: int | None) -> None:
        """End a change that is done. If that fails, the next change asks more partitions than it must."""
        home = home_of(name, self._dispatch.partitions)
        try:
            await self._dispatch.route(SettleSchedule("", home, name, version, target))
        except SharqError as error:
            log.info("schedule_not_settled name=%s error=%r", name, error.message)

    async def _drop(self, name: str, version: int, partitions: Collection[int]) -> list[ScheduleChange]:
        return await self._change_all(
            lambda partition: DropSchedule("", partition, name, version), partitions
        )

    async def _change_all(
        self, make_call: Callable[[int], PauseSchedule | DropSchedule], partitions: Collection[int]
    ) -> list[ScheduleChange]:
        """Make a change in several partitions.

        Raises:
            OutcomeUnknown: some partitions have made the change, or may have; or the data of one is broken.
            SharqError: nothing was done.
        """
        changes, failures = await answers_in(self._dispatch.route, make_call, partitions)
        if failures and (changes or any(map(is_broken, failures.values()))):
            raise not_everywhere(len(changes), len(partitions), failures)
        if failures:
            raise max(failures.values(), key=lambda error: error.perhaps_done)
        return list(changes.values())

    async def _put(self, call: PutSchedule) -> ScheduleChange:
        change = await changed_at_home(self._dispatch.route, call)
        if change.status is ScheduleStatus.FULL:
            raise StoreFull("the partition of the queue has as many schedules as it may have")
        return change


@contextmanager
def _in_doubt(done: str, *, is_begun: bool = True) -> Iterator[None]:
    """Let no error of a later step say that nothing was done.

    Args:
        done: what an earlier step of the change has done.
        is_begun: True if it has done that.
    """
    try:
        yield
    except SharqError as error:
        if not is_begun or error.perhaps_done or isinstance(error, NotFound):
            raise
        raise OutcomeUnknown(f"{done}, repeat the call: {error.message}") from error


async def _give_way(attempt: int) -> None:
    """Wait for a random time before a change begins again, so that two changes do not refuse each other for ever."""
    if attempt:
        await asyncio.sleep(random.uniform(0, FIRST_PAUSE_S * 2 ** min(attempt, MOST_DOUBLINGS)))


def _pause(name: str, version: int, partition: int, *, is_paused: bool) -> PauseSchedule:
    return PauseSchedule("", partition, name, version, is_paused)


def _highest(changes: Iterable[ScheduleChange]) -> int:
    """Return the highest version that refused a change; 0 for none."""
    return max(
        (change.version for change in changes if change.status is ScheduleStatus.SUPERSEDED), default=0
    )


def _is_found(changes: Iterable[ScheduleChange]) -> bool:
    """Return True if a partition has had the schedule."""
    return any(change.status is ScheduleStatus.DONE for change in changes)


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no schedule {name}")


def _contended(name: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{name}: too many other calls change this schedule at the same time")
