"""Leases jobs by hand, and finishes, extends or releases them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from sharq_client.answers import LeasedJob
from sharq_client.cli.commands.reasons import why_row
from sharq_client.cli.completions import queue_types
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import printable
from sharq_client.cli.parameters import JobId, QueueId, QueueType, read, read_duration, read_json
from sharq_client.cli.session import Session
from sharq_client.cli.times import duration_ms, moment
from sharq_client.requests import JobRef

Lease = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN", help="Lease token, as `sharq dequeue` shows it. Default: the current lease."
    ),
]
NeededLease = Annotated[
    str, typer.Option(metavar="TOKEN", help="Lease token, as `sharq dequeue` shows it.", show_default=False)
]
Hold = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Time for which the queue then hands out no jobs.")
]
Cost = Annotated[
    int | None, typer.Option(metavar="N", help="Cost that the job turned out to have. Default: as enqueued.")
]


def dequeue(
    session: Session,
    types: Annotated[
        list[str],
        typer.Argument(metavar="TYPE...", help="Queue types to lease from.", autocompletion=queue_types),
    ],
    *,
    count: Annotated[int, typer.Option(metavar="N", help="Most jobs to lease, 1 to 1,000.")] = 1,
    wait: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Longest wait until a job is ready, up to 60s.")
    ] = None,
    lease: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Length of the lease. Default: the server's.")
    ] = None,
) -> None:
    """Lease ready jobs, and print them with their lease tokens. Exit code 3 means that no job is ready.

    Finish, extend or release each job before its lease ends. Otherwise it returns to its queue.

    Examples:
      sharq dequeue sms
      sharq dequeue sms mail --count 10 --wait 5s
      sharq dequeue sms --lease 2m --json
    """
    with session.client() as client:
        jobs = client.dequeue(
            types[0] if len(types) == 1 else types,
            count,
            wait_ms=read_duration("--wait", wait) or 0,
            lease_ms=read_duration("--lease", lease),
        )
    if session.output.is_json:
        why = {} if jobs else {"blocked_by": jobs.blocked_by, "next_ready_in": jobs.next_ready_in}
        session.output.document({"jobs": jobs, **why})
    else:
        for job in jobs:
            _show(job)
    if not jobs:
        why_not = "" if jobs.blocked_by is None else f": {why_row(jobs.blocked_by, jobs.next_ready_in)}"
        raise Failed(f"no job of {', '.join(types)} is ready{why_not}", Exit.NOT_FOUND)


def _show(job: LeasedJob) -> None:
    place = f"{job.queue_type} {job.queue_id} {job.job_id}"
    typer.echo(f"{place}  attempt {job.attempt}")
    typer.echo(f"  payload  {printable(job.payload_bytes.decode())}")
    typer.echo(f"  finish   sharq finish {place} --lease {job.lease}")


def finish(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    job_id: JobId,
    *,
    lease: Lease = None,
    result: Annotated[
        str | None, typer.Option(metavar="JSON", help="Result to keep with the job, as JSON.")
    ] = None,
    cost: Cost = None,
    hold: Hold = None,
) -> None:
    """Finish a leased job: the work is done, and the job leaves its queue for good.

    The server remembers for a while that the job is finished; `sharq job` then shows it, with its result.

    Examples:
      sharq finish sms acme order-17
      sharq finish sms acme order-17 --lease 00000000000000011c0a... --result '{"message_id": 81}'
    """
    kept = msgspec.UNSET if result is None else read_json("--result", result)
    job = JobRef(queue_type, queue_id, job_id, lease)
    with session.client() as client:
        is_kept = client.finish(job, cost=cost, hold_ms=read_duration("--hold", hold) or 0, result=kept)
    if is_kept is False:
        typer.echo("sharq: the job is finished, but the server had no room for its result", err=True)
    _done(session, job, "finished", {} if is_kept is None else {"result_kept": is_kept})


def extend(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    job_id: JobId,
    *,
    by: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Time from now until the new end of the lease.", show_default=False
        ),
    ],
    lease: NeededLease,
    progress: Annotated[
        str | None, typer.Option(metavar="JSON", help="Progress of the work to show with the job, as JSON.")
    ] = None,
) -> None:
    """Move the end of a lease, so that the job does not return to its queue yet.

    Examples:
      sharq extend sms acme order-17 --by 60s --lease 00000000000000011c0a...
    """
    kept = msgspec.UNSET if progress is None else read_json("--progress", progress)
    job = JobRef(queue_type, queue_id, job_id, lease)
    with session.client() as client:
        ends_at_ms = client.extend(job, read("--by", duration_ms, by), progress=kept)
    _done(session, job, f"its lease ends {moment(ends_at_ms)}", {"lease_expires_at": ends_at_ms})


def release(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    job_id: JobId,
    *,
    lease: NeededLease,
    delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Time until it is queued again. Default: its retry policy."),
    ] = None,
    error: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Reason of the failure, shown with the job.")
    ] = None,
    counts: Annotated[
        bool, typer.Option("--count/--no-count", help="Count the attempt against the requeue limit.")
    ] = True,
    cost: Cost = None,
    hold: Hold = None,
) -> None:
    """Give a leased job back unfinished: it returns to its queue.

    Examples:
      sharq release sms acme order-17 --lease 00000000000000011c0a... --delay 30s --error 'carrier is down'
      sharq release sms acme order-17 --lease 00000000000000011c0a... --no-count --hold 1m
    """
    job = JobRef(queue_type, queue_id, job_id, lease)
    with session.client() as client:
        delay_ms = read_duration("--delay", delay)
        client.release(
            job, delay_ms, error=error, counts=counts, cost=cost, hold_ms=read_duration("--hold", hold) or 0
        )
    _done(session, job, "released", {})


def _done(session: Session, job: JobRef, outcome: str, answer: dict[str, object]) -> None:
    if session.output.is_json:
        session.output.document({"status": "success", **answer})
    else:
        typer.echo(f"{job.queue_type} {job.queue_id} {job.job_id}: {outcome}")
