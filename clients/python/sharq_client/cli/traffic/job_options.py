"""Defines the options of `sharq enqueue` that describe a job."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import typer

from sharq_client.cli.commands.rates import UNLIMITED
from sharq_client.cli.commands.setting_texts import retry_of
from sharq_client.cli.parameters import flags, read, read_duration, read_time

JOB = "Job, or defaults for the jobs of the file"
NONE = "none"


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a job."""

    job_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of the job. Default: a new one.", rich_help_panel=JOB)
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            help="Rate of its queue: 40/s, 90/min, 2000/h, 10000/day or unlimited.",
            rich_help_panel=JOB,
        ),
    ] = None
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="--rate as the time between two jobs, such as 25ms.",
            rich_help_panel=JOB,
        ),
    ] = None
    burst: Annotated[
        float | None,
        typer.Option(metavar="N", help="Most leases back to back when late.", rich_help_panel=JOB),
    ] = None
    delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Wait before it may be leased.", rich_help_panel=JOB),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="--delay as a time, such as 18:30.", rich_help_panel=JOB),
    ] = None
    priority: Annotated[
        int | None,
        typer.Option(metavar="1-9", help="1 leaves its queue first. Default: 5.", rich_help_panel=JOB),
    ] = None
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Time after which it is not leased.", rich_help_panel=JOB),
    ] = None
    expires_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="--expires as a time, such as 18:30.", rich_help_panel=JOB),
    ] = None
    on_expiry: Annotated[
        Literal["dead", "drop"] | None, typer.Option(help="Fate of an expired job.", rich_help_panel=JOB)
    ] = None
    batch: Annotated[
        str | None, typer.Option(metavar="ID", help="Batch that counts the job.", rich_help_panel=JOB)
    ] = None
    cost: Annotated[
        int | None, typer.Option(metavar="N", help="Slots of the rate that it takes.", rich_help_panel=JOB)
    ] = None
    requeue_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Requeues after failures; -1: no limit. Default: 10.",
            rich_help_panel=JOB,
        ),
    ] = None
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="RETRY",
            help="Wait after a failure, such as 30s,factor=3,max=1h,jitter=0.2, or none.",
            rich_help_panel=JOB,
        ),
    ] = None
    max_leased: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most jobs of the queue leased at a time.", rich_help_panel=JOB),
    ] = None
    cap: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Cap of the queue. May be repeated.", rich_help_panel=JOB),
    ] = None
    max_queued_length: Annotated[
        int | None,
        typer.Option(metavar="N", help="Refuse if N jobs or more are queued.", rich_help_panel=JOB),
    ] = None
    window: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Window outside of which it waits.", rich_help_panel=JOB),
    ] = None
    ignore_window: Annotated[
        bool, typer.Option("--ignore-window", help="No window holds it back.", rich_help_panel=JOB)
    ] = False
    repeat: Annotated[
        bool,
        typer.Option(
            "--repeat",
            help="Safe to send again: queue nothing if the job is known or has ended.",
            rich_help_panel=JOB,
        ),
    ] = False

    def fields(self) -> dict[str, Any]:
        """Return the fields that were given, as EnqueueJob names them.

        Raises:
            ValueError: an option cannot be read.
        """
        given = flags(
            job_id=self.job_id,
            rate=None if self.rate == UNLIMITED else self.rate,
            interval=0 if self.rate == UNLIMITED else read_duration("--interval", self.interval),
            burst=self.burst,
            delay=read_duration("--delay", self.delay),
            at=read_time("--at", self.at),
            priority=self.priority,
            expires=read_duration("--expires", self.expires),
            expires_at=read_time("--expires-at", self.expires_at),
            on_expiry=self.on_expiry,
            batch=self.batch,
            cost=self.cost,
            requeue_limit=self.requeue_limit,
            max_leased=self.max_leased,
            caps=self.cap or None,
            max_queued_length=self.max_queued_length,
            window=self.window,
            ignore_window=self.ignore_window or None,
            repeat=self.repeat or None,
        )
        if self.retry is not None:
            given["retry"] = None if self.retry == NONE else read("--retry", retry_of, self.retry)
        return given
