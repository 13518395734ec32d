"""Maps errors to exit codes, and to messages for people that say what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterator

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
    (errors.WrongUrl, Exit.UNREACHABLE),
    (errors.UntrustedCertificate, Exit.UNREACHABLE),
    (errors.OutcomeUnknown, Exit.OUTCOME_UNKNOWN),
)


_REACH = "Is the server running there? Set --url, SHARQ_URL or --profile"

_HINTS: tuple[tuple[type[errors.SharqError], str], ...] = (
    (errors.Unauthorized, ""),
    (errors.Forbidden, ""),
    (errors.WrongUrl, ""),
    (errors.UntrustedCertificate, ". Nothing was done"),
    (errors.UnknownHost, ". Nothing was done"),
    (errors.Unavailable, ". Nothing was done; try again later"),
    (errors.Overloaded, ". Nothing was done; try again later"),
    (errors.OutcomeUnknown, ". If the command changes something, it was perhaps done"),
)
"""Error class → what is added to its message, which then names the server. The first class that fits counts."""

_WORDS = (
    ('pass its file as ca="ca.pem"', "give its file with --ca"),
    ("pass token=, or set the variable SHARQ_TOKEN", "set SHARQ_TOKEN, --token or --profile"),
)
"""The client's advice to a program → the advice to a user of the command."""


class Failed(Exception):
    """A failure of a command that is not an error of the server, with its exit code and a message for people."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def wrong_usage(message: str) -> Failed:
    """Return the error for options or arguments that do not fit together."""
    return Failed(f"{message}. --help shows examples", Exit.USAGE)


def code_of(error: errors.SharqError) -> Exit:
    """Return the exit code for an error of the client."""
    return next((code for error_class, code in _CODES if isinstance(error, error_class)), Exit.FAILED)


def message_of(error: errors.SharqError, url: str) -> str:
    """Return the message for an error of the client, with the URL if that may be the cause, and with what to do.

    Args:
        url: the URL of the server, as the user gave it.
    """
    system = _system_reason(error)
    if type(error) is errors.Unavailable and system is not None:
        return f"cannot reach {url}: {system}. Nothing was done. {_REACH}"
    if isinstance(error, errors.Leased):
        return "a worker holds the job. --force cancels it all the same"
    text = error.message
    for advice, word in _WORDS:
        text = text.replace(advice, word)
    hint = next((hint for error_class, hint in _HINTS if isinstance(error, error_class)), None)
    if hint is None:
        return text
    return f"{text}{hint}" if "://" in text else f"{url}: {text}{hint}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _system_reason(error: errors.SharqError) -> str | None:
    """Return the reason of the operating system for which no connection was made; None if there is none."""
    for cause in _causes(error):
        if isinstance(cause, TimeoutError):
            return "no connection within half of the timeout"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return None
