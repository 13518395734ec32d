"""Lists the commands of `sharq`, and runs the one that the arguments name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sharq_client.cli.commands import (
    cancellations,
    caps,
    dead,
    jobs,
    pauses,
    profiles,
    queues,
    rates,
    settings,
    types,
)
from sharq_client.cli.commands.campaigns import batches, schedules, windows
from sharq_client.cli.registry import add, group, with_options
from sharq_client.cli.traffic.extensions import add_extensions
from sharq_client.cli.traffic.headings import add_commands
from sharq_client.version import __version__

ABOUT = """Look after the queues and jobs of a SHARQ server.

TYPE, QUEUE and JOB are positional everywhere. The server comes from --url, --profile or SHARQ_URL, and the token from
--token, --profile or SHARQ_TOKEN. Every command has --json for scripts, and ends with 0 if done, 1 if refused or
failed, 2 for wrong usage, 3 if not found, 4 if the server cannot be reached, 5 if the outcome is unknown.
"""

QUEUES = "Queues and types"
CONTROL = "Rates, pauses and limits"
JOBS = "Jobs"
CAMPAIGNS = "Campaigns"
OTHERS = "Others"

app = group(about=ABOUT)
_dead = group("dead", about="List dead letters, queue them again or drop them.")
_cap = group("cap", about="Look after caps, limits that any queues share.")
_window = group("window", about="Look after windows, the hours at which jobs may leave.")
_schedule = group("schedule", about="Look after schedules, which enqueue a job again and again.")
_profile = group("profile", about="Show the servers that have a name in profiles.toml.")

add_commands(app)

add(app, queues.queue, section=QUEUES)
add(app, queues.queues, section=QUEUES)
add(app, types.type_, section=QUEUES, name="type")
add(app, types.types, section=QUEUES)
add(app, queues.delete, section=QUEUES)

add(app, rates.rate, section=CONTROL)
add(app, pauses.pause, section=CONTROL)
add(app, pauses.hold, section=CONTROL)
add(app, pauses.resume, section=CONTROL)
add(app, settings.set_, section=CONTROL, name="set")
app.add_typer(_cap, rich_help_panel=CONTROL)
add(_cap, caps.ls)
add(_cap, caps.show)
add(_cap, caps.put)
add(_cap, caps.hold)
add(_cap, caps.drop)

add(app, jobs.jobs, section=JOBS)
add(app, jobs.job, section=JOBS)
add(app, jobs.change, section=JOBS)
add(app, cancellations.cancel, section=JOBS)
app.add_typer(_dead, rich_help_panel=JOBS)
add(_dead, dead.ls)
add(_dead, dead.retry)
add(_dead, dead.drop)

add(app, batches.batch, section=CAMPAIGNS)
app.add_typer(_window, rich_help_panel=CAMPAIGNS)
add(_window, windows.ls)
add(_window, windows.show)
add(_window, windows.put)
add(_window, windows.drop)
app.add_typer(_schedule, rich_help_panel=CAMPAIGNS)
add(_schedule, schedules.ls)
add(_schedule, schedules.show)
add(_schedule, schedules.put)
add(_schedule, schedules.pause)
add(_schedule, schedules.resume)
add(_schedule, schedules.drop)

app.add_typer(_profile, rich_help_panel=OTHERS)
add(_profile, profiles.ls)
add(_profile, profiles.show)


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the value of the option
    if is_wanted:
        typer.echo(f"sharq {__version__}")
        raise typer.Exit


@app.callback()
@with_options
def _program(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take the options of the program itself."""


def run(arguments: Sequence[str]) -> None:
    """Run the program with arguments, and end the process with its exit code."""
    add_extensions(app, arguments)
    app(args=list(arguments), prog_name="sharq")
