"""Writes results: tables and sentences for people, or JSON for scripts.

A pipe gets no colours, and lines as long as they need to be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec

WIDE = 1_000
"""The columns of an output that is not a terminal, so that nothing is cut off or wrapped."""


class Output:
    """The writer of a command's results to stdout.

    Attributes:
        is_json: True if the results are JSON for scripts.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    @property
    def is_terminal(self) -> bool:
        """True if a person reads the results as they come."""
        return sys.stdout.isatty()

    def document(self, value: object) -> None:
        """Write a value as one line of JSON, with the names of the wire."""
        sys.stdout.write(msgspec.json.encode(_as_json(value)).decode() + "\n")

    def line(self, text: str) -> None:
        """Write a line for people. Text between square brackets may be markup of rich."""
        self._print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table for people.

        Args:
            columns: the headings. Those that begin with ">" are aligned to the right.
        """
        from rich.table import Table  # noqa: PLC0415 - only a table needs it

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
        for row in rows:
            table.add_row(*row)
        self._print(table)

    def _print(self, content: object) -> None:
        from rich.console import Console  # noqa: PLC0415 - JSON does not need it

        console = Console(highlight=False, width=None if self.is_terminal else WIDE)
        with console.capture() as captured:
            console.print(content)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _as_json(value: object) -> object:
    """Return a value of the client with the names of the wire, without JSON text that the server did not keep."""
    if not isinstance(value, msgspec.Struct):
        return value
    infos = msgspec.structs.fields(value)
    pairs = ((info.encode_name, getattr(value, info.name)) for info in infos)
    return {name: item for name, item in pairs if not (isinstance(item, msgspec.Raw) and not bytes(item))}


def pairs_of(values: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Return the names and values that are present, in order."""
    return [(name, value) for name, value in values.items() if value is not None]
