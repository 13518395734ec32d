"""Runs one command, and turns every error into a message on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer

from sharq_client.cli.exits import Exit, Failed, code_of, message_of
from sharq_client.cli.output import printable
from sharq_client.cli.session import Options, Session, open_session
from sharq_client.errors import SharqError


def guard(options: Options, command: Callable[[Session], None]) -> None:
    """Open the session for a command and run it. End the program with the exit code of its error, if there is one."""
    url = options.url or ""
    try:
        session = open_session(options)
        url = session.url
        command(session)
        session.output.end()
    except typer.Exit:
        raise
    except SharqError as error:
        _end(error, message_of(error, url), code_of(error), is_debug=options.is_debug)
    except Failed as error:
        _end(error, error.message, error.code, is_debug=options.is_debug)
    except (KeyboardInterrupt, typer.Abort) as error:
        _end(error, "interrupted", Exit.INTERRUPTED, is_debug=options.is_debug)
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted. Python flushes stdout at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.PIPE_CLOSED) from None
    except ValueError as error:
        _end(error, str(error), Exit.USAGE, is_debug=options.is_debug)
    except OSError as error:
        place = f"{error.filename}: " if error.filename and error.strerror else ""
        _end(error, f"{place}{error.strerror or error}", Exit.FAILED, is_debug=options.is_debug)
    except Exception as error:  # noqa: BLE001 - no user is shown a traceback that he did not ask for
        report = f"{type(error).__name__}: {error}. This is a fault of sharq; --debug shows where"
        _end(error, report, Exit.FAILED, is_debug=options.is_debug)


def _end(error: BaseException, message: str, code: Exit, *, is_debug: bool) -> None:
    if is_debug:
        traceback.print_exception(error)
    typer.echo(f"sharq: {printable(message)}", err=True)
    raise typer.Exit(code) from None
