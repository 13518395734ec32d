"""Tests that a lasting trouble is logged when it begins, every 30 s and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.logs import troubles


class Records:
    """A log that is read in a test."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: str, *values: Any) -> None:
        self.lines.append(message % values)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of what reminds."""
    clock = [1000.0]
    monkeypatch.setattr(troubles, "monotonic", lambda: clock[0])
    return clock


def test_a_trouble_is_said_when_it_begins_every_30_s_and_by_each_new_reason(now: list[float]) -> None:
    log = Records()
    trouble = troubles.Trouble(log, "link_down", "shard=%s")  # type: ignore[arg-type]
    assert trouble.end() is None
    for _ in range(100):
        trouble.note("it is away", "a")
        now[0] += 1
    trouble.note("it is back and refuses", "a")
    assert trouble.end() == 100.0
    trouble.note("it is away", "a")
    assert log.lines == [
        "link_down shard=a reason='it is away'",
        "link_down shard=a lasted_s=30 reason='it is away'",
        "link_down shard=a lasted_s=60 reason='it is away'",
        "link_down shard=a lasted_s=90 reason='it is away'",
        "link_down shard=a lasted_s=100 reason='it is back and refuses'",
        "link_down shard=a reason='it is away'",
    ]
