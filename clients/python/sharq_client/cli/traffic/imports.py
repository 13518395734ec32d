"""Imports jobs from the original SHARQ, from Celery and from BullMQ."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import typer

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.parameters import read_duration
from sharq_client.cli.session import Session

if TYPE_CHECKING:
    from sharq_client.migration import Progress, Summary, UndoSummary

RETRIES = 4
SHOW_EVERY_S = 0.5

Source: TypeAlias = Annotated[
    str,
    typer.Option("--from", metavar="URL", help="Its Redis, as redis://host:6379/0.", show_default=False),
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and only count.")]
TargetType: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="TYPE", help="Queue type that the jobs get, or $.path of a field of the payload."),
]
TargetQueue: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Queue that they get, or $.path, as $.kwargs.customer.")
]
Rate: TypeAlias = Annotated[
    str | None, typer.Option(metavar="RATE", help="Rate of each of these queues, such as 40/s.")
]
Interval: TypeAlias = Annotated[
    str | None, typer.Option(metavar="DURATION", help="--rate as the time between two jobs, such as 25ms.")
]


class OriginalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an import from the original."""

    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="key_prefix of the original's configuration.")
    ] = "sharq_server"
    dry_run: DryRun = False
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and move what producers still send there, until Ctrl-C.")
    ] = False
    undo: Annotated[
        bool, typer.Option("--undo", help="Give the queues back that this server has no jobs of.")
    ] = False
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the jobs that its workers hold.")
    ] = True
    lease: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="job_expire_interval of its configuration. Default: read from its leases.",
        ),
    ] = None
    default_interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Interval of queues whose own it has forgotten. Default: none."
        ),
    ] = None
    retry_refused: Annotated[
        bool, typer.Option("--retry-refused", help="Try the jobs again that earlier runs refused.")
    ] = False


def original(session: Session, *, source: Source, options: OriginalOptions) -> None:
    """Take over a live deployment of the original SHARQ.

    Its servers and workers may run on meanwhile. No queue gets its rate twice: it is served by one of both sides, and
    moves with the time of its last lease. An interrupted run can be run again, and goes on.

    Examples:
      sharq import original --from redis://10.0.0.5:6379/0 --dry-run
      sharq import original --from redis://10.0.0.5:6379/0 --prefix sharq_server --follow
      sharq import original --from redis://10.0.0.5:6379/0 --undo
    """
    from sharq_client import migration  # noqa: PLC0415 - needs the extra `import`

    if options.undo and (options.dry_run or options.follow or options.retry_refused):
        raise ValueError("--undo: not together with --dry-run, --follow or --retry-refused")
    lease_ms = read_duration("--lease", options.lease)
    default_interval_ms = read_duration("--default-interval", options.default_interval)
    with session.client(retries=RETRIES) as client, _told_errors():
        if options.undo:
            _report_undo(session, migration.undo_original(client, source, prefix=options.prefix))
            return
        _run(
            session,
            lambda stop, meter: migration.import_original(
                client,
                source,
                prefix=options.prefix,
                dry_run=options.dry_run,
                follow=options.follow,
                stop=stop,
                wait_for_leases=options.wait,
                lease_ms=None if lease_ms is None else round(lease_ms),
                default_interval_ms=None if default_interval_ms is None else round(default_interval_ms),
                retry_refused=options.retry_refused,
                on_progress=meter.show,
            ),
            ends_by_signal=options.follow,
        )


def _report_undo(session: Session, given_back: UndoSummary) -> None:
    if session.output.is_json:
        session.output.document(given_back)
    else:
        queues = f"{given_back.queues:,} queues with {given_back.jobs:,} jobs"
        session.output.line(f"{queues} are given back; {given_back.kept:,} are kept.")


def celery(
    session: Session,
    queue_type: TargetType,
    queue_id: TargetQueue,
    *,
    source: Source,
    queue: Annotated[str, typer.Option(metavar="NAME", help="Name of the Celery queue.")] = "celery",
    rate: Rate = None,
    interval: Interval = None,
    dry_run: DryRun = False,
) -> None:
    """Move the waiting tasks of one Celery queue. Its workers may run on.

    A task becomes a job with the payload {"task": ..., "args": [...], "kwargs": {...}}. Tasks that workers have
    fetched, and those of chains and chords, stay with Celery.

    Examples:
      sharq import celery sms acme --from redis://10.0.0.5:6379/0 --rate 40/s
      sharq import celery sms '$.kwargs.customer' --from redis://10.0.0.5:6379/0 --queue bulk --rate 5/s --dry-run
    """
    from sharq_client import migration  # noqa: PLC0415 - needs the extra `import`

    with session.client(retries=RETRIES) as client, _told_errors():
        _run(
            session,
            lambda stop, meter: migration.import_celery(
                client,
                source,
                queue=queue,
                queue_type=queue_type,
                queue_id=queue_id,
                interval=read_duration("--interval", interval),
                rate=rate,
                dry_run=dry_run,
                stop=stop,
                on_progress=meter.show,
            ),
        )


