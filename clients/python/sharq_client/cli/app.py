"""Lists the commands of `sharq`, and runs the one that the arguments name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sharq_client.cli.commands import enqueue, leases, queues
from sharq_client.cli.registry import add, group
from sharq_client.version import __version__

app = group(about="Look after the queues of a SHARQ server.")

add(app, queues.queue, section="Queues")

for command in (enqueue.enqueue, leases.dequeue, leases.finish, leases.extend, leases.release):
    add(app, command, section="Jobs by hand")


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the value of the option
    if is_wanted:
        typer.echo(f"sharq {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take the options of the program itself."""


def run(arguments: Sequence[str]) -> None:
    """Run the program with arguments, and end the process with its exit code."""
    app(args=list(arguments), prog_name="sharq")
