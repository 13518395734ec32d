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


def test_reasons_that_follow_each_other_quickly_are_one_line_and_the_lasting_one_is_said_later(
    now: list[float],
) -> None:
    log = Records()
    trouble = troubles.Trouble(log, "store_unreachable", "host=%s")  # type: ignore[arg-type]
    for reason in ("it closed the connection", "the connection was reset", *["nothing listens there"] * 80):
        trouble.note(reason, "a")
        now[0] += 0.5
    assert log.lines == [
        "store_unreachable host=a reason='it closed the connection'",
        "store_unreachable host=a lasted_s=5 reason='nothing listens there'",
        "store_unreachable host=a lasted_s=35 reason='nothing listens there'",
    ]


def test_reasons_that_alternate_are_said_no_more_often_than_one_reason(now: list[float]) -> None:
    log = Records()
    trouble = troubles.Trouble(log, "store_unreachable", "host=%s")  # type: ignore[arg-type]
    for _ in range(65):
        for reason in ("no answer", "the connection was refused"):
            trouble.note(reason, "a")
            now[0] += 0.5
    lasted = [line.partition("lasted_s=")[2].partition(" ")[0] for line in log.lines]
    assert lasted == ["", "6", "36"]


def test_a_trouble_of_several_lasts_until_none_has_it(now: list[float]) -> None:
    log = Records()
    trouble: troubles.SharedTrouble[str] = troubles.SharedTrouble(log, "cap_ledger_failed", "cap=%s")  # type: ignore[arg-type]
    for _ in range(20):
        trouble.note("a", "no answer")
        trouble.note("b", "no answer")
        assert trouble.end("b") is None
        assert trouble.end("other") is None
        now[0] += 1
    assert log.lines == ["cap_ledger_failed cap=a reason='no answer'"]
    assert trouble.end("a") == 20.0
    trouble.note("a", "no answer")
    trouble.keep(lambda name: name == "a")
    assert trouble.end("other") is None
    trouble.keep(lambda name: name != "a")
    assert trouble.end("other") is None, "it ended with the last subject, whatever others do later"
    now[0] += 3600
    trouble.note("b", "no answer")
    assert log.lines[-1] == "cap_ledger_failed cap=b reason='no answer'", "it is another trouble"
