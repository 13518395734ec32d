"""Reads what the scheduler stores of batches, by the layouts of lua/batches.lua, and counts the stored jobs anew.

Written apart from the Lua: see records.py.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

WAITED = 16
"""What the format of a dead letter has more if its job stands there as it waited."""

_JOB = struct.Struct(">BBBBB7siI7s7s")
_LETTER = struct.Struct(">B7s6sI")
_STATES = {1: "queued", 2: "delayed", 3: "leased", 4: "dead"}
_COST, _EXPIRES, _RETRY, _WINDOW, _BATCH = 1, 2, 4, 8, 64
_COUNTS = ("queued", "delayed", "leased", "finished", "dead", "cancelled")


@dataclass(frozen=True)
class BatchRecord:
    """One batch of a partition."""

    is_cancelled: bool
    counts: dict[str, int]
    retention_us: int
    ended_us: int
    name: str

    @property
    def live(self) -> int:
        """Jobs that wait or are leased."""
        return sum(self.counts[state] for state in _COUNTS[:3])


def batch_of(job: bytes) -> int | None:
    """Return the number of the batch in the record of a job."""
    rare = job[_JOB.size + 16 : job[1]]
    has = rare[0] if rare else 0
    if not has & _BATCH:
        return None
    at = (
        1
        + 4 * bool(has & _COST)
        + 7 * bool(has & _EXPIRES)
        + 11 * bool(has & _RETRY)
        + 5 * bool(has & _WINDOW)
    )
    return int.from_bytes(rare[at : at + 4])


def _job_of_letter(raw: bytes) -> bytes:
    letter_format = raw[0] % WAITED
    job_at = _LETTER.size + (5 if letter_format > 1 else 0)
    if letter_format >= 3:
        job_at += 2 + int.from_bytes(raw[job_at : job_at + 2])
    if letter_format == 4:
        job_at += 1 + raw[job_at]
    return raw[job_at:]


def parse_batch(raw: bytes) -> BatchRecord:
    """A field `:b<number>` of notes:<type>."""
    assert raw[0] == 1
    numbers = [int.from_bytes(raw[at : at + 6]) for at in range(2, 38, 6)]
    retention_us, ended_us = int.from_bytes(raw[38:45]), int.from_bytes(raw[45:52])
    name = raw[53 : 53 + raw[52]].decode()
    assert len(raw) == 53 + len(name)
    return BatchRecord(bool(raw[1]), dict(zip(_COUNTS, numbers, strict=True)), retention_us, ended_us, name)


def parse_batches(notes: dict[bytes, bytes]) -> dict[int, BatchRecord]:
    """All batches by their numbers."""
    return {int.from_bytes(field[2:]): parse_batch(raw) for field, raw in notes.items() if field[:2] == b":b"}


def assert_batches_agree(raw: dict[str, dict[bytes, Any]]) -> None:
    """The batches count exactly the jobs that are stored, and a timer looks after each that has ended."""
    notes = raw["notes"]
    batches = parse_batches(notes)
    states, in_queues = _count_jobs(raw)
    for number, batch in batches.items():
        for state in _STATES.values():
            assert batch.counts[state] == states[number, state], (batch.name, state)
        assert (batch.ended_us > 0) == (batch.live == 0)
        if batch.live == 0:
            # A timer that named the batch to a reap stands later.
            assert raw["timers"][b"B" + number.to_bytes(4)] >= batch.ended_us + batch.retention_us
    live = {number for number, state in states if state != "dead"}
    assert live <= batches.keys()
    names = {field[2:].decode(): int.from_bytes(at) for field, at in notes.items() if field[:2] == b":n"}
    last = names.pop("", 0)
    assert names == {batch.name: number for number, batch in batches.items()}
    assert max((number for number, _ in states), default=0) <= last
    stored = {field[2:]: int(count) for field, count in notes.items() if field[:2] == b":q"}
    assert stored == dict(in_queues)


def _count_jobs(raw: dict[str, dict[bytes, Any]]) -> tuple[Counter[tuple[int, str]], Counter[bytes]]:
    states: Counter[tuple[int, str]] = Counter()
    in_queues: Counter[bytes] = Counter()
    for field, job in raw["jobs"].items():
        if (number := batch_of(job)) is not None:
            states[number, _STATES[job[2]]] += 1
            in_queues[number.to_bytes(4) + field.partition(b":")[0]] += 1
    for letter in raw["deadjobs"].values():
        if (number := batch_of(_job_of_letter(letter))) is not None:
            states[number, "dead"] += 1
    return states, in_queues
