"""The table of scenarios with their counts: printed after a run, and kept in docs/guarantees.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.support.load.verdict import Counts

GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- counts -->", "<!-- end of counts -->"

COLUMNS = (
    "acknowledged",
    "delivered",
    "redelivered",
    "requests",
    "failed",
    "lost",
    "unexpected",
    "revived",
    "out_of_order",
    "too_close",
    "over_cap",
    "too_many_leased",
    "in_hold",
    "double_leased",
    "stale_finished",
    "undocumented",
)

LIFE_COLUMNS = (
    "acknowledged",
    "died",
    "expired",
    "cancelled",
    "lost",
    "out_of_priority",
    "expired_leased",
    "cancelled_leased",
    "too_many_attempts",
    "retried_early",
    "outdated",
    "wrong_fate",
)
"""The counts of the scenarios whose jobs expire, are cancelled or pass their requeue limit."""


class Report:
    """The scenarios of one run.

    Args:
        seed: the run's.
        length: "short" or "long".
    """

    def __init__(self, seed: int, length: str) -> None:
        self._seed = seed
        self._length = length
        self._rows: list[tuple[str, Counts, float]] = []

    def add(self, scenario: str, counts: Counts, seconds: float) -> None:
        """One scenario is over."""
        self._rows.append((scenario, counts, seconds))

    def packed_rows(self) -> bytes:
        """Return the rows for a report of another process."""
        return msgspec.msgpack.encode(self._rows)

    def take_rows(self, packed: bytes) -> None:
        """Add the rows of a report of another process."""
        self._rows += msgspec.msgpack.decode(packed, type=list[tuple[str, Counts, float]])

    def __bool__(self) -> bool:
        return bool(self._rows)

    def table(self) -> str:
        """All of them, as Markdown."""
        return "\n".join(self._lines())

    def save(self) -> None:
        """Put the table into docs/guarantees.md in place of the one there."""
        text = GUARANTEES.read_text()
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        GUARANTEES.write_text(f"{head}{BEGIN}\n\n{self.table()}\n\n{END}{tail}")

    def _lines(self) -> Iterator[str]:
        yield f"A {self._length} run, seed {self._seed}."
        yield ""
        yield from _table(COLUMNS, self._rows)
        if full := [row for row in self._rows if row[1].died or row[1].expired or row[1].cancelled]:
            yield ""
            yield from _table(LIFE_COLUMNS, full)


def _table(columns: Sequence[str], rows: Sequence[tuple[str, Counts, float]]) -> Iterator[str]:
    yield "| scenario | s | " + " | ".join(name.replace("_", " ") for name in columns) + " |"
    yield "|---|" + "--:|" * (len(columns) + 1)
    for scenario, counts, seconds in rows:
        numbers = " | ".join(str(getattr(counts, name)) for name in columns)
        yield f"| {scenario} | {seconds:.0f} | {numbers} |"
