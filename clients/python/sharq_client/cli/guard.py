"""Runs one command, and turns every error into a message on stderr and an exit code.

Not here: wrong options and arguments, which typer reports with exit code 2, and the messages (exits.py).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer

from sharq_client.cli.exits import Exit, Failed, code_of, message_of
from sharq_client.cli.session import Session
from sharq_client.errors import SharqError


def guard(session: Session, command: Callable[[], None]) -> None:
    """Run a command. End the program with the exit code of its error, if there is one."""
    try:
        command()
        sys.stdout.flush()
    except (typer.Exit, typer.BadParameter):
        raise
    except SharqError as error:
        _end(session, error, message_of(error, session.url), code_of(error))
    except Failed as error:
        _end(session, error, error.message, error.code)
    except (KeyboardInterrupt, typer.Abort) as error:
        _end(session, error, "interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted. Python flushes stdout at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.PIPE_CLOSED) from None
    except ValueError as error:
        _end(session, error, str(error), Exit.USAGE)
    except OSError as error:
        _end(session, error, str(error), Exit.FAILED)
    except Exception as error:  # noqa: BLE001 - no user is shown a traceback that he did not ask for
        report = f"{type(error).__name__}: {error}. This is a fault of sharq; --debug shows where"
        _end(session, error, report, Exit.FAILED)


def _end(session: Session, error: BaseException, message: str, code: Exit) -> None:
    if session.is_debug:
        traceback.print_exception(error)
    typer.echo(f"sharq: {message}", err=True)
    raise typer.Exit(code) from None
