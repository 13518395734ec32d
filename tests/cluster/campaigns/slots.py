"""Slots of a schedule of every second. If the machine is late by more than one, the latest that has passed is fired."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.support.stopwatch import Stopwatch

SECOND_MS = 1000
WORK_S = 0.5
"""The time of a firing besides the waits for a processor."""


def assert_in_time(slot_ms: int, expected_ms: float, stopwatch: Stopwatch) -> None:
    """Hold a slot against the one that was to be fired; a later one is right if the machine was late."""
    late_ms = slot_ms - expected_ms
    assert late_ms >= 0 and late_ms % SECOND_MS == 0
    assert late_ms <= SECOND_MS * (WORK_S + stopwatch.waited_s)


def assert_in_a_row(slots_ms: Sequence[int], stopwatch: Stopwatch) -> None:
    """Assert that no slot was fired twice, and none left out for which the machine was not late."""
    gaps_ms = [later - earlier for earlier, later in pairwise(slots_ms)]
    assert all(gap > 0 and gap % SECOND_MS == 0 for gap in gaps_ms), slots_ms
    assert sum(gaps_ms) <= SECOND_MS * (len(gaps_ms) + WORK_S + stopwatch.waited_s), slots_ms
