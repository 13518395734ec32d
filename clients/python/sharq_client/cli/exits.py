"""Maps errors to exit codes, and to messages for people that say what to do.

Not here: which exceptions end a command (app.py catches them).
"""

from __future__ import annotations

import enum

from sharq_client import errors


class Exit(enum.IntEnum):
    """The exit codes of `sharq`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    OUTCOME_UNKNOWN = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141


_CODES: tuple[tuple[type[errors.SharqError], Exit], ...] = (
    (errors.InvalidRequest, Exit.USAGE),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.Unavailable, Exit.UNREACHABLE),
    (errors.Overloaded, Exit.UNREACHABLE),
    (errors.OutcomeUnknown, Exit.OUTCOME_UNKNOWN),
)


class Failed(Exception):
    """A failure of a command that is not an error of the server, with its exit code and a message for people."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def code_of(error: errors.SharqError) -> Exit:
    """Return the exit code for an error of the client."""
    return next((code for error_class, code in _CODES if isinstance(error, error_class)), Exit.FAILED)


def message_of(error: errors.SharqError, url: str) -> str:
    """Return the message for an error of the client, with a hint on what to do.

    Args:
        url: the URL of the server, as the user gave it.
    """
    match error:
        case errors.Unauthorized():
            return f"{url} does not accept the token: {error.message}. Set --token, SHARQ_TOKEN or --profile."
        case errors.Forbidden():
            return f"{url} refuses the request: {error.message}"
        case errors.Unavailable():
            return (
                f"cannot reach {url}: {error.message}. Nothing was done. Is the server up, and the URL right?"
            )
        case errors.Overloaded():
            return f"{url} is overloaded: {error.message}. Nothing was done; try again later."
        case errors.OutcomeUnknown():
            return f"{url} did not answer as expected: {error.message}. The call was perhaps done."
        case _:
            return error.message
