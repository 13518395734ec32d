"""Runs a worker: that of an application, or a command of the shell for each job."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.session import Session

if TYPE_CHECKING:
    from sharq_client.worker.worker import Worker


def worker(
    session: Session,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE:WORKER",
            help="Worker of an application; with --exec queue types.",
            show_default=False,
        ),
    ],
    *,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Most jobs at once. Default: the worker's own."),
    ] = None,
    reloads: Annotated[
        bool, typer.Option("--reload", help="Start it anew after each change of a Python file.")
    ] = False,
    reload_dir: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Folder that --reload watches. Default: this folder."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve Prometheus metrics of the worker there.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Run this in a shell for each job of the types."),
    ] = None,
) -> None:
    """Run a worker until Ctrl-C or SIGTERM, which let the jobs at hand end first.

    MODULE:WORKER names a sharq_client.Worker in a module of this folder or of an installed package. Its client uses the
    server of --url, --profile or SHARQ_URL, unless the application names one.

    With --exec, the command gets the payload as JSON on stdin, and SHARQ_QUEUE_TYPE, SHARQ_QUEUE_ID, SHARQ_JOB_ID and
    SHARQ_ATTEMPT as variables. Exit code 0 finishes the job; any other one releases it, with the last line of stderr as
    its error.

    Examples:
      sharq worker app:worker
      sharq worker app:worker --concurrency 50 --metrics-port 9100
      sharq worker app:worker --reload
      sharq worker sms mail --exec './send.sh' --concurrency 4
    """
    _log_to_stderr(session)
    _lend_server(session)
    if reloads:
        _reload(reload_dir or ["."])
    try:
        running = _worker_of(targets) if command is None else _worker_of_program(session, targets, command)
        running.configure(concurrency=concurrency, metrics_port=metrics_port)
        running.run_forever()
    except (TypeError, RuntimeError, ModuleNotFoundError) as error:
        raise Failed(f"{targets[0]}: {error}") from error


def _worker_of(targets: list[str]) -> Worker:
    """Return the worker of an application."""
    from sharq_client.cli.traffic.targets import worker_of  # noqa: PLC0415 - help does without it

    if len(targets) != 1:
        raise Failed("expected one MODULE:WORKER; several queue types need --exec", Exit.USAGE)
    return worker_of(targets[0])


def _worker_of_program(session: Session, queue_types: list[str], command: str) -> Worker:
    """Return a worker that runs a command of the shell for each job."""
    from sharq_client.cli.traffic.programs import Program  # noqa: PLC0415 - only --exec needs it
    from sharq_client.worker.worker import Worker  # noqa: PLC0415 - help does without it

    # The client is not opened: the worker takes its settings.
    return Worker(session.client(), queue_types, Program(command).handle)


def _lend_server(session: Session) -> None:
    """Let the clients of the application use the server of this command, unless they name one."""
    os.environ["SHARQ_URL"] = session.url
    if session.token:
        os.environ["SHARQ_TOKEN"] = session.token


def _reload(folders: list[str]) -> None:
    """Run this command without --reload in a process that is started anew after each change. End with its code."""
    try:
        from sharq_client.worker import reload  # noqa: PLC0415 - needs the extra `reload`
    except ModuleNotFoundError as error:
        raise Failed(str(error)) from error
    arguments = [word for word in sys.argv[1:] if word != "--reload"]
    raise typer.Exit(reload.run([sys.executable, "-m", "sharq_client.cli.main", *arguments], folders))


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of JSON."""
        line = {
            "at": round(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _log_to_stderr(session: Session) -> None:
    """Set up the log of the process. An application that is imported later may set up its own."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(_JsonLines() if session.output.is_json else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
