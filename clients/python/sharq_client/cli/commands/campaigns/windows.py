"""Lists, shows, defines and drops windows: the times of the day at which jobs may leave."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from sharq_client.campaigns.windows import OpenRange, Window, WindowState
from sharq_client.cli.commands.pauses import DONE
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import GOOD, ODD, Cell, bounded
from sharq_client.cli.parameters import Limit, read
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import moment

WindowName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the window.")]

_COLUMNS = (Column("window"), Column("zone"), Column("open"), Column("now"), Column("changes"))


def ls(session: Session, *, limit: Limit = None) -> None:
    """List all windows.

    Examples:
      sharq window ls
      sharq window ls --json | jq -r 'select(.is_open).name'
    """
    with session.client() as client:
        windows = client.control.windows()
        if session.output.is_json:
            session.output.documents(bounded(windows, limit))
            return
        shown = session.output.first_rows(windows, limit)
    if not shown:
        session.output.note("There are no windows. sharq window put defines one.")
        return
    session.output.table(_COLUMNS, [_cells(window) for window in shown])


def show(session: Session, name: WindowName) -> None:
    """Show a window, and whether it is open now.

    Examples:
      sharq window show paris-days
    """
    with session.client() as client:
        window = client.control.window(name)
    if window is None:
        raise _no_window(session, name)
    if session.output.is_json:
        session.output.document(window)
        return
    session.output.line(name, "bold")
    session.output.facts(
        [
            ("now", _now(window)),
            ("opens", None if window.opens_at is None else moment(window.opens_at)),
            ("closes", None if window.closes_at is None else moment(window.closes_at)),
            *(("open", _range_text(each)) for each in window.open),
            ("zone", window.tz),
            ("except", ", ".join(window.closed_dates) or None),
            ("used by", None if window.uses is None else f"{window.uses} queues and types"),
        ]
    )


def put(
    session: Session,
    name: WindowName,
    *,
    tz: Annotated[str, typer.Option(metavar="ZONE", help="Time zone, such as Europe/Paris.")],
    opening: Annotated[
        list[str],
        typer.Option(
            "--open",
            metavar="RANGE",
            help="Such as 'daily 08:00-21:00' or 'mon-fri 22:00-03:00'. May be repeated.",
        ),
    ],
    closed: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="DATE", help="Date on which nothing is open. May be repeated."),
    ] = None,
) -> None:
    """Define a window, or define it anew. Jobs that wait for it follow the new definition.

    Examples:
      sharq window put paris-days --tz Europe/Paris --open 'mon-sat 08:00-20:00' --except 2099-07-14
      sharq window put nights --tz America/New_York --open 'fri 22:00-03:00' --open 'sat 22:00-03:00'
    """
    ranges = [read("--open", _range_of, text) for text in opening]
    with session.client() as client:
        client.control.put_window(name, Window(tz=tz, open=ranges, closed_dates=closed or ()))
    if session.output.is_json:
        session.output.document(DONE)
        return
    session.output.line(f"The window {name} is defined.")


def drop(session: Session, name: WindowName) -> None:
    """Drop a window that no job, queue or type uses.

    Examples:
      sharq window drop paris-days
    """
    with session.client() as client:
        is_dropped = client.control.drop_window(name)
    if not is_dropped:
        raise _no_window(session, name)
    if session.output.is_json:
        session.output.document(DONE)
        return
    session.output.line(f"The window {name} is dropped.")


def _no_window(session: Session, name: str) -> Failed:
    return Failed(f"there is no window {name} at {session.url}", Exit.NOT_FOUND)


def _range_of(text: str) -> OpenRange:
    """Return a range from a text such as `mon-sat 08:00-20:00`."""
    days, _, hours = text.strip().partition(" ")
    begins, dash, ends = hours.strip().partition("-")
    if not dash:
        raise ValueError(f"expected DAYS HH:MM-HH:MM, such as 'mon-sat 08:00-20:00', got {text!r}")
    return OpenRange(days=days, begins=begins.strip(), ends=ends.strip())


def _range_text(opening: OpenRange) -> str:
    return f"{opening.days} {opening.begins}-{opening.ends}"


def _now(window: WindowState) -> Cell:
    return ("open", GOOD) if window.is_open else ("closed", ODD)


def _cells(window: WindowState) -> list[Cell]:
    changes_at = window.closes_at if window.is_open else window.opens_at
    return [
        window.name,
        window.tz,
        "; ".join(_range_text(each) for each in window.open),
        _now(window),
        "-" if changes_at is None else moment(changes_at),
    ]
