"""Enqueues one job, or the jobs of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sharq_client.cli.commands.rates import UNLIMITED
from sharq_client.cli.commands.setting_texts import retry_of
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.jobfiles.lines import Format
from sharq_client.cli.parameters import (
    OptionalQueue,
    OptionalType,
    flags,
    read,
    read_duration,
    read_json,
    read_time,
)
from sharq_client.cli.session import Session
from sharq_client.requests import EnqueueJob

JOB = "Job, or defaults for the jobs of the file"
FILE = "File"
NONE = "none"


def enqueue(
    session: Session,
    queue_type: OptionalType = None,
    queue_id: OptionalQueue = None,
    payload: Annotated[
        str | None,
        typer.Argument(metavar="PAYLOAD", help="Payload as JSON; - is stdin.", show_default=False),
    ] = None,
    *,
    job_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of the job. Default: a new one.", rich_help_panel=JOB)
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            help="Rate of its queue: 40/s, 90/min, 2000/h, 10000/day or unlimited.",
            rich_help_panel=JOB,
        ),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="--rate as the time between two jobs, such as 25ms.",
            rich_help_panel=JOB,
        ),
    ] = None,
    burst: Annotated[
        float | None,
        typer.Option(metavar="N", help="Most leases back to back when late.", rich_help_panel=JOB),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Wait before it may be leased.", rich_help_panel=JOB),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="--delay as a time, such as 18:30.", rich_help_panel=JOB),
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(metavar="1-9", help="1 leaves its queue first. Default: 5.", rich_help_panel=JOB),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Time after which it is not leased.", rich_help_panel=JOB),
    ] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="--expires as a time, such as 18:30.", rich_help_panel=JOB),
    ] = None,
    on_expiry: Annotated[
        Literal["dead", "drop"] | None, typer.Option(help="Fate of an expired job.", rich_help_panel=JOB)
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="ID", help="Batch that counts the job.", rich_help_panel=JOB)
    ] = None,
    cost: Annotated[
        int | None, typer.Option(metavar="N", help="Slots of the rate that it takes.", rich_help_panel=JOB)
    ] = None,
    requeue_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Requeues after failures; -1: no limit. Default: 10.",
            rich_help_panel=JOB,
        ),
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="RETRY",
            help="Wait after a failure, such as 30s,factor=3,max=1h,jitter=0.2, or none.",
            rich_help_panel=JOB,
        ),
    ] = None,
    max_leased: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most jobs of the queue leased at a time.", rich_help_panel=JOB),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Cap of the queue. May be repeated.", rich_help_panel=JOB),
    ] = None,
    max_queued_length: Annotated[
        int | None,
        typer.Option(metavar="N", help="Refuse if N jobs or more are queued.", rich_help_panel=JOB),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Window outside of which it waits.", rich_help_panel=JOB),
    ] = None,
    ignore_window: Annotated[
        bool, typer.Option("--ignore-window", help="No window holds it back.", rich_help_panel=JOB)
    ] = False,
    repeat: Annotated[
        bool,
        typer.Option(
            "--repeat",
            help="Safe to send again: queue nothing if the job is known or has ended.",
            rich_help_panel=JOB,
        ),
    ] = False,
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
    file_format: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the file. Default: by its name.", rich_help_panel=FILE),
    ] = None,
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first wrong line.", rich_help_panel=FILE)
    ] = False,
    resumes: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run ended.", rich_help_panel=FILE)
    ] = False,
    restarts: Annotated[
        bool, typer.Option("--restart", help="Begin anew, although one ended early.", rich_help_panel=FILE)
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the progress. Default: FILE.sharq-enqueue.", rich_help_panel=FILE
        ),
    ] = None,
    rejected: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the lines that fail, as they are.", rich_help_panel=FILE),
    ] = None,
    run: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Send a file again as new jobs: a text that new ids depend on.",
            rich_help_panel=FILE,
        ),
    ] = "",
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
    given = flags(
        queue_type=queue_type,
        queue_id=queue_id,
        job_id=job_id,
        rate=None if rate == UNLIMITED else rate,
        interval=0 if rate == UNLIMITED else read_duration("--interval", interval),
        burst=burst,
        delay=read_duration("--delay", delay),
        at=read_time("--at", at),
        priority=priority,
        expires=read_duration("--expires", expires),
        expires_at=read_time("--expires-at", expires_at),
        on_expiry=on_expiry,
        batch=batch,
        cost=cost,
        requeue_limit=requeue_limit,
        max_leased=max_leased,
        caps=cap or None,
        max_queued_length=max_queued_length,
        window=window,
        ignore_window=ignore_window or None,
        repeat=repeat or None,
    )
    if retry is not None:
        given["retry"] = None if retry == NONE else read("--retry", retry_of, retry)
    if file is None:
        if payload is None or queue_type is None or queue_id is None:
            raise Failed("expected TYPE, QUEUE and PAYLOAD, or --file FILE", Exit.USAGE)
        _enqueue_one(session, {**given, "payload": _payload(payload)})
        return
    if payload is not None or job_id is not None:
        raise Failed("--file: the payloads and the job ids are in the file", Exit.USAGE)
    if resumes and restarts:
        raise Failed("--resume and --restart contradict each other", Exit.USAGE)
    from sharq_client.cli.jobfiles.run import FileOptions, enqueue_file  # noqa: PLC0415 - only files need it

    options = FileOptions(file, file_format, is_strict, resumes, restarts, state, rejected, run)
    enqueue_file(session, given, options)


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
