"""Fits the columns of a table into a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

GAP = 2
"""The blanks between two columns."""

LEAST_CUT = 12
LEAST_FOLDED = 16
"""The columns of a terminal that a column keeps if the table is too wide: one that is cut, and one that wraps."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        is_number: True to align it to the right, and never to wrap it.
        is_cut: True if a terminal may show less than the whole text. Other columns wrap.
        is_optional: True to leave the column out if all of its cells are empty, "0" or "-".
    """

    name: str
    is_number: bool = False
    is_cut: bool = False
    is_optional: bool = False


def shown_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the places of the columns that have something to tell."""
    return [
        place
        for place, column in enumerate(columns)
        if not column.is_optional or any(row[place] not in {"", "0", "-"} for row in rows)
    ]


def widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], terminal: int) -> list[int]:
    """Return the width of each column, so that the table fits if that is possible.

    Columns that may be cut give way first, then those that wrap, each time the widest one.

    Args:
        terminal: the columns of the terminal.
    """
    result = [
        max(len(column.name), *(len(row[place]) for row in rows), 0) for place, column in enumerate(columns)
    ]
    excess = sum(result) + GAP * (len(columns) - 1) - terminal
    cut = [place for place, column in enumerate(columns) if column.is_cut]
    folded = [place for place, column in enumerate(columns) if not column.is_cut and not column.is_number]
    for places, least in ((cut, LEAST_CUT), (folded, LEAST_FOLDED)):
        while excess > 0 and any(result[place] > least for place in places):
            widest = max(places, key=lambda place: result[place])
            result[widest] -= 1
            excess -= 1
    return result
