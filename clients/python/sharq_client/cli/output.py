"""Writes results: tables, lists and sentences for people, or JSON for scripts.

A pipe gets no colours and no line that is cut off or wrapped. NO_COLOR is respected. JSON has the names of the wire.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from sharq_client.cli.tables import GAP, Column, shown_columns, widths

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 100_000
"""The columns of an output that is not a terminal, so that nothing is cut off or wrapped."""

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

    def note(self, text: str) -> None:
        """Write a remark for people to stderr, so that a pipe gets the results alone."""
        sys.stderr.write(f"{printable(text)}\n")

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

        texts = [[printable(_plain(cell)) for cell in row] for row in rows]
        shown = shown_columns(columns, texts)
        picked = [[row[place] for place in shown] for row in texts]
        places = widths([columns[place] for place in shown], picked, self._width())
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
        for place, width in zip(shown, places, strict=True):
            column = columns[place]
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                overflow="ellipsis" if column.is_cut else "fold",
                no_wrap=column.is_cut or column.is_number,
                width=width,
            )
        for row in rows:
            table.add_row(*(_text_of(row[place]) for place in shown))
        self._print(table)

    def _width(self) -> int:
        return shutil.get_terminal_size().columns if self.is_terminal else WIDE

    def _print(self, content: RenderableType) -> None:
        from rich.console import Console  # noqa: PLC0415 - JSON does not need it

        console = Console(highlight=False, width=self._width())
        with console.capture() as captured:
            console.print(content)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


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
    return cell if isinstance(cell, str) else cell[0]


def _text_of(cell: Cell) -> RenderableType:
    from rich.text import Text  # noqa: PLC0415 - JSON does not need it

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(text), style=style)
