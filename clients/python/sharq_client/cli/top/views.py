"""Shows a server once, for scripts, or live on a terminal."""

from __future__ import annotations

import logging

import msgspec
from rich.console import Console

from sharq_client.cli.output import WIDE
from sharq_client.cli.session import Session
from sharq_client.cli.top.readings import Order, as_json, read
from sharq_client.cli.top.screen import View, tables
from sharq_client.cli.top.watch import Watch

PATIENCE_S = 3.0
"""The longest wait for an answer of the live view, so that it soon says that the server is away."""

LEAST_REFRESH_S = 0.2


def show_live(session: Session, queue_type: str | None, order: Order, refresh_s: float) -> None:
    """Show the server until the user ends it.

    Args:
        refresh_s: the pause between two readings, at least LEAST_REFRESH_S.
    """
    # Python would write the client's warnings into the picture.
    logging.getLogger("sharq_client").addHandler(logging.NullHandler())
    patient = msgspec.structs.replace(session, timeout_s=min(session.timeout_s, PATIENCE_S))
    with patient.client() as client:
        Watch(client, View(session.url, queue_type, order), max(refresh_s, LEAST_REFRESH_S)).run()


def print_once(session: Session, queue_type: str | None, order: Order, limit: int) -> None:
    """Write one reading.

    Args:
        limit: the most customers.
    """
    with session.client() as client:
        reading = read(client, queue_type, order, limit)
    if session.output.is_json:
        session.output.document(as_json(reading))
        return
    console = Console(highlight=False, width=None if session.output.is_terminal else WIDE)
    lines = len(reading.types) + limit + 4
    for line in tables(reading, console.width, len(reading.types), lines, has_types=queue_type is None):
        console.print(line, no_wrap=True, crop=False, end="\n")
