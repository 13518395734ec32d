"""Maps errors to exit codes, and to messages for people that say what to do.

Not here: which exceptions end a command (guard.py catches them).
"""

from __future__ import annotations

import enum
import ssl
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
    (errors.Unauthorized, ". Set SHARQ_TOKEN, --token or --profile"),
    (errors.Forbidden, ""),
    (errors.WrongUrl, ""),
    (errors.MethodNotAllowed, ". Is that the URL of a SHARQ server?"),
    (errors.Unavailable, ". Nothing was done; try again later"),
    (errors.Overloaded, ". Nothing was done; try again later"),
    (errors.OutcomeUnknown, ". If the command changes something, it was perhaps done"),
)


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
    if _tls_reason(error) is not None:
        return Exit.UNREACHABLE
    return next((code for error_class, code in _CODES if isinstance(error, error_class)), Exit.FAILED)


def message_of(error: errors.SharqError, url: str) -> str:
    """Return the message for an error of the client, with the URL if that may be the cause, and with what to do.

    Args:
        url: the URL of the server, as the user gave it.
    """
    tls, system = _tls_reason(error), _system_reason(error)
    if tls is not None:
        return f"{url}: {tls}. Nothing was done"
    if isinstance(error, errors.Unavailable) and system is not None:
        return f"cannot reach {url}: {system}. Nothing was done. {_REACH}"
    if isinstance(error, errors.Leased):
        return "a worker holds the job. --force cancels it all the same"
    hint = next((text for error_class, text in _HINTS if isinstance(error, error_class)), None)
    return error.message if hint is None else f"{url}: {error.message}{hint}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tls_reason(error: errors.SharqError) -> str | None:
    """Return what is wrong with the TLS connection, and what to do; None if that is not the cause."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "Give the file of your own CA with --ca, or as ca in the profile"
            return f"the certificate is not trusted: {cause.verify_message}. {hint}"
        if isinstance(cause, ssl.SSLError):
            if cause.reason == "WRONG_VERSION_NUMBER":
                return "the server does not speak https; try http://"
            return f"no TLS connection: {cause.reason or cause}"
    return None


def _system_reason(error: errors.SharqError) -> str | None:
    """Return the reason of the operating system for which no connection was made; None if there is none."""
    for cause in _causes(error):
        if isinstance(cause, TimeoutError):
            return "no connection within half of the timeout"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return None
