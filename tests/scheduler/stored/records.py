"""Reads what the scheduler stores for one (partition, type), by the layouts of lua/README.md, and checks that its keys
agree with each other (I8).

Written apart from the Lua: a layout that changes there without its README and this module fails here.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.scheduler.drivers.driver import Driver
from tests.scheduler.stored.batches import WAITED, assert_batches_agree
from tests.scheduler.stored.caps import Place, assert_cap_sets_agree, assert_parked_agree, parse_caps
from tests.scheduler.stored.outputs import PERMITS, TRACE, parse_note, parse_results
from tests.scheduler.stored.types import type_ready_us
from tests.scheduler.stored.windows import MAIN, Line, assert_uses_agree, parse_lines

QUEUED, DELAYED, LEASED, DEAD = 1, 2, 3, 4
PINNED, PAUSED, PURGED, UNSWEPT, LIMITED = 1, 2, 4, 8, 16
SETTINGS = 15 + 32
COST, EXPIRES, RETRY, WINDOW, NOTED = 1, 2, 4, 8, 32
TRACED, PERMITTED = 16, 32
DELAYED_LANE = 255
KEEP_US = 600_000_000
LATEST_US = 2**53

GRAIN_US = 200_000
"""The most by which the partition's time may be later than the time in its record (clock.lua)."""

HASHES = ("jobs", "notes", "queues", "deadjobs", "deadcounts", "counters", "done0", "done1", "results")
ZSETS = ("queued", "ready", "parked", "capsets", "timers", "dead", "resulted")

_JOB = struct.Struct(">BBBBB7siI7s7s")
_QUEUE = struct.Struct(">BB6sI7s7s7s7sIII7sIIIB")
_LIMITS = struct.Struct(">BI7sBBB")
_LIFE = struct.Struct(">IHIB6sB7sBQ7s")
_NO_LIFE = (0, 0, 0, 0, b"", 0, b"", 0, 0, b"")
_LETTER = struct.Struct(">B7s6sI")
_COUNTS = struct.Struct(">B7s7sIII7s7s7s7s7s7s7s7s7s")


@dataclass(frozen=True)
class JobRecord:
    """One job, live or deleted."""

    queue_id: str
    job_id: str
    state: int
    priority: int
    seq: int
    attempt: int
    due_us: int
    flags: int
    cost: int
    expires_us: int
    is_noted: bool
    line: int = MAIN
    window: int | None = None

    @property
    def field(self) -> bytes:
        return f"{self.queue_id}:{self.job_id}".encode()

    @property
    def member(self) -> bytes:
        """Its place in queued:<type>."""
        lane = DELAYED_LANE if self.state == DELAYED else self.line + self.priority - MAIN
        return self.queue_id.encode() + bytes([0, lane]) + self.seq.to_bytes(8) + self.job_id.encode()


@dataclass(frozen=True)
class QueueRecord:
    """One queue."""

    flags: int
    interval_us: int
    burst: int
    tat_us: int
    active_us: int
    timer_us: int
    queued: int
    delayed: int
    leased: int
    fence: int
    settings: int = 0
    max_leased: int = 0
    held_us: int = 0
    hundredths: int = 0
    weight: int = 0
    given: int = 0
    expires_from_us: int = 0
    walk_class: int = 0
    walk_least_us: int = 0
    has_defaults: bool = False
    window: int = 0
    lines: tuple[Line, ...] = ()
    cap_set: int = 0
    parked_us: int = 0

    @property
    def is_closed(self) -> bool:
        """No job of it is leased, whatever the time."""
        return bool(self.flags & PAUSED) or 0 < self.max_leased <= self.leased

    @property
    def is_idle(self) -> bool:
        is_held = self.flags & (PINNED | PAUSED | UNSWEPT) or self.settings & SETTINGS or self.has_defaults
        return not is_held and self.queued + self.delayed + self.leased == 0

    @property
    def forget_us(self) -> int:
        """Return the time at which the reaper should look at an idle queue: from then on it counts as forgotten."""
        slack_us = (self.burst - 1) * self.interval_us + self.hundredths * self.interval_us // 100
        kept_us = 1 if self.flags & PURGED else self.active_us + KEEP_US + 1
        return min(max(self.tat_us + slack_us, self.held_us, kept_us), LATEST_US)

    def is_deleted(self, job: JobRecord) -> bool:
        """Below the fence and not in a worker's hands."""
        return job.state != LEASED and job.seq < self.fence


