"""Writes results: tables, lists and sentences for people, or JSON for scripts.

A pipe gets no colours and no line that is cut off or wrapped. NO_COLOR is respected. JSON has the names of the wire.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from sharq_client.cli.tables import GAP, Column, aligned, fitted, shown_columns, total
from sharq_client.errors import IncompleteList

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 100_000
"""The columns of an output that is not a terminal, for what only rich can lay out."""

ROWS_ON_TERMINAL = 100
"""The rows of a list on a terminal if no other number was asked for."""

RowT = TypeVar("RowT")

GOOD = "green"
ODD = "yellow"
BAD = "bold red"

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text and its style."""


class Output:
    """The writer of a command's results to stdout.

    Attributes:
        is_json: True if the results are JSON for scripts.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self._incomplete: IncompleteList | None = None

    @property
    def is_terminal(self) -> bool:
        """True if the results are text on a terminal."""
        return sys.stdout.isatty()

    def document(self, value: object) -> None:
        """Write a value as one line of JSON."""
        content = wire_form(value) if isinstance(value, msgspec.Struct) else value
        sys.stdout.write(msgspec.json.encode(content).decode() + "\n")

    def documents(self, values: Iterable[object]) -> None:
        """Write values as JSON Lines, each as soon as it is there."""
        for value in values:
            self.document(value)

    def line(self, text: str, style: str = "") -> None:
        """Write a sentence for people."""
        if not self.is_terminal:
            sys.stdout.write(f"{printable(text)}\n")
            return
        _print(_text_of((text, style)))

    def first_rows(self, rows: Iterable[RowT], limit: int | None) -> list[RowT]:
        """Return the rows to show to a person. Say on stderr if there are more than a terminal shows.

        Args:
            limit: the most rows, 0 for all; None for ROWS_ON_TERMINAL on a terminal, and otherwise all.
        """
        rows = self._readable(rows)
        if limit is not None or not self.is_terminal:
            return list(bounded(rows, limit))
        shown = list(islice(rows, ROWS_ON_TERMINAL + 1))
        if len(shown) > ROWS_ON_TERMINAL:
            self.note(f"These are the first {ROWS_ON_TERMINAL}; --limit 0 shows all.")
        return shown[:ROWS_ON_TERMINAL]

    def _readable(self, rows: Iterable[RowT]) -> Iterator[RowT]:
        """Yield rows, and keep the error of a list that ends without those of some partitions."""
        try:
            yield from rows
        except IncompleteList as error:
            self._incomplete = error

    def end(self) -> None:
        """Write what is buffered.

        Raises:
            IncompleteList: a list was shown without the entries of some partitions.
        """
        sys.stdout.flush()
        if self._incomplete is not None:
            raise self._incomplete

    def note(self, text: str) -> None:
        """Write a remark for people to stderr, so that a pipe gets the results alone."""
        sys.stderr.write(f"{printable(text)}\n")

    def facts(self, pairs: Iterable[tuple[str, Cell | None]]) -> None:
        """Write names with their values for people, one below the other. Those whose value is None are left out."""
        rows = [(name, value) for name, value in pairs if value is not None]
        if not self.is_terminal:
            sys.stdout.writelines(aligned([(name, _plain(value)) for name, value in rows]))
            return
        from rich.table import Table  # noqa: PLC0415 - only a terminal needs it

        grid = Table.grid(padding=(0, GAP))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            grid.add_row(name, _text_of(value))
        _print(grid)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Write a table for people."""
        texts = [[_plain(cell) for cell in row] for row in rows]
        places = shown_columns(columns, texts)
        columns, rows, texts = _picked(places, columns, rows, texts)
        if not self.is_terminal:
            header = [column.name for column in columns]
            sys.stdout.writelines(aligned([header, *texts], [column.is_number for column in columns]))
            return
        from rich.table import Table  # noqa: PLC0415 - only a terminal needs it

        terminal = shutil.get_terminal_size().columns
        places, lengths = fitted(columns, texts, terminal)
        columns, rows, texts = _picked(places, columns, rows, texts)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
        for column, length in zip(columns, lengths, strict=True):
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                overflow="ellipsis" if column.is_cut else "fold",
                no_wrap=column.is_cut or column.is_number,
                width=length,
            )
        for row in rows:
            table.add_row(*map(_text_of, row))
        _print(table, max(terminal, total(lengths)))


def _picked(
    places: Sequence[int],
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    texts: Sequence[Sequence[str]],
) -> tuple[list[Column], list[list[Cell]], list[list[str]]]:
    """Return the columns of a table at some places, and their cells with and without styles."""
    return (
        [columns[place] for place in places],
        [[row[place] for place in places] for row in rows],
        [[row[place] for place in places] for row in texts],
    )


def _print(content: RenderableType, width: int | None = None) -> None:
    """Write to the terminal, without the blanks with which rich fills its lines.

    Args:
        width: the columns to use; None for those of the terminal.
    """
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(content)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def bounded(rows: Iterable[RowT], limit: int | None) -> Iterable[RowT]:
    """Return the rows of a list: all for 0 or None, or as many as were asked for."""
    return islice(rows, limit or None)


def wire_form(value: msgspec.Struct) -> dict[str, object]:
    """Return a value of the client with the names of the wire, without JSON text that the server did not keep."""
    pairs = ((field.encode_name, getattr(value, field.name)) for field in msgspec.structs.fields(value))
    return {
        name: _plain_value(item)
        for name, item in pairs
        if not (isinstance(item, msgspec.Raw) and not bytes(item))
    }


def _plain_value(value: object) -> object:
    """Return a value as the wire has it: whole numbers without a fraction, and values inside values alike."""
    match value:
        case msgspec.Struct():
            return wire_form(value)
        case list() | tuple():
            return [_plain_value(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def printable(text: str) -> str:
    """Return a text on one line, whose control characters, which could steer a terminal, are written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
        else character
        for character in text
    )


def _plain(cell: Cell) -> str:
    return printable(cell if isinstance(cell, str) else cell[0])


def _text_of(cell: Cell) -> RenderableType:
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(text), style=style)
