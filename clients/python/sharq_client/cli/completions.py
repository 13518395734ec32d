"""Completes the names of types and queues in a shell, from the server. It gives up quickly, without a message."""

from __future__ import annotations

from itertools import islice

import typer

from sharq_client.cli.exits import Failed
from sharq_client.cli.session import Options, Session, open_session
from sharq_client.errors import SharqError

MOST = 100
"""The most names that are offered."""

TIMEOUT = "1s"


def queue_types(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of types that begin with what was typed so far."""
    session = _session(context)
    if session is None:
        return []
    try:
        with session.client() as client:
            names = (row.queue_type for row in islice(client.control.types(), 10 * MOST))
            return list(islice((name for name in names if name.startswith(incomplete)), MOST))
    except (SharqError, ValueError, OSError):
        return []


def queue_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the queues of the type, if they begin with what was typed so far."""
    session, queue_type = _session(context), context.params.get("queue_type")
    if session is None or queue_type is None:
        return []
    try:
        with session.client() as client:
            ids = islice(client.queues(queue_type), 10 * MOST)
            return list(islice((name for name in ids if name.startswith(incomplete)), MOST))
    except (SharqError, ValueError, OSError):
        return []


def _session(context: typer.Context) -> Session | None:
    """Return the session for what stands on the command line so far; None if it cannot be opened."""
    present = {name: value for name, value in context.params.items() if value is not None}
    given = {**context.find_root().params, **present}
    options = Options(
        url=given.get("url"),
        token=given.get("token"),
        profile=given.get("profile"),
        ca=given.get("ca"),
        timeout=TIMEOUT,
    )
    try:
        return open_session(options)
    except (Failed, ValueError):
        return None
