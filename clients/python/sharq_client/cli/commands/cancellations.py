"""Cancels jobs: by their ids, by a prefix of them, or a whole batch."""

from __future__ import annotations

from typing import Annotated

import typer

from sharq_client.answers import JobState
from sharq_client.cli.commands.jobs import no_job
from sharq_client.cli.confirmations import confirm
from sharq_client.cli.exits import wrong_usage
from sharq_client.cli.parameters import OptionalJob, OptionalQueue, QueueType, Yes
from sharq_client.cli.session import Session


def cancel(
    session: Session,
    queue_type: QueueType,
    queue_id: OptionalQueue = None,
    job_id: OptionalJob = None,
    *,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Cancel all jobs of QUEUE that wait and whose ids begin so."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="BATCH", help="Cancel this batch, in all queues of TYPE.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Cancel a leased job, too; its worker can no longer finish it.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Cancel a job, those of a queue with a prefix, or a batch.

    A dead letter is dropped. A prefix and a batch leave out leased jobs. A cancelled batch takes no further jobs.

    Examples:
      sharq cancel sms acme order-17
      sharq cancel sms acme --prefix order- --yes
      sharq cancel sms --batch spring-sale
    """
    targets = (job_id is not None, prefix is not None, batch is not None)
    if sum(targets) != 1:
        raise wrong_usage("expected QUEUE JOB, QUEUE --prefix TEXT, or --batch BATCH")
    if force and job_id is None:
        raise wrong_usage("--force: only with QUEUE JOB")
    if batch is not None:
        if queue_id is not None:
            raise wrong_usage("--batch: a batch spans all queues of its type; leave out QUEUE")
        _cancel_batch(session, queue_type, batch, is_confirmed=yes)
    elif queue_id is None:
        raise wrong_usage("--prefix: expected QUEUE, too")
    elif prefix is not None:
        _cancel_matching(session, queue_type, queue_id, prefix, is_confirmed=yes)
    elif job_id is not None:
        _cancel_job(session, queue_type, queue_id, job_id, force=force)


def _cancel_job(session: Session, queue_type: str, queue_id: str, job_id: str, *, force: bool) -> None:
    with session.client() as client:
        was = client.jobs.cancel(queue_type, queue_id, job_id, force=force)
    if was is None:
        raise no_job(session, queue_type, queue_id, job_id)
    if session.output.is_json:
        session.output.document({"was": was})
    elif was is JobState.CANCELLED:
        session.output.line(f"{queue_type} {queue_id} {job_id} had been cancelled already.")
    elif was is JobState.DEAD:
        session.output.line(f"{queue_type} {queue_id} {job_id} was a dead letter, and is dropped.")
    else:
        session.output.line(f"{queue_type} {queue_id} {job_id} was {was}, and is cancelled.")


def _cancel_matching(
    session: Session, queue_type: str, queue_id: str, prefix: str, *, is_confirmed: bool
) -> None:
    jobs = f"all jobs {prefix}*" if prefix else "all jobs"
    confirm(f"Cancel {jobs} of {queue_type} {queue_id} that wait?", is_confirmed=is_confirmed)
    with session.client() as client:
        cancelled = client.jobs.cancel_matching(queue_type, queue_id, prefix)
    _report(session, cancelled)


def _cancel_batch(session: Session, queue_type: str, batch: str, *, is_confirmed: bool) -> None:
    confirm(f"Cancel the batch {batch} of {queue_type} for good?", is_confirmed=is_confirmed)
    with session.client() as client:
        cancelled = client.jobs.cancel_batch(queue_type, batch)
    _report(session, cancelled)


def _report(session: Session, cancelled: int) -> None:
    if session.output.is_json:
        session.output.document({"cancelled": cancelled})
        return
    session.output.line("1 job is cancelled." if cancelled == 1 else f"{cancelled} jobs are cancelled.")
