"""Lists, shows, defines, holds and deletes caps: limits that any queues share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer
from msgspec import UNSET

from sharq_client.campaigns.caps import Cap, CapState
from sharq_client.cli.commands.pauses import DONE
from sharq_client.cli.commands.setting_texts import limit_of, limit_text
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import GOOD, ODD, Cell, bounded
from sharq_client.cli.parameters import Limit, read, read_duration
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import duration_ms, moment, readable

CapName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the cap.")]

_COLUMNS = (
    Column("cap"),
    Column("limits"),
    Column("leased", is_number=True, is_optional=True),
    Column("most", is_number=True, is_optional=True),
    Column("now"),
)


def ls(session: Session, *, limit: Limit = None) -> None:
    """List all caps.

    Examples:
      sharq cap ls
      sharq cap ls --json | jq -r .name
    """
    with session.client() as client:
        caps = client.control.caps()
        if session.output.is_json:
            session.output.documents(bounded(caps, limit))
            return
        shown = session.output.first_rows(caps, limit)
    if not shown:
        session.output.note("There are no caps. sharq cap put defines one.")
        return
    session.output.table(_COLUMNS, [_cells(cap) for cap in shown])


def show(session: Session, name: CapName) -> None:
    """Show a cap, and what waits for it.

    Examples:
      sharq cap show acct17
    """
    with session.client() as client:
        cap = client.control.cap(name)
    if cap is None:
        raise _no_cap(session, name)
    if session.output.is_json:
        session.output.document(cap)
        return
    _show(session, cap)


def put(
    session: Session,
    name: CapName,
    *,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT", help="Such as 40/s or 900/min,burst=5,unit=cost. Up to three."),
    ] = None,
    max_leased: Annotated[int | None, typer.Option(help="Most leased jobs at a time.")] = None,
    hold: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Hand out nothing for this time.")
    ] = None,
    resumes: Annotated[bool, typer.Option("--resume", help="End a hold.")] = False,
) -> None:
    """Define a cap, or define it anew: what is not given is no limit.

    Queues of any types name it, by sharq set or when a job is enqueued, and share its limits from then on.

    Examples:
      sharq cap put acct17 --limit 40/s
      sharq cap put brand3 --limit 1000/s,burst=21 --max-leased 200
    """
    if resumes and hold is not None:
        raise ValueError("--resume and --hold contradict each other")
    limits = [read("--limit", limit_of, text) for text in limit or ()]
    hold_ms = None if resumes else read_duration("--hold", hold) or UNSET
    with session.client() as client:
        cap = client.control.put_cap(name, Cap(limits=limits, max_leased=max_leased, hold=hold_ms))
    if session.output.is_json:
        session.output.document(cap)
        return
    _show(session, cap)


def hold(
    session: Session,
    name: CapName,
    duration: Annotated[str, typer.Argument(metavar="DURATION", help="Such as 500ms, 30s, 5m or 2h.")],
) -> None:
    """Hold a cap for a time: no queue with it hands out jobs.

    A hold lasts up to 24 hours and only grows: a shorter one changes nothing. sharq cap put --resume ends it.

    Examples:
      sharq cap hold acct17 30s
    """
    for_ms = read("DURATION", duration_ms, duration)
    with session.client() as client:
        if not client.control.hold_cap(name, for_ms):
            raise _no_cap(session, name)
    if session.output.is_json:
        session.output.document(DONE)
        return
    session.output.line(f"The cap {name} is held for {readable(for_ms)}.")


def drop(session: Session, name: CapName) -> None:
    """Drop a cap. Queues that still name it stand still.

    Examples:
      sharq cap drop acct17
    """
    with session.client() as client:
        queues = client.control.drop_cap(name)
    if queues is None:
        raise _no_cap(session, name)
    if session.output.is_json:
        session.output.document({**DONE, "queues": queues})
        return
    session.output.line(f"The cap {name} is dropped.")
    if queues:
        named = (
            "1 queue still names it and stands" if queues == 1 else f"{queues} queues still name it and stand"
        )
        session.output.line(f"{named} still.", ODD)


def _no_cap(session: Session, name: str) -> Failed:
    return Failed(f"there is no cap {name} at {session.url}", Exit.NOT_FOUND)


def _show(session: Session, cap: CapState) -> None:
    session.output.line(cap.name, "bold")
    session.output.facts(
        [
            ("now", _now(cap)),
            *(("limit", limit_text(limit)) for limit in cap.limits),
            ("max leased", None if cap.max_leased is None else f"{cap.leased} of {cap.max_leased} leased"),
            ("slots used", str(cap.slots_used) if cap.slots_used else None),
            ("held until", None if cap.held_until is None else moment(cap.held_until)),
            ("queues", None if cap.queues is None else f"{cap.queues} (jobs queued: {cap.queued})"),
            ("warning", (cap.warning, ODD) if cap.warning else None),
        ]
    )


def _now(cap: CapState) -> Cell:
    if cap.blocked_by is None:
        return "allows a lease", GOOD
    when = f", next lease in {readable(cap.next_slot_in)}" if cap.next_slot_in else ""
    return f"{cap.blocked_by}{when}", GOOD if cap.blocked_by == "rate" else ODD


def _cells(cap: CapState) -> list[Cell]:
    return [
        cap.name,
        "; ".join(map(limit_text, cap.limits)) or "-",
        "" if cap.leased is None else str(cap.leased),
        "" if cap.max_leased is None else str(cap.max_leased),
        _now(cap),
    ]
