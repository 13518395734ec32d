"""Lists the commands of this package under the headings of the help."""

from __future__ import annotations

import typer

from sharq_client.cli.registry import add, group
from sharq_client.cli.traffic import bench, cluster, enqueue, imports, leases, top, worker

WATCH = "Watch"
BY_HAND = "Enqueue, and work by hand"
PROGRAMS = "Work, and move here"


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the program."""
    add(app, top.top, section=WATCH)
    add(app, cluster.cluster, section=WATCH)
    add(app, enqueue.enqueue, section=BY_HAND)
    add(app, leases.dequeue, section=BY_HAND)
    add(app, leases.finish, section=BY_HAND)
    add(app, leases.extend, section=BY_HAND)
    add(app, leases.release, section=BY_HAND)
    add(app, worker.worker, section=PROGRAMS)
    add(app, bench.bench, section=PROGRAMS)
    moves = group("import", about="Import jobs from the original SHARQ, Celery or BullMQ.")
    app.add_typer(moves, rich_help_panel=PROGRAMS)
    add(moves, imports.original)
    add(moves, imports.celery)
    add(moves, imports.bullmq)
