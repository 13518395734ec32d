"""Writes results: tables, lists and sentences for people, or JSON for scripts.

A pipe gets no colours and no line that is cut off or wrapped. NO_COLOR is respected. JSON has the names of the wire.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 100_000
"""The columns of an output that is not a terminal, so that nothing is cut off or wrapped."""

GOOD = "green"
ODD = "yellow"
BAD = "bold red"

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text and its style."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        is_number: True to align it to the right.
        is_cut: True if a terminal may show less than the whole text. Other columns wrap.
        is_optional: True to leave the column out if all of its cells are empty, "0" or "-".
    """

    name: str
    is_number: bool = False
    is_cut: bool = False
    is_optional: bool = False


class Output:
    """The writer of a command's results to stdout.

    Attributes:
        is_json: True if the results are JSON for scripts.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

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
        self._print(_text_of((text, style)))

    def facts(self, pairs: Iterable[tuple[str, Cell | None]]) -> None:
        """Write names with their values for people, one below the other. Those whose value is None are left out."""
        from rich.table import Table  # noqa: PLC0415 - JSON does not need it

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            if value is not None:
                grid.add_row(name, _text_of(value))
        self._print(grid)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Write a table for people."""
        from rich.table import Table  # noqa: PLC0415 - JSON does not need it

        shown = [
            place
            for place, column in enumerate(columns)
            if not column.is_optional or any(_plain(row[place]) not in {"", "0", "-"} for row in rows)
        ]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in (columns[place] for place in shown):
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                overflow="ellipsis" if column.is_cut else "fold",
                no_wrap=column.is_cut or column.is_number,
            )
        for row in rows:
            table.add_row(*(_text_of(row[place]) for place in shown))
        self._print(table)

    def _print(self, content: RenderableType) -> None:
        from rich.console import Console  # noqa: PLC0415 - JSON does not need it

        console = Console(highlight=False, width=None if self.is_terminal else WIDE)
        with console.capture() as captured:
            console.print(content)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def wire_form(value: msgspec.Struct) -> dict[str, object]:
    """Return a value of the client with the names of the wire, without JSON text that the server did not keep."""
    pairs = ((field.encode_name, getattr(value, field.name)) for field in msgspec.structs.fields(value))
    return {name: item for name, item in pairs if not (isinstance(item, msgspec.Raw) and not bytes(item))}


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
    return cell if isinstance(cell, str) else cell[0]


def _text_of(cell: Cell) -> RenderableType:
    from rich.text import Text  # noqa: PLC0415 - JSON does not need it

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(text), style=style)
