"""Cuts lists to the number of rows that a person reads, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

import typer

from sharq_client.cli.output import Output

ON_TERMINAL = 100
"""The rows of a list on a terminal if no other number was asked for."""

RowT = TypeVar("RowT")


def first_rows(output: Output, rows: Iterable[RowT], limit: int | None) -> list[RowT]:
    """Return the rows to show. Say on stderr if there are more than a terminal shows.

    Args:
        limit: the most rows, 0 for all; None for ON_TERMINAL on a terminal, and otherwise all.
    """
    if limit is None and output.is_terminal:
        shown = list(islice(rows, ON_TERMINAL + 1))
        if len(shown) > ON_TERMINAL:
            typer.echo(f"These are the first {ON_TERMINAL}; --limit 0 shows all.", err=True)
        return shown[:ON_TERMINAL]
    return list(islice(rows, limit or None))


def bounded(rows: Iterable[RowT], limit: int | None) -> Iterable[RowT]:
    """Return the rows for scripts: all, or as many as were asked for."""
    return islice(rows, limit or None)
