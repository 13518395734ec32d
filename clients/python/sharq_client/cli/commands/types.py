"""Lists all types, and shows one gathered type with its shared limits and quotas."""

from __future__ import annotations

from sharq_client.answers import TypeRow, TypeStats
from sharq_client.campaigns.quotas import QuotaUse
from sharq_client.cli.commands.reasons import CALM, why_row, why_type
from sharq_client.cli.commands.setting_texts import job_defaults, limit_text
from sharq_client.cli.output import BAD, GOOD, ODD, Cell, bounded
from sharq_client.cli.parameters import Limit, QueueType
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import moment

_COLUMNS = (
    Column("type"),
    Column("queued", is_number=True),
    Column("delayed", is_number=True, is_optional=True),
    Column("leased", is_number=True),
    Column("dead", is_number=True, is_optional=True),
    Column("enqueued", is_number=True),
    Column("delivered", is_number=True),
    Column("blocked by"),
)


def types(session: Session, *, limit: Limit = None) -> None:
    """List all types with the numbers of all their queues.

    "enqueued" and "delivered" are the numbers of the last complete minute.

    Examples:
      sharq types
      sharq types --json | jq -r .queue_type
    """
    with session.client() as client:
        rows = client.control.types()
        if session.output.is_json:
            session.output.documents(bounded(rows, limit))
            return
        shown = session.output.first_rows(rows, limit)
    if not shown:
        session.output.note(f"{session.url} has no queues yet.")
        return
    session.output.table(_COLUMNS, [_cells(row) for row in shown])


def type_(session: Session, queue_type: QueueType) -> None:
    """Show a gathered type: its jobs, shared limits and quotas.

    A gathered type has a ~ in its name. sharq set changes its limits and quotas, which all of its queues share.

    Examples:
      sharq type sms~skytel
      sharq type sms~skytel --json
    """
    with session.client() as client:
        stats = client.control.type(queue_type)
    if session.output.is_json:
        session.output.document(stats)
        return
    show_type(session, queue_type, stats)


def show_type(session: Session, queue_type: str, stats: TypeStats) -> None:
    """Write the state of a gathered type for people."""
    output = session.output
    output.line(queue_type, "bold")
    output.line(why_type(queue_type, stats), GOOD if stats.blocked_by in CALM else ODD)
    output.facts(
        [
            ("queues", str(stats.queues)),
            (
                "jobs",
                f"{stats.queued} queued, {stats.delayed} delayed, {stats.leased} leased, {stats.dead} dead",
            ),
            *(("limit", limit_text(limit)) for limit in stats.limits),
            *(("quota", _quota_text(quota)) for quota in stats.quotas),
            ("max leased", None if stats.max_leased is None else str(stats.max_leased)),
            ("held until", None if stats.held_until is None else moment(stats.held_until)),
            *job_defaults(stats),
            ("warning", (stats.warning, ODD) if stats.warning else None),
        ]
    )


def _quota_text(quota: QuotaUse) -> Cell:
    unit = " of cost" if quota.unit == "cost" else ""
    resets = "" if quota.resets_at is None else f", begins anew {moment(quota.resets_at)}"
    text = f"{quota.used} of {quota.quota}{unit} used this {quota.period} ({quota.tz}){resets}"
    return text, ODD if quota.used >= quota.quota else ""


def _cells(row: TypeRow) -> list[Cell]:
    return [
        row.queue_type,
        str(row.queued),
        str(row.delayed),
        str(row.leased),
        (str(row.dead), BAD if row.dead else ""),
        str(row.enqueued),
        str(row.delivered),
        why_row(row.blocked_by),
    ]
