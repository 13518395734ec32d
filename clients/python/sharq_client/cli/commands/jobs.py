"""Lists the jobs of a queue, and shows one, waits for one, or changes one."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
import typer

from sharq_client.answers import JobRow, JobState, JobStatus
from sharq_client.cli.commands.setting_texts import retry_text
from sharq_client.cli.exits import Exit, Failed, wrong_usage
from sharq_client.cli.output import BAD, GOOD, ODD, Cell, Output, bounded, wire_form
from sharq_client.cli.parameters import (
    JobId,
    Limit,
    QueueId,
    QueueType,
    flags,
    read_duration,
    read_json,
    read_time,
)
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import age, moment
from sharq_client.requests import JobChange

RETRIES_OF_A_WAIT = 5

_STYLES = {
    JobState.FINISHED: GOOD,
    JobState.DEAD: BAD,
    JobState.CANCELLED: ODD,
    JobState.EXPIRED: ODD,
}

_COLUMNS = (
    Column("job"),
    Column("prio", is_number=True),
    Column("attempt", is_number=True),
    Column("enqueued", is_number=True),
    Column("until", is_number=True, is_optional=True),
    Column("error", is_cut=True, is_optional=True),
    Column("payload", is_cut=True),
)


def jobs(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    *,
    state: Annotated[
        Literal["queued", "delayed", "leased"], typer.Option(help="State of the jobs.")
    ] = "queued",
    prefix: Annotated[str, typer.Option(help="First characters of their ids.", show_default=False)] = "",
    limit: Limit = None,
) -> None:
    """List the jobs of a queue in the order in which they leave.

    Examples:
      sharq jobs sms acme
      sharq jobs sms acme --state leased
      sharq jobs sms acme --prefix order- --json | jq -r .job_id
    """
    with session.client() as client:
        wanted = cast("Literal[JobState.QUEUED, JobState.DELAYED, JobState.LEASED]", JobState(state))
        page = min(limit or 100, 1_000)
        rows = client.jobs.in_queue(queue_type, queue_id, wanted, prefix=prefix, page=page)
        if session.output.is_json:
            session.output.documents(bounded(rows, limit))
            return
        shown = session.output.first_rows(rows, limit)
    if not shown:
        session.output.note(
            f"{queue_type} {queue_id} has no {state} jobs" + (f" {prefix}*." if prefix else ".")
        )
        return
    session.output.table(_COLUMNS, [_cells(row) for row in shown])


def job(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    job_id: JobId,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end. The exit code is 0 only if it is finished.")
    ] = False,
    within: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Longest time for --wait; without it, for ever.")
    ] = None,
) -> None:
    """Show the state of a job, or wait for its end.

    Examples:
      sharq job sms acme order-17
      sharq job sms acme order-17 --wait --within 5m && echo sent
      sharq job sms acme order-17 --json | jq .result
    """
    if within is not None and not wait:
        raise wrong_usage("--within: only with --wait")
    within_ms = read_duration("--within", within)
    with session.client() as client:
        status = client.job(queue_type, queue_id, job_id)
    if wait and status is not None and not status.has_ended:
        timeout_s = None if within_ms is None else within_ms / 1000
        # The server is there. From now on it may be away for a moment, as while it is updated.
        with session.client(retries=RETRIES_OF_A_WAIT) as client:
            status = client.jobs.wait(queue_type, queue_id, job_id, timeout_s=timeout_s)
    if status is None:
        raise no_job(session, queue_type, queue_id, job_id)
    show_job(session.output, queue_type, queue_id, job_id, status)
    if wait and status.state is not JobState.FINISHED:
        raise Failed(
            f"the job is {status.state}" if status.has_ended else f"the job has not ended within {within}"
        )


def change(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    job_id: JobId,
    *,
    payload: Annotated[str | None, typer.Option(metavar="JSON", help="New payload.")] = None,
    priority: Annotated[int | None, typer.Option(help="1 to 9; 1 leaves first.")] = None,
    cost: Annotated[int | None, typer.Option(help="Slots of the rate that it takes.")] = None,
    delay: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time from now before which it is not leased.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time before which it is not leased.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Time from now after which it expires, or never.")
    ] = None,
) -> None:
    """Change a job that waits. What is not given stays as it is.

    Examples:
      sharq change sms acme order-17 --priority 1
      sharq change sms acme order-17 --at 18:30 --expires 2h
      sharq change sms acme order-17 --payload '{"text": "Hello"}'
    """
    values = flags(
        payload=None if payload is None else read_json("--payload", payload),
        priority=priority,
        cost=cost,
        delay=read_duration("--delay", delay),
        at=read_time("--at", at),
        expires=None if expires in {None, "never"} else read_duration("--expires", expires),
    )
    if expires == "never":
        values["expires"] = None
    if not values:
        raise ValueError("expected at least one value to change; sharq change --help lists them")
    with session.client() as client:
        status = client.jobs.change(queue_type, queue_id, job_id, JobChange(**values))
    show_job(session.output, queue_type, queue_id, job_id, status)


def no_job(session: Session, queue_type: str, queue_id: str, job_id: str) -> Failed:
    """Return the error for a job that the server does not know."""
    hint = "Finished jobs are forgotten after a while"
    return Failed(
        f"there is no job {queue_type} {queue_id} {job_id} at {session.url}. {hint}", Exit.NOT_FOUND
    )


def show_job(output: Output, queue_type: str, queue_id: str, job_id: str, status: JobStatus) -> None:
    """Write the state of a job, for people or for scripts."""
    if output.is_json:
        output.document(wire_form(status))
        return
    output.line(f"{queue_type} {queue_id} {job_id}", "bold")
    output.facts(
        [
            ("state", (str(status.state), _STYLES.get(status.state, ""))),
            ("position", None if status.position is None else str(status.position)),
            ("enqueued", moment(status.enqueued_at)),
            ("due", _moment(status.delayed_until)),
            ("leased until", _moment(status.lease_expires_at)),
            ("blocked by", status.blocked_by),
            ("window opens", _moment(status.opens_at)),
            ("expires", _moment(status.expires_at)),
            ("died", _moment(status.dead_at)),
            ("reason", None if status.reason is None else str(status.reason)),
            ("attempt", _attempts(status)),
            ("priority", None if status.priority == 5 else str(status.priority)),
            ("cost", None if status.cost == 1 else str(status.cost)),
            ("retry", None if status.retry is None else retry_text(status.retry)),
            ("batch", status.batch),
            ("window", "ignored" if status.ignore_window else status.window),
            ("error", _error(status)),
            ("progress", _json(status.progress_json)),
            ("result", _json(status.result_json)),
            ("payload", _json(status.payload_json)),
        ]
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else moment(at_ms)


def _attempts(status: JobStatus) -> str:
    limit = status.requeue_limit
    return f"{status.attempt}" if limit is None or limit < 0 else f"{status.attempt} of {limit + 1}"


def _error(status: JobStatus) -> Cell | None:
    if status.error is None:
        return None
    when = "" if status.error_at is None else f" (attempt {status.error_attempt}, {age(status.error_at)})"
    return f"{status.error}{when}", BAD


def _json(text: msgspec.Raw) -> str | None:
    return bytes(text).decode() or None


def _cells(row: JobRow) -> list[Cell]:
    until = row.lease_expires_at or row.delayed_until or row.opens_at
    return [
        row.job_id,
        str(row.priority),
        str(row.attempt),
        age(row.enqueued_at),
        age(until) if until else "-",
        (row.error or "", BAD),
        _json(row.payload_json) or "",
    ]
