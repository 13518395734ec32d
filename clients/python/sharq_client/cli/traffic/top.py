"""Shows the types and the customers of a server, live or once."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from sharq_client.cli.parameters import OptionalType, read
from sharq_client.cli.session import Session
from sharq_client.cli.times import duration_ms


def top(
    session: Session,
    queue_type: OptionalType = None,
    *,
    by: Annotated[
        Literal["depth", "age"],
        typer.Option(help="Order of the customers: by backlog, or by the age of the first job."),
    ] = "depth",
    limit: Annotated[
        int, typer.Option(min=1, max=100, metavar="NUMBER", help="Most customers with --once.")
    ] = 20,
    is_once: Annotated[bool, typer.Option("--once", help="Print one reading and end.")] = False,
    refresh: Annotated[str, typer.Option(metavar="DURATION", help="Pause between two readings.")] = "1s",
) -> None:
    """Show the types and the customers with the longest backlogs, live, until q or Ctrl-C.

    Promised and delivered are of the last full minute: a customer that got less than its rate allows, although it has
    jobs waiting, is marked. Without a terminal, on one that cannot move its cursor (TERM=dumb), and with --json, it
    prints one reading. A reading costs the server a few calls, however many types and queues it has.

    Examples:
      sharq top
      sharq top sms --by age
      sharq top --once --limit 5
      sharq top --json | jq -r '.customers[] | select(.blocked_by == "paused").queue_id'
    """
    refresh_s = read("--refresh", duration_ms, refresh) / 1000
    from sharq_client.cli.top.views import print_once, show_live  # noqa: PLC0415 - help does without rich

    is_plain = not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"
    if is_once or session.output.is_json or is_plain:
        print_once(session, queue_type, by, limit)
    else:
        show_live(session, queue_type, by, refresh_s)
