"""Runs `sharq enqueue --file`: sends the jobs of a file, and reports how they fared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.jobfiles.lines import JobFile
from sharq_client.cli.jobfiles.meter import Meter
from sharq_client.cli.jobfiles.options import FileOptions
from sharq_client.cli.jobfiles.progress_file import ProgressFile, Reached
from sharq_client.cli.jobfiles.report import FileReport, FileSummary
from sharq_client.cli.jobfiles.sender import BadFile, FileChanged, Sender
from sharq_client.cli.session import Session

FILE_RETRIES = 6
"""The tries until a run on a file gives up on the server: about half a minute."""


def enqueue_file(session: Session, path: str, defaults: Mapping[str, object], options: FileOptions) -> None:
    """Enqueue the jobs of a file, and report how they fared.

    Args:
        path: the path of the file, or "-" for stdin.
        defaults: the values of fields that a record does not have.

    Raises:
        Failed: the options and the file do not fit together. Nothing was sent.
        SharqError, BadFile: the run ended early. It can go on later.
        OSError: a file cannot be read or written. If jobs were sent, the summary says how many.
        typer.Exit: a job failed.
    """
    progress = ProgressFile(options.state_path(path))
    after = _start_of(path, progress, options)
    with ExitStack() as stack:
        file = JobFile(path, options.file_format)
        stack.callback(file.close)
        _try_out(progress)
        rejected = stack.enter_context(_open_rejected(options.rejected)) if options.rejected else None
        client = stack.enter_context(session.client(retries=FILE_RETRIES))
        meter = stack.enter_context(Meter(file.size_bytes))
        report = FileReport(file.name, meter.tell, rejected, file.header_text)
        sender = Sender(
            client, file, progress, report, on_progress=meter.show, defaults=defaults,
            run=after.run or options.run, is_strict=options.is_strict, repeats=options.resumes,
        )  # fmt: skip
        is_complete = False
        try:
            sender.send(after)
            is_complete = True
        except FileChanged:
            problem = f"its first {after.line} lines are not those that an earlier run has sent"
            raise Failed(f"{file.name}: {problem}; --restart begins anew", Exit.USAGE) from None
        except BadFile:
            pass
        finally:
            try:
                stack.close()
            finally:
                if report.sent or is_complete:
                    _conclude(session, progress, report.summary(is_complete=is_complete), report.reached)
    if report.failed:
        raise typer.Exit(Exit.FAILED)


def _try_out(progress: ProgressFile) -> None:
    """Raise Failed if the progress cannot be kept."""
    try:
        progress.try_out()
    except OSError as error:
        problem = f"the progress cannot be kept: {error.strerror or error}"
        reason = f"{progress.path}: {problem}; --state names another file. Nothing was sent"
        raise Failed(reason, Exit.FAILED) from error


@contextmanager
def _open_rejected(path: Path) -> Iterator[BinaryIO]:
    """Open the file for the lines that fail; an error at its end names it, too."""
    file = path.open("ab")
    try:
        yield file
    finally:
        try:
            file.close()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


def _start_of(path: str, progress: ProgressFile, options: FileOptions) -> Reached:
    """Return the position from which on to send."""
    if options.restarts:
        return Reached()
    earlier = progress.read()
    if earlier is None:
        if options.resumes and progress.path is None:
            raise Failed("--resume: stdin needs --state FILE", Exit.USAGE)
        return Reached()
    if not options.resumes:
        reason = f"an earlier run ended after line {earlier.line}"
        raise Failed(f"{path}: {reason}; --resume goes on there, --restart begins anew", Exit.USAGE)
    return earlier


def _conclude(session: Session, progress: ProgressFile, summary: FileSummary, reached: Reached) -> None:
    """Write the summary, and keep or remove the progress."""
    is_kept = not summary.is_complete and _is_kept(progress, reached)
    if session.output.is_json:
        session.output.document(summary)
    else:
        _tell(summary, can_go_on=is_kept)
    if summary.is_complete:
        progress.remove()


def _is_kept(progress: ProgressFile, reached: Reached) -> bool:
    """Keep how far the run is; return True if a later run finds it."""
    if progress.path is None or not reached.line:
        return False
    try:
        progress.save(reached)
    except OSError as error:
        typer.echo(f"sharq: {progress.path}: the progress is not kept: {error.strerror or error}", err=True)
        return False
    return True


def _tell(summary: FileSummary, *, can_go_on: bool) -> None:
    answered = summary.queued + summary.duplicates
    rate = f" ({answered / summary.seconds:,.0f}/s)" if summary.seconds >= 1 else ""
    typer.echo(
        f"{summary.queued:,} queued, {summary.duplicates:,} duplicates, {summary.failed:,} failed"
        f" in {summary.seconds:.1f} s{rate}"
    )
    if not summary.is_complete:
        hint = "; --resume goes on there" if can_go_on else ""
        typer.echo(f"sharq: stopped after line {summary.line}{hint}", err=True)
