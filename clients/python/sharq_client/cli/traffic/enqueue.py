"""Enqueues one job, or the jobs of a file."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.jobfiles.options import FILE, FileOptions
from sharq_client.cli.parameters import OptionalQueue, OptionalType, flags, read_json
from sharq_client.cli.session import Session
from sharq_client.cli.traffic.job_options import JobOptions
from sharq_client.requests import EnqueueJob


def enqueue(
    session: Session,
    queue_type: OptionalType = None,
    queue_id: OptionalQueue = None,
    payload: Annotated[
        str | None,
        typer.Argument(metavar="PAYLOAD", help="Payload as JSON; - is stdin.", show_default=False),
    ] = None,
    *,
    job: JobOptions,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="File with jobs: JSON Lines or CSV; - is stdin.",
            rich_help_panel=FILE,
        ),
    ] = None,
    files: FileOptions,
) -> None:
    """Enqueue one job, or all jobs of a file.

    A line of JSON Lines is an object with the fields of a job (queue_type, queue_id, payload, rate, ...). The header
    of a CSV has the same names; columns with other names become the payload, as texts. TYPE, QUEUE and the options of
    a job are for lines that do not have them. A wrong line is reported and does not stop the others.

    A job without a job_id gets one that depends on its line, so that a file that is sent again enqueues nothing twice
    while the server knows the jobs.

    Examples:
      sharq enqueue sms acme '{"to": "+15550101", "text": "Hello"}' --rate 40/s
      sharq enqueue --file jobs.jsonl
      sharq enqueue sms --file customers.csv --rate 90/min --batch spring-sale
      sharq enqueue --file jobs.jsonl.gz --resume
      zcat jobs.jsonl.gz | sharq enqueue --file - --rejected failed.jsonl
    """
    if file is None:
        if payload is None or queue_type is None or queue_id is None:
            raise Failed("expected TYPE, QUEUE and PAYLOAD, or --file FILE", Exit.USAGE)
        address = {"queue_type": queue_type, "queue_id": queue_id}
        _enqueue_one(session, {**address, **job.fields(), "payload": _payload(payload)})
        return
    if payload is not None or job.job_id is not None:
        raise Failed("--file: the payloads and the job ids are in the file", Exit.USAGE)
    if files.resumes and files.restarts:
        raise Failed("--resume and --restart contradict each other", Exit.USAGE)
    from sharq_client.cli.jobfiles.run import enqueue_file  # noqa: PLC0415 - only files need it

    defaults = flags(queue_type=queue_type, queue_id=queue_id) | job.fields()
    enqueue_file(session, file, defaults, files)


def _payload(text: str) -> object:
    return read_json("PAYLOAD", sys.stdin.read() if text == "-" else text)


def _enqueue_one(session: Session, fields: dict[str, Any]) -> None:
    with session.client() as client:
        answer = client.enqueue(EnqueueJob(**fields))
    if session.output.is_json:
        session.output.document(answer)
        return
    typer.echo(
        f"{fields['queue_type']} {fields['queue_id']} {answer.job_id}: {'duplicate' if answer.duplicate else 'queued'}"
    )
    if answer.warning:
        typer.echo(f"sharq: {answer.warning}", err=True)