@dataclass(frozen=True)
class Snapshot:
    """All keys of one (partition, type)."""

    jobs: dict[bytes, JobRecord]
    notes: dict[bytes, dict[int, tuple[int, int, str]]]
    queues: dict[str, QueueRecord]
    queued: set[bytes]
    ready: dict[bytes, int]
    timers: dict[bytes, int]
    dead: dict[bytes, int]
    deadjobs: dict[bytes, int]
    deadcounts: dict[bytes, int]
    agenda: dict[str, int]
    totals: list[int]


def parse_job(field: bytes, raw: bytes) -> JobRecord:
    """A record of jobs:<type>."""
    _, length, state, flags, priority, seq, _, attempt, _, due = _JOB.unpack_from(raw)
    queue_id, _, job_id = field.decode().partition(":")
    rare = raw[_JOB.size + 16 : length]
    has = rare[0] if rare else 0
    cost = int.from_bytes(rare[1:5]) if has & COST else 1
    expires_at = 1 + 4 * (has & COST)
    expires_us = int.from_bytes(rare[expires_at : expires_at + 7]) if has & EXPIRES else 0
    seq_due = int.from_bytes(seq), attempt, int.from_bytes(due)
    line_at = expires_at + 7 * bool(has & EXPIRES) + 11 * bool(has & RETRY)
    line = (rare[line_at], int.from_bytes(rare[line_at + 1 : line_at + 5])) if has & WINDOW else (MAIN, None)
    return JobRecord(
        queue_id, job_id, state, priority, *seq_due, flags, cost, expires_us, bool(has & NOTED), *line
    )


def parse_queue(raw: bytes) -> QueueRecord:
    """A record of queues:<type>."""
    values = _QUEUE.unpack_from(raw)
    _, flags, interval, burst, tat, _, active, timer, queued, delayed, leased, fence, *_, older = values
    size = _QUEUE.size + 12 * older
    tails = (0, _LIMITS.size, _LIMITS.size + _LIFE.size)
    whole = len(raw) - size
    assert whole in tails[1:] or whole > tails[2] if flags & LIMITED else whole == tails[0]
    limits = _LIMITS.unpack_from(raw, size) if flags & LIMITED else (0, 0, b"", 0, 0, 0)
    settings, max_leased, held, hundredths, weight, given = limits
    life = _LIFE.unpack_from(raw, size + _LIMITS.size) if whole >= tails[2] else _NO_LIFE
    window, lines, rest = parse_lines(raw[size + tails[2] :])
    cap_set, parked_us = parse_caps(rest)
    _, factor, _, _, expires, on_expiry, expires_from, walk_class, _, walk_least = life
    return QueueRecord(
        flags,
        int.from_bytes(interval),
        burst,
        int.from_bytes(tat),
        int.from_bytes(active),
        int.from_bytes(timer),
        queued,
        delayed,
        leased,
        int.from_bytes(fence),
        settings,
        max_leased,
        int.from_bytes(held),
        hundredths,
        weight,
        given,
        int.from_bytes(expires_from),
        walk_class,
        int.from_bytes(walk_least),
        has_defaults=bool(factor or int.from_bytes(expires) or on_expiry or window),
        window=window,
        lines=lines,
        cap_set=cap_set,
        parked_us=parked_us,
    )


def _parse_death(raw: bytes) -> int:
    """Return the time of death. README.md says what stands between it and the job in each format."""
    letter_format = raw[0] % WAITED
    job_at = _LETTER.size + (5 if letter_format > 1 else 0)
    if letter_format >= 3:
        note_bytes = int.from_bytes(raw[job_at : job_at + 2])
        assert not note_bytes or parse_note(raw[job_at + 2 : job_at + 2 + note_bytes])
        job_at += 2 + note_bytes
    job_at += 1 + raw[job_at] if letter_format == 4 else 0
    assert raw[job_at + 2] == (QUEUED if raw[0] > WAITED else DEAD)
    return int.from_bytes(_LETTER.unpack_from(raw)[1])


def _parse_counts(raw: bytes | None) -> list[int]:
    """The totals, and when the type's next queue and timer are due, 0 for none."""
    return [int.from_bytes(count) for count in _COUNTS.unpack_from(raw)[6:]] if raw else [0] * 9