def bullmq(
    session: Session,
    queue_type: TargetType,
    queue_id: TargetQueue,
    *,
    source: Source,
    queue: Annotated[str, typer.Option(metavar="NAME", help="Name of the BullMQ queue.", show_default=False)],
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Prefix of its keys.")] = "bull",
    rate: Rate = None,
    interval: Interval = None,
    dry_run: DryRun = False,
) -> None:
    """Move the waiting, prioritized and delayed jobs of one BullMQ queue. Its workers may run on.

    Examples:
      sharq import bullmq sms acme --from redis://10.0.0.5:6379/0 --queue sms --rate 40/s
      sharq import bullmq sms '$.data.customer' --from redis://10.0.0.5:6379/0 --queue sms --dry-run
    """
    from sharq_client import migration  # noqa: PLC0415 - needs the extra `import`

    with session.client(retries=RETRIES) as client, _told_errors():
        _run(
            session,
            lambda stop, meter: migration.import_bullmq(
                client,
                source,
                queue=queue,
                prefix=prefix,
                queue_type=queue_type,
                queue_id=queue_id,
                interval=read_duration("--interval", interval),
                rate=rate,
                dry_run=dry_run,
                stop=stop,
                on_progress=meter.show,
            ),
        )


class _Meter:
    """Writes the progress to stderr, over itself, if that is a terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown_at_s = 0.0
        self._width = 0

    def show(self, progress: Progress) -> None:
        """Show a progress, at most every SHOW_EVERY_S."""
        if not self._is_terminal or time.monotonic() - self._shown_at_s < SHOW_EVERY_S:
            return
        self._shown_at_s = time.monotonic()
        text = f"{progress.moved:,} of {progress.total:,} jobs moved, {progress.queues:,} queues"
        text += f", {progress.leased:,} held by its workers" if progress.leased else ""
        typer.echo("\r" + text.ljust(self._width), err=True, nl=False)
        self._width = len(text)

    def clear(self) -> None:
        """Remove the progress from the terminal."""
        if self._width:
            typer.echo("\r" + " " * self._width + "\r", err=True, nl=False)


def _run(
    session: Session,
    work: Callable[[threading.Event, _Meter], Summary],
    *,
    ends_by_signal: bool = False,
) -> None:
    """Run an import, and write its summary. A signal ends it soon; a second one at once.

    Args:
        ends_by_signal: True if a signal is the usual end.
    """
    meter = _Meter()
    with _stopped_by_signals() as stop:
        try:
            summary = work(stop, meter)
        finally:
            meter.clear()
    if session.output.is_json:
        session.output.document(summary)
    else:
        _write(session, summary)
    if stop.is_set() and not ends_by_signal:
        raise Failed("interrupted; run it again to go on", Exit.INTERRUPTED)
    if summary.refused:
        raise Failed(f"{summary.refused:,} jobs were not moved")


def _write(session: Session, summary: Summary) -> None:
    rows = {
        "types": summary.types,
        "queues taken over": summary.queues,
        "jobs moved": summary.moved,
        "of them here already": summary.duplicates,
        "still waiting there": summary.waiting,
        "held by its workers": summary.leased,
        "put back after a lease": summary.returned,
        "dropped, no requeue left": summary.discarded,
        "ids without a payload": summary.without_payload,
        "queues without an interval": summary.without_interval,
        "refused": summary.refused,
    }
    always = {"types", "queues taken over", "jobs moved"}
    session.output.line(
        "Dry run: nothing was changed." if summary.dry_run else f"Done in {summary.seconds:.1f} s."
    )
    session.output.facts([(name, f"{count:,}") for name, count in rows.items() if count or name in always])
    for refusal in summary.refusals:
        place = " ".join(filter(None, (refusal.queue_type, refusal.queue_id, refusal.job_id)))
        typer.echo(f"sharq: {place}: {refusal.reason}", err=True)


@contextmanager
def _told_errors() -> Iterator[None]:
    """Turn the errors of the source into failures of the command."""
    try:
        from redis.exceptions import RedisError  # noqa: PLC0415 - needs the extra `import`
    except ModuleNotFoundError as error:
        raise Failed("an import needs the extra `import`: pip install 'sharq-client[import]'") from error
    try:
        yield
    except RedisError as error:
        raise Failed(f"--from: {error}", Exit.UNREACHABLE) from error


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets. A second one interrupts."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the interface of a handler
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
