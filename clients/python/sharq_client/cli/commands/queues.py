"""Shows one queue, and the queues of a type; deletes the jobs of a queue."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sharq_client.answers import Counts, QueueRow, QueueStats
from sharq_client.cli.commands.reasons import CALM, why_queue, why_row
from sharq_client.cli.commands.setting_texts import job_defaults
from sharq_client.cli.confirmations import confirm
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import BAD, GOOD, ODD, Cell, bounded, wire_form
from sharq_client.cli.parameters import Limit, QueueId, QueueType, Yes
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import moment, readable

MINUTE_MS = 60_000

_COLUMNS = (
    Column("queue"),
    Column("rate", is_number=True),
    Column("queued", is_number=True),
    Column("delayed", is_number=True, is_optional=True),
    Column("leased", is_number=True),
    Column("dead", is_number=True, is_optional=True),
    Column("delivered", is_number=True),
    Column("promised", is_number=True),
    Column("blocked by"),
)


_ORDERED = {"age": "jobs that wait", "depth": "jobs that wait", "dead": "dead letters"}
"""Order of a list of queues → what all queues in it have."""


def queue(session: Session, queue_type: QueueType, queue_id: QueueId) -> None:
    """Show a queue: its jobs, its rate, and what it waits for.

    "delivered" is the number of jobs that workers leased in the last complete minute, and "promised" the number that
    the rate allows in it, but no more than were delivered and still wait.

    Examples:
      sharq queue sms acme
      sharq queue sms acme --json
    """
    with session.client() as client:
        stats = found(session, queue_type, queue_id, client.queue(queue_type, queue_id))
        counts = client.queue_counts(queue_type, queue_id)
    delivered = delivered_of(counts)
    promised = promised_of(stats, delivered)
    if session.output.is_json:
        session.output.document({**wire_form(stats), "delivered": delivered, "promised": promised})
        return
    show_queue(session, queue_type, queue_id, stats, _delivery(delivered, promised))


def queues(
    session: Session,
    queue_type: QueueType,
    *,
    by: Annotated[
        Literal["age", "depth", "dead"] | None,
        typer.Option(
            help="Only the first 20: those ready longest (age), with most jobs (depth) or most dead letters (dead)."
        ),
    ] = None,
    limit: Limit = None,
) -> None:
    """List the queues of a type with their numbers.

    Examples:
      sharq queues sms
      sharq queues sms --by depth --limit 5
      sharq queues sms --json | jq -r 'select(.dead > 0).queue_id'
    """
    with session.client() as client:
        rows = (
            client.control.queues(queue_type)
            if by is None
            else client.control.top_queues(queue_type, by, limit=20 if limit is None else limit)
        )
        if session.output.is_json:
            session.output.documents(bounded(rows, limit))
            return
        shown = session.output.first_rows(rows, limit)
    if not shown:
        session.output.note(
            f"The type {queue_type} has no queues."
            if by is None
            else f"No queue of the type {queue_type} has {_ORDERED[by]}."
        )
        return
    session.output.table(_COLUMNS, [_cells(row) for row in shown])


def delete(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    *,
    forget_rate: Annotated[
        bool, typer.Option("--forget-rate", help="Forget the rate of the queue, too.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Delete all jobs of a queue that wait.

    Leased jobs may still be finished. Nobody can bring the deleted ones back.

    Examples:
      sharq delete sms acme
      sharq delete sms acme --forget-rate --yes
    """
    confirm(f"Delete all jobs of {queue_type} {queue_id} that wait?", is_confirmed=yes)
    with session.client() as client:
        had_jobs = client.delete_queue(queue_type, queue_id, purge_all=forget_rate)
    if session.output.is_json:
        session.output.document({"status": "Success" if had_jobs else "Failure"})
        return
    session.output.line(
        f"The jobs of {queue_type} {queue_id} are deleted."
        if had_jobs
        else f"{queue_type} {queue_id} has no jobs that wait."
    )


def show_queue(
    session: Session, queue_type: str, queue_id: str, stats: QueueStats, delivery: Cell | None = None
) -> None:
    """Write the state of a queue for people.

    Args:
        delivery: the jobs of the last minute; None to leave them out.
    """
    session.output.line(f"{queue_type} {queue_id}", "bold")
    why = why_queue(queue_type, queue_id, stats)
    session.output.line(why, GOOD if stats.blocked_by in CALM else ODD)
    session.output.facts(
        [
            (
                "jobs",
                f"{stats.queued} queued, {stats.delayed} delayed, {stats.leased} leased, {stats.dead} dead",
            ),
            ("oldest", None if stats.oldest_age is None else f"queued {readable(stats.oldest_age)} ago"),
            ("rate", rate_of(stats)),
            ("last minute", delivery),
            ("max leased", None if stats.max_leased is None else str(stats.max_leased)),
            ("caps", ", ".join(stats.caps) or None),
            ("weight", None if stats.weight == 1 else str(stats.weight)),
            ("held until", None if stats.held_until is None else moment(stats.held_until)),
            *job_defaults(stats),
            ("set by hand", ", ".join(stats.settings) or None),
        ]
    )


def found(session: Session, queue_type: str, queue_id: str, stats: QueueStats | None) -> QueueStats:
    """Return the state of a queue.

    Raises:
        Failed: the state is None, because there is no such queue.
    """
    if stats is None:
        raise no_queue(session, queue_type, queue_id)
    return stats


def no_queue(session: Session, queue_type: str, queue_id: str) -> Failed:
    """Return the error for a queue that does not exist."""
    hint = "Its first job creates it, and it is forgotten once it has been empty for 10 minutes"
    return Failed(f"there is no queue {queue_type} {queue_id} at {session.url}. {hint}", Exit.NOT_FOUND)


def rate_of(stats: QueueStats) -> str:
    """Return the rate of a queue with its burst and its pin."""
    burst = "" if stats.burst == 1 else f", burst {stats.burst:g}"
    pinned = ", pinned against enqueues" if stats.pinned else ""
    spacing = f" (one every {readable(stats.interval)})" if stats.interval else ""
    return f"{stats.rate or 'unlimited'}{spacing}{burst}{pinned}"


def delivered_of(counts: Counts) -> int:
    """Return the number of jobs that were leased in the last complete minute."""
    present = max(counts.dequeue_counts, default=0)
    return counts.dequeue_counts.get(present - MINUTE_MS, 0)


def promised_of(stats: QueueStats, delivered: int) -> int | None:
    """Return the number of jobs that the rate allows in a minute, but no more than were delivered and wait."""
    if not stats.interval:
        return None
    return min(int(MINUTE_MS / stats.interval), delivered + stats.queued)


def _delivery(delivered: int, promised: int | None) -> Cell:
    if promised is None:
        return f"{delivered} delivered"
    return f"{delivered} delivered, {promised} promised", ODD if delivered < promised else ""


def _cells(row: QueueRow) -> list[Cell]:
    is_short = row.promised is not None and row.delivered < row.promised
    return [
        row.queue_id,
        row.rate or "unlimited",
        str(row.queued),
        str(row.delayed),
        str(row.leased),
        (str(row.dead), BAD if row.dead else ""),
        (str(row.delivered), ODD if is_short else ""),
        "-" if row.promised is None else str(row.promised),
        why_row(row.blocked_by, row.next_ready_in),
    ]