def read_raw(driver: Driver) -> dict[str, dict[bytes, Any]]:
    """Every key's members as they are stored. Cost: O(what is stored)."""
    pipe = driver.client.pipeline(transaction=True)
    for name in HASHES:
        pipe.hgetall(driver.key(name))
    for name in ZSETS:
        pipe.zrange(driver.key(name), 0, -1, withscores=True)
    found = [dict(members) for members in pipe.execute()]
    return dict(zip((*HASHES, *ZSETS), found, strict=True))


def parse(raw: dict[str, dict[bytes, Any]], queue_type: str) -> Snapshot:
    """Parse what read_raw read."""
    scores = {name: {member: int(score) for member, score in raw[name].items()} for name in ZSETS}
    *totals, ready_us, timer_us = _parse_counts(raw["counters"].get(queue_type.encode()))
    return Snapshot(
        jobs={field: parse_job(field, record) for field, record in raw["jobs"].items()},
        notes={field: parse_note(note) for field, note in raw["notes"].items() if field[:1] != b":"},
        queues={queue_id.decode(): parse_queue(record) for queue_id, record in raw["queues"].items()},
        queued=set(scores["queued"]),
        ready=scores["ready"],
        timers=scores["timers"],
        dead=scores["dead"],
        deadjobs={field: _parse_death(record) for field, record in raw["deadjobs"].items()},
        deadcounts={queue_id: int(count) for queue_id, count in raw["deadcounts"].items()},
        agenda={kind: at_us for kind, at_us in (("r", ready_us), ("t", timer_us)) if at_us},
        totals=totals,
    )


def assert_keys_agree(driver: Driver) -> None:
    """Every key says the same of every job, queue and dead letter."""
    assert_records_agree(read_raw(driver), driver)


def assert_records_agree(raw: dict[str, dict[bytes, Any]], driver: Driver) -> None:
    """The same of what read_raw read."""
    found = parse(raw, driver.queue_type)
    _check_places(found)
    _check_notes(found)
    parse_results(raw)
    assert_batches_agree(raw)
    _check_job_timers(found)
    _check_queues(found)
    _check_lines(found)
    queues = found.queues.values()
    lines = [line for queue in queues for line in queue.lines]
    assert_uses_agree(raw["counters"], [queue.window for queue in queues], lines)
    now_us = _partition_time_us(raw["counters"], driver)
    _check_expiry(found, now_us)
    _check_line(found)
    assert_cap_sets_agree(raw["counters"], [(one.cap_set, one.queued) for one in queues], driver.queue_type)
    assert_parked_agree(raw, _places(found), driver.queue_type)
    _check_dead(found, driver.functions.retention.dead_us)
    _check_agenda(found, type_ready_us(raw["counters"], driver.queue_type, driver.now_us, now_us), now_us)
    _check_totals(found)


def _check_places(found: Snapshot) -> None:
    assert found.queued == {job.member for job in found.jobs.values() if job.state != LEASED}


def _check_notes(found: Snapshot) -> None:
    """A live job has a note, and a trace and permits in it, exactly if its record says so."""
    assert found.notes.keys() == {job.field for job in found.jobs.values() if job.is_noted}
    for kind, flag in ((TRACE, TRACED), (PERMITS, PERMITTED)):
        having = {field for field, note in found.notes.items() if kind in note}
        assert having == {job.field for job in found.jobs.values() if job.flags & flag}
    assert all(job.state == LEASED for job in found.jobs.values() if job.flags & PERMITTED)


def _check_job_timers(found: Snapshot) -> None:
    kinds = {LEASED: b"L", DELAYED: b"D"}
    wanted = {kinds[job.state] + job.field: job.due_us for job in found.jobs.values() if job.state in kinds}
    assert {timer: at for timer, at in found.timers.items() if timer[:1] in b"LD"} == wanted


def _check_queues(found: Snapshot) -> None:
    live: Counter[tuple[str, int]] = Counter()
    for job in found.jobs.values():
        queue = found.queues[job.queue_id]
        if queue.is_deleted(job):
            assert queue.flags & UNSWEPT
        else:
            live[job.queue_id, job.state] += 1
    for queue_id, queue in found.queues.items():
        counts = [live[queue_id, state] for state in (QUEUED, DELAYED, LEASED)]
        assert [queue.queued, queue.delayed, queue.leased] == counts
        if queue.is_idle:
            assert found.timers[b"Q" + queue_id.encode()] <= queue.timer_us <= queue.forget_us
        if queue.flags & UNSWEPT:
            assert b"F" + queue_id.encode() in found.timers


