"""Asks a person at a terminal before something is done that cannot be undone."""

from __future__ import annotations

import sys

import typer

from sharq_client.cli.exits import Exit, Failed


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask for confirmation, unless it was given as an option.

    Raises:
        Failed: the answer is no, or there is no terminal on which to ask. Nothing was done.
    """
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise Failed(f"{question} There is no terminal on which to answer; add --yes", Exit.USAGE)
    if not typer.confirm(question, err=True):
        raise Failed("nothing was done")
