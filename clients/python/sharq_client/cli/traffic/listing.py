"""Lists the commands of this package under the headings of the help."""

from __future__ import annotations

import typer

from sharq_client.cli.registry import add
from sharq_client.cli.traffic import enqueue, leases, top

WATCH = "Watch"
BY_HAND = "Enqueue, and work by hand"


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the program."""
    add(app, top.top, section=WATCH)
    add(app, enqueue.enqueue, section=BY_HAND)
    add(app, leases.dequeue, section=BY_HAND)
    add(app, leases.finish, section=BY_HAND)
    add(app, leases.extend, section=BY_HAND)
    add(app, leases.release, section=BY_HAND)