def _check_lines(found: Snapshot) -> None:
    """Each line counts its jobs that are not deleted; only deleted jobs may stand in a line without others."""
    live: Counter[tuple[str, int, int | None, int]] = Counter()
    for job in found.jobs.values():
        queue = found.queues[job.queue_id]
        if job.window is not None:
            assert job.line in {line.base for line in queue.lines}
            live[job.queue_id, job.line, job.window, job.state] += not queue.is_deleted(job)
    counted: Counter[tuple[str, int, int | None, int]] = Counter()
    for queue_id, queue in found.queues.items():
        for line in queue.lines:
            counts = {QUEUED: line.queued, DELAYED: line.delayed, LEASED: line.leased}
            assert any(counts.values()) or queue.flags & UNSWEPT
            counted.update({(queue_id, line.base, line.number, state): n for state, n in counts.items()})
    assert +live == +counted


def _partition_time_us(counters: dict[bytes, Any], driver: Driver) -> int:
    """The latest time that the partition may have told a call: see clock.lua."""
    record = counters.get(b":clock")
    if record is None:
        return driver.now_us
    shift_us, seen_us = int.from_bytes(record[5:13], "big", signed=True), int.from_bytes(record[13:20], "big")
    return max(driver.now_us + shift_us, seen_us + GRAIN_US)


def _check_expiry(found: Snapshot, now_us: int) -> None:
    """No waiting job expires before its queue says, and a timer stands in time; a walk notes what it has passed.

    A walk that found no room in its call begins later, with a timer that is due at once. A queue that counts as
    forgotten needs no timer.
    """
    for queue_id, queue in found.queues.items():
        if queue.expires_from_us and not (queue.is_idle and queue.forget_us <= now_us):
            timer_us = found.timers[b"E" + queue_id.encode()]
            assert queue.walk_class or timer_us <= max(queue.expires_from_us, now_us)
    for job in found.jobs.values():
        queue = found.queues[job.queue_id]
        if job.expires_us and job.state != LEASED and not queue.is_deleted(job):
            assert 0 < queue.expires_from_us <= job.expires_us


def _check_line(found: Snapshot) -> None:
    ready = {
        queue_id.encode(): queue
        for queue_id, queue in found.queues.items()
        if queue.queued and not queue.is_closed and not queue.cap_set
    }
    assert found.ready.keys() == ready.keys()
    for queue_id, at_us in found.ready.items():
        queue = ready[queue_id]
        # A queue whose turn goes on keeps its place; it is still due.
        assert queue.given or at_us >= max(queue.tat_us, queue.held_us)


def _places(found: Snapshot) -> set[Place]:
    """Return where the queues with caps stand: under the same rules as the others in ready."""
    for queue in found.queues.values():
        assert bool(queue.parked_us) == bool(queue.cap_set and queue.queued and not queue.is_closed)
        assert not queue.parked_us or queue.given or queue.parked_us >= max(queue.tat_us, queue.held_us)
    return {Place(one.cap_set, one.parked_us, name) for name, one in found.queues.items() if one.parked_us}


def _check_dead(found: Snapshot, retention_us: int) -> None:
    assert found.dead == found.deadjobs
    counts = Counter(field.partition(b":")[0] for field in found.dead)
    assert found.deadcounts == ({**counts, b"": 0} if counts else {})
    if found.dead:
        assert found.timers[b"X"] <= min(found.dead.values()) + retention_us


def _check_agenda(found: Snapshot, type_ready: int, now_us: int) -> None:
    """Early perhaps, never late: a queue is due when the limits of its type are. What is due now is not late."""
    for kind, members, floor_us in (("r", found.ready, max(type_ready, now_us)), ("t", found.timers, 0)):
        if members:
            assert found.agenda[kind] <= max(min(members.values()), floor_us)


def _check_totals(found: Snapshot) -> None:
    enqueued, queued, delayed, leased, finished, dead, cancelled = found.totals
    assert enqueued == queued + delayed + leased + finished + dead + cancelled
    counts = [
        sum(getattr(queue, name) for queue in found.queues.values())
        for name in ("queued", "delayed", "leased")
    ]
    assert [queued, delayed, leased, dead] == [*counts, len(found.dead)]
