"""Lists, shows, creates, pauses, resumes and deletes schedules, which enqueue a job again and again."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
import typer

from sharq_client.campaigns.schedules import ScheduleRow, ScheduleState
from sharq_client.cli.commands.pauses import DONE
from sharq_client.cli.exits import Exit, Failed, wrong_usage
from sharq_client.cli.output import GOOD, ODD, Cell, bounded, wire_form
from sharq_client.cli.parameters import (
    Limit,
    QueueId,
    QueueType,
    flags,
    read_duration,
    read_json,
)
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import age, moment, readable

ScheduleName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.")]

_COLUMNS = (
    Column("schedule"),
    Column("slots"),
    Column("queue"),
    Column("next"),
    Column("last", is_optional=True),
    Column("fired", is_number=True),
)


def ls(session: Session, *, limit: Limit = None) -> None:
    """List all schedules.

    Examples:
      sharq schedule ls
      sharq schedule ls --json | jq -r 'select(.paused).name'
    """
    with session.client() as client:
        schedules = client.control.schedules.list()
        if session.output.is_json:
            session.output.documents(bounded(schedules, limit))
            return
        shown = session.output.first_rows(schedules, limit)
    if not shown:
        session.output.note("There are no schedules. sharq schedule put creates one.")
        return
    session.output.table(_COLUMNS, [_cells(schedule) for schedule in shown])


def show(session: Session, name: ScheduleName) -> None:
    """Show a schedule: its slots, its job, and the latest outcome.

    Examples:
      sharq schedule show daily-report
    """
    with session.client() as client:
        state = client.control.schedules.get(name)
    if state is None:
        raise _no_schedule(session, name)
    _show(session, state)


def put(
    session: Session,
    name: ScheduleName,
    queue_type: QueueType,
    queue_id: QueueId,
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="Payload of its jobs, as JSON.")],
    *,
    cron: Annotated[
        str | None,
        typer.Option(metavar="EXPRESSION", help="Minute, hour, day, month, weekday: '0 9 * * mon-fri'."),
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time between two slots, 1s or more.")
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Time zone of --cron, such as Asia/Kolkata. Default: UTC."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Rate of the queue, such as 40/s, or unlimited.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="1 to 9; 1 leaves first.")] = None,
    batch: Annotated[str | None, typer.Option(help="Batch of its jobs.")] = None,
    window: Annotated[str | None, typer.Option(help="Window of its jobs.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Age at which its jobs expire.")
    ] = None,
    rate_later: Annotated[
        bool, typer.Option("--rate-later", help="The queue has no rate yet and gets one later.")
    ] = False,
) -> None:
    """Create a schedule or replace one. At each slot it enqueues a job.

    A queue that has no rate yet needs --rate, or --rate-later.

    Examples:
      sharq schedule put beat beats acme '"Still there?"' --every 60s --rate unlimited
      sharq schedule put daily-report reports acme '{"of": "yesterday"}' --cron '0 9 * * mon-fri' --tz Asia/Kolkata
    """
    if (cron is None) == (every is None):
        raise wrong_usage("expected --cron or --every")
    every_ms = read_duration("--every", every)
    job: dict[str, Any] = flags(
        rate=None if rate == "unlimited" else rate,
        interval=0 if rate == "unlimited" else None,
        priority=priority,
        batch=batch,
        window=window,
        expires=read_duration("--expires", expires),
    )
    job |= {"queue_type": queue_type, "queue_id": queue_id, "payload": read_json("PAYLOAD", payload)}
    with session.client() as client:
        state = client.control.schedules.put(
            name,
            job,
            cron=cron,
            every_ms=None if every_ms is None else round(every_ms),
            tz=tz,
            rate_later=rate_later,
        )
    _show(session, state)


def pause(session: Session, name: ScheduleName) -> None:
    """Pause a schedule: no slot enqueues. Jobs that are there stay.

    Examples:
      sharq schedule pause daily-report
    """
    with session.client() as client:
        is_done = client.control.schedules.pause(name)
    _report(
        session,
        name,
        f"The schedule {name} is paused. sharq schedule resume {name} ends that.",
        is_done=is_done,
    )


def resume(session: Session, name: ScheduleName) -> None:
    """Resume a schedule from its next slot on. Slots that passed during the pause are skipped.

    Examples:
      sharq schedule resume daily-report
    """
    with session.client() as client:
        is_done = client.control.schedules.resume(name)
    _report(session, name, f"The schedule {name} is resumed.", is_done=is_done)


def drop(session: Session, name: ScheduleName) -> None:
    """Drop a schedule. The jobs that it has enqueued stay.

    Examples:
      sharq schedule drop daily-report
    """
    with session.client() as client:
        is_done = client.control.schedules.delete(name)
    _report(session, name, f"The schedule {name} is dropped.", is_done=is_done)


def _report(session: Session, name: str, text: str, *, is_done: bool) -> None:
    if not is_done:
        raise _no_schedule(session, name)
    if session.output.is_json:
        session.output.document(DONE)
        return
    session.output.line(text)


def _no_schedule(session: Session, name: str) -> Failed:
    return Failed(f"there is no schedule {name} at {session.url}", Exit.NOT_FOUND)


def _show(session: Session, state: ScheduleState) -> None:
    output = session.output
    if output.is_json:
        output.document(_wire_form(state))
        return
    output.line(state.name, "bold")
    output.facts(
        [
            ("state", ("paused", ODD) if state.paused else ("active", GOOD)),
            ("slots", _slots(state)),
            ("next", None if state.next_at is None else moment(state.next_at)),
            ("last", None if state.last_at is None else f"{moment(state.last_at)}: {state.last_status}"),
            ("fired", str(state.fired)),
            ("queue", f"{state.job.queue_type} {state.job.queue_id}"),
            ("payload", msgspec.json.encode(state.job.payload).decode()),
        ]
    )


def _wire_form(state: ScheduleState) -> dict[str, object]:
    """Return a schedule as the server answers it: its queue stands in its job alone, which has what was given."""
    form = {name: value for name, value in wire_form(state).items() if name not in {"queue_type", "queue_id"}}
    return form | {"job": msgspec.Raw(msgspec.json.encode(state.job))}


def _slots(schedule: ScheduleRow) -> str:
    if schedule.every is not None:
        return f"every {readable(schedule.every)}"
    return f"{schedule.cron} ({schedule.tz})"


def _cells(schedule: ScheduleRow) -> list[Cell]:
    return [
        schedule.name,
        _slots(schedule),
        f"{schedule.queue_type} {schedule.queue_id}",
        ("paused", ODD) if schedule.paused else ("-" if schedule.next_at is None else age(schedule.next_at)),
        "-" if schedule.last_at is None else f"{schedule.last_status}, {age(schedule.last_at)}",
        str(schedule.fired),
    ]
