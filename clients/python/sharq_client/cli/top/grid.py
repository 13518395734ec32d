"""Lays out a table in a given width: columns that matter less are left out until the others fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.text import Text

RowT = TypeVar("RowT")

GAP = 2
"""The blanks between two columns."""

LEAST_NAME = 14
"""The width to which columns of names are cut before others are left out."""


class TopColumn(msgspec.Struct, Generic[RowT], frozen=True):
    """One column.

    Attributes:
        title: the heading.
        cell: returns the text of a row.
        rank: the columns with the highest ranks are left out first; 0 is always shown.
        is_number: True if it is aligned to the right.
        is_name: True if it may be cut to LEAST_NAME.
        style: returns the style of a row's cell, in rich's words.
    """

    title: str
    cell: Callable[[RowT], str]
    rank: int = 0
    is_number: bool = True
    is_name: bool = False
    style: Callable[[RowT], str] = lambda _: ""


def lay_out(columns: Sequence[TopColumn[RowT]], rows: Sequence[RowT], width: int) -> list[Text]:
    """Return the lines of a table, the heading first. No line is wider than the width.

    A column that is empty in all rows is left out, unless its rank is 0.
    """
    cells = {column.title: [column.cell(row) for row in rows] for column in columns}
    shown = [column for column in columns if not column.rank or any(cells[column.title])]
    full = {column.title: max(map(cell_len, [column.title, *cells[column.title]])) for column in shown}
    widths = {
        column.title: min(full[column.title], LEAST_NAME) if column.is_name else full[column.title]
        for column in shown
    }
    while _total(shown, widths) > width and any(column.rank for column in shown):
        shown.remove(max(reversed(shown), key=lambda column: column.rank))
    spare = width - _total(shown, widths)
    for column in shown:
        extra = max(min(full[column.title] - widths[column.title], spare), 0)
        widths[column.title] += extra
        spare -= extra
    lines = [_line([(column, column.title, "bold") for column in shown], widths)]
    for index, row in enumerate(rows):
        parts = [(column, cells[column.title][index], column.style(row)) for column in shown]
        lines.append(_line(parts, widths))
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
    return lines


def _total(columns: Sequence[TopColumn[RowT]], widths: dict[str, int]) -> int:
    return sum(widths[column.title] for column in columns) + GAP * (len(columns) - 1)


def _line(parts: Sequence[tuple[TopColumn[RowT], str, str]], widths: dict[str, int]) -> Text:
    line = Text(no_wrap=True)
    for index, (column, text, style) in enumerate(parts):
        width = widths[column.title]
        cut = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
        padding = " " * (width - cell_len(cut))
        line.append(" " * GAP if index else "")
        line.append(padding + cut if column.is_number else cut + padding, style)
    return line
