"""Aligns the columns of a table, and fits them into a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

GAP = 2
"""The blanks between two columns."""

LEAST_CUT = 20
LEAST_FOLDED = 16
"""The columns of a terminal that a column keeps if the table is too wide: one that is cut, and one that wraps."""

MOST_PADDED = 100
"""The most characters to which the cells of a column are filled up where they are not cut."""


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


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], terminal: int
) -> tuple[list[int], list[int]]:
    """Return the places and the widths of the columns that a terminal shows.

    Columns that may be cut give way first, then those that wrap. If that is not enough, those that may be cut are left
    out, the last one first. A table whose other columns do not fit is wider than the terminal.

    Args:
        terminal: the columns of the terminal.
    """
    places = list(range(len(columns)))
    while True:
        shown = [columns[place] for place in places]
        result = _widths(shown, [[row[place] for place in places] for row in rows], terminal)
        cut = [place for place in places if columns[place].is_cut]
        if not cut or total(result) <= terminal:
            return places, result
        places.remove(cut[-1])


def total(lengths: Sequence[int]) -> int:
    """Return the width of a table with columns of these widths."""
    return sum(lengths) + GAP * (len(lengths) - 1)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], terminal: int) -> list[int]:
    """Return the width of each column, so that the table fits if that is possible. The widest one gives way first."""
    result = [
        max(len(column.name), *(len(row[place]) for row in rows), 0) for place, column in enumerate(columns)
    ]
    cut = [place for place, column in enumerate(columns) if column.is_cut]
    folded = [place for place, column in enumerate(columns) if not column.is_cut and not column.is_number]
    for places, least in ((cut, LEAST_CUT), (folded, LEAST_FOLDED)):
        while total(result) > terminal and any(result[place] > least for place in places):
            result[max(places, key=result.__getitem__)] -= 1
    return result


def aligned(rows: Sequence[Sequence[str]], are_numbers: Sequence[bool] = ()) -> Iterator[str]:
    """Yield the lines of a table whose cells are whole, however long they are.

    A cell that is longer than MOST_PADDED moves the rest of its own line only.

    Args:
        are_numbers: True for each column to align to the right; columns that are not mentioned are texts.
    """
    lengths = [min(max(map(len, column)), MOST_PADDED) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(length) if place < len(are_numbers) and are_numbers[place] else cell.ljust(length)
            for place, (cell, length) in enumerate(zip(row, lengths, strict=True))
        ]
        yield (" " * GAP).join(cells).rstrip() + "\n"
