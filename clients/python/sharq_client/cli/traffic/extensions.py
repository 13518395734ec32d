"""Adds the commands that other distributions provide, such as `sharq config` of the server.

A distribution names a typer application under the entry point group `sharq.commands`. It is imported only if its
command is called, or if the help lists all commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

import typer

from sharq_client.cli.help import HelpfulCommand, HelpfulGroup

GROUP = "sharq.commands"
SECTION = "Of the server, on this machine"

_EXAMPLES = "\b\nExamples:\n"
"""The first lines of an epilog, which `HelpfulCommand` writes itself."""


def add_extensions(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add the commands that the arguments may mean. One that cannot be imported is reported and left out.

    Args:
        arguments: those of the program. Without a name of a command they ask for the help.
    """
    names = [word for word in arguments if not word.startswith("-")]
    for point in entry_points(group=GROUP):
        if names and point.name not in names:
            continue
        try:
            extension = point.load()
        except Exception as error:  # noqa: BLE001 - a broken distribution must not take the other commands away
            typer.echo(
                f"sharq: the command {point.name} cannot be loaded from {point.value}: {error}", err=True
            )
            continue
        for command in extension.registered_commands:
            command.cls = HelpfulCommand
            command.epilog = (command.epilog or "").removeprefix(_EXAMPLES) or None
        app.add_typer(extension, name=point.name, cls=HelpfulGroup, rich_help_panel=SECTION)
