"""The schedules of one partition in plain Python: what every function about them ought to answer.

The enqueue of a firing is that of the model of jobs (models/model.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from sharq_core.campaigns.schedules import (
    Schedule,
    ScheduleChange,
    ScheduleClaim,
    ScheduleHome,
    ScheduleRule,
    ScheduleStatus,
    ScheduleView,
)
from sharq_core.models import EnqueueStatus, NewJob
from sharq_core.scheduler.campaigns.schedule_calls import Fired, FireStatus, job_id_of
from tests.scheduler.drivers.driver import MINUTE_US
from tests.scheduler.models.model import Model

KEEP_DROPPED_US = 10 * MINUTE_US
DONE, NOT_FOUND = ScheduleStatus.DONE, ScheduleStatus.NOT_FOUND
SUPERSEDED, CHANGED = ScheduleStatus.SUPERSEDED, ScheduleStatus.CHANGED


@dataclass
class Dropped:
    """A name whose schedule was dropped."""

    version: int
    since_us: int


@dataclass
class Live:
    """A schedule with its job."""

    name: str
    version: int
    is_paused: bool
    slot_us: int | None
    rule: ScheduleRule
    job: NewJob
    entry: bytes
    last_slot_us: int | None = None
    last_status: EnqueueStatus | None = None
    fired: int = 0

    @property
    def shown(self) -> Schedule:
        return Schedule(
            self.name,
            self.version,
            self.is_paused,
            self.slot_us,
            self.last_slot_us,
            self.last_status,
            self.fired,
            self.job.queue_type,
            self.job.queue_id,
            self.rule,
        )


@dataclass
class Home:
    """The knowledge of the home partition of a name."""

    version: int = 0
    is_paused: bool = False
    partitions: list[int] = field(default_factory=list)


class ScheduleModel:
    """The schedules of one partition; each method answers as the function of its name."""

    def __init__(self, jobs: Model) -> None:
        self._jobs = jobs
        self.records: dict[str, Live | Dropped] = {}
        self.homes: dict[str, Home] = {}

    @property
    def now_us(self) -> int:
        """The store's clock."""
        return self._jobs.state.told_us

    @property
    def live(self) -> dict[str, Live]:
        return {name: record for name, record in self.records.items() if isinstance(record, Live)}

    def version_of(self, name: str) -> int:
        return self.records[name].version if name in self.records else 0

    def claim(self, name: str, above: int, target: int | None, is_paused: bool | None) -> ScheduleClaim:
        is_known = name in self.homes
        if not is_known and target is None:
            return ScheduleClaim(0, False, False, [])
        home = self.homes.setdefault(name, Home())
        home.version = max(self.now_us, above + 1, home.version + 1)
        home.is_paused = home.is_paused if is_paused is None else is_paused
        if target is not None and target not in home.partitions:
            home.partitions.append(target)
        return ScheduleClaim(home.version, home.is_paused, is_known, list(home.partitions))

    def settle(self, name: str, version: int, target: int | None) -> bool:
        home = self.homes.get(name)
        if home is None or home.version != version:
            return False
        if target is None:
            del self.homes[name]
        else:
            home.partitions = [target]
        return True

    def put(self, new: Live) -> ScheduleChange:
        before = self.records.get(new.name)
        if before is not None and before.version > new.version:
            return ScheduleChange(SUPERSEDED, before.version)
        if isinstance(before, Live):
            new.last_slot_us, new.last_status, new.fired = (
                before.last_slot_us,
                before.last_status,
                before.fired,
            )
        self.records[new.name] = new
        return ScheduleChange(DONE, new.version)

    def drop(self, name: str, version: int) -> ScheduleChange:
        before = self.records.get(name)
        if before is not None and before.version > version:
            return ScheduleChange(SUPERSEDED, before.version)
        self.records[name] = Dropped(version, self.now_us)
        return ScheduleChange(DONE if isinstance(before, Live) else NOT_FOUND, version)

    def pause(
        self, name: str, version: int, seen: int, slot_us: int | None, is_paused: bool
    ) -> ScheduleChange:
        found = self.version_of(name)
        if found > version:
            return ScheduleChange(SUPERSEDED, found)
        if found != seen:
            return ScheduleChange(CHANGED, found)
        record = self.records.get(name)
        if not isinstance(record, Live):
            return self.drop(name, version)
        record.version, record.is_paused, record.slot_us = version, is_paused, slot_us
        return ScheduleChange(DONE, version)

    def move(self, known: Schedule, slot_us: int | None) -> bool:
        record = self.records.get(known.name)
        slot_before = record.slot_us if isinstance(record, Live) else None
        if record is None or (record.version, slot_before) != (known.version, known.slot_us):
            return False
        assert isinstance(record, Live), "no caller knows a dropped schedule without a slot"
        record.slot_us = slot_us
        return True

    def forget(self, name: str, version: int) -> bool:
        record = self.records.get(name)
        is_gone = (
            isinstance(record, Dropped)
            and record.version == version
            and self.now_us >= record.since_us + KEEP_DROPPED_US
        )
        if is_gone:
            del self.records[name]
        return is_gone

    def fire(self, known: Schedule, slot_us: int, next_us: int | None, *, is_late: bool) -> Fired | None:
        """None for a call that came too late."""
        record = self.records.get(known.name)
        if (
            not isinstance(record, Live)
            or record.is_paused
            or (record.version, record.slot_us) != (known.version, known.slot_us)
        ):
            return Fired(FireStatus.STALE, EnqueueStatus.QUEUED)
        if self.now_us < slot_us:
            return Fired(FireStatus.EARLY, EnqueueStatus.QUEUED)
        if is_late:
            return None
        job = msgspec.structs.replace(record.job, job_id=job_id_of(record.name, slot_us), repeat=True)
        (enqueued,) = self._jobs.enqueue([job])
        record.last_slot_us, record.slot_us, record.last_status = slot_us, next_us, enqueued.status
        record.fired += 1
        return Fired(FireStatus.FIRED, enqueued.status)

    def get(self, name: str) -> ScheduleView:
        record, home = self.records.get(name), self.homes.get(name)
        live = record if isinstance(record, Live) else None
        return ScheduleView(
            self.now_us,
            None if home is None else ScheduleHome(home.version, home.is_paused, home.partitions),
            live.shown if live else None,
            self.version_of(name),
            live.entry if live else b"",
            live.job.payload if live else b"",
        )

    def listed(self) -> list[Schedule]:
        return sorted((record.shown for record in self.live.values()), key=lambda found: found.name)

    def forgettable(self) -> list[tuple[str, int]]:
        return sorted(
            (name, record.version)
            for name, record in self.records.items()
            if isinstance(record, Dropped) and self.now_us >= record.since_us + KEEP_DROPPED_US
        )
