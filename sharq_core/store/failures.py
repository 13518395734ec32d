"""Translates the errors of the driver and the refusals of the store into our errors, which say if the work happened.

The reasons name neither the store's address nor our user, because they reach every client.
"""

from __future__ import annotations

import re

import redis.exceptions as driver

from sharq_core.errors import SharqError, StoreFull, Unavailable
from sharq_core.logs.reasons import why_unreachable


class FunctionMissing(Unavailable):
    """A server without the function library (it was restarted without persistence). Nothing was done."""


class CallFailed(SharqError):
    """A function that failed at the content of its partition's keys, such as a wrong type. Perhaps done.

    The server works, and so do its other partitions.
    """


class Misplaced(Unavailable):
    """A server that may not run the call now: another holds its keys, they are moving, or it is a replica.

    Nothing was done, so the call may be sent again as soon as a server is in charge.
    """


class OtherData(Unavailable):
    """A server that holds another data set than the call is meant for, or none. Nothing was done."""


class NotPermitted(Unavailable):
    """A refusal for lack of permission of the store's user. Nothing was done."""


class Leaderless(Unavailable):
    """No server is known to be in charge. Nothing was done.

    Attributes:
        detail: the answers of each Sentinel with addresses, for the log.
    """

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


class WritesRefused(Unavailable):
    """A store that refuses writes because its disk is full or broken. Nothing was done."""


class Redirected(Misplaced):
    """Another server holds the call's slot, or has its keys already. Nothing was done.

    Attributes:
        host: the other server's host; empty for the host of the server that answered.
        is_lasting: the whole slot is there (MOVED); False for this call alone, with ASKING before it (ASK).
    """

    def __init__(self, message: str, host: str, port: int, *, is_lasting: bool) -> None:
        super().__init__(message)
        self.host = host
        self.port = port
        self.is_lasting = is_lasting


# Refusals that the server gives before a function starts, by the first word of its message.
_REFUSED = frozenset(
    {
        "BUSY",
        "LOADING",
        "MISCONF",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "UNKILLABLE",
        "WRONGPASS",
    }
)

_WHY = {
    "BUSY": "it is busy with a long-running script",
    "CLUSTERDOWN": "its Redis Cluster is down",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "MISCONF": "it cannot save its data, so it takes no writes",
    "NOAUTH": "it asks for a password, and none was given",
    "NOPERM": "the user lacks a needed permission",
    "NOREPLICAS": "too few replicas follow it",
    "READONLY": "it is a replica, and takes no writes",
    "TRYAGAIN": "the keys are moving to another server",
    "UNKILLABLE": "it is busy with a long-running script",
    "WRONGPASS": "the user is unknown or the password is wrong",
}
"""The meaning of a refusal's first word."""

_WORDS_OF_CLASSES = (
    (driver.BusyLoadingError, "LOADING"),
    (driver.ReadOnlyError, "READONLY"),
    (driver.MasterDownError, "MASTERDOWN"),
    (driver.ClusterDownError, "CLUSTERDOWN"),
    (driver.TryAgainError, "TRYAGAIN"),
    (driver.NoPermissionError, "NOPERM"),
)
"""The first word of each refusal from which the driver strips it and for which it has a class."""

_WORDS_OF_TEXTS = (
    ("invalid username-password", "WRONGPASS"),
    ("invalid password", "WRONGPASS"),
    ("authentication required", "NOAUTH"),
    ("cannot be used with replica instances", "READONLY"),
)
_WHY_BY_TEXT = (
    ("without any password configured", "a password was given, and it has none (AUTH)"),
    ("no password is set", "a password was given, and it has none (AUTH)"),
    ("db index is out of range", "it has no database of that number (SELECT)"),
    ("invalid database", "it has no database of that number (SELECT)"),
    ("select is not allowed in cluster mode", "a Redis Cluster has database 0 only (SELECT)"),
    ("max number of clients reached", "its limit of clients is reached"),
    (
        "connection closed by server",
        "it closed the connection",
    ),
    ("protocol error", "it does not speak the Redis protocol there; perhaps it expects TLS"),
)

_REFUSES = "the store refuses: "
CANNOT_BE_REACHED = "the store cannot be reached: "

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-fA-F:.]+\](?::\d+)?")

_REFUSED_CLASSES = (
    driver.AuthenticationError,
    driver.AuthorizationError,
    driver.BusyLoadingError,
    driver.NoPermissionError,
)

_MISPLACED_CLASSES = (
    driver.ClusterDownError,
    driver.MasterDownError,
    driver.ReadOnlyError,
    driver.TryAgainError,
)


def refusal(error: Exception) -> SharqError:
    """Return our error for an error that the server answered.

    The result is Unavailable if the server refused before it started (Misplaced if another server would not), StoreFull
    if its memory is full, and CallFailed (perhaps done) for anything unexpected.
    """
    text = str(error)
    if isinstance(error, driver.AskError):
        is_lasting = isinstance(error, driver.MovedError)
        return Redirected(
            "another server of the store has the slot", _host(error.host), error.port, is_lasting=is_lasting
        )
    if isinstance(error, _MISPLACED_CLASSES) or "cannot be used with replica instances" in text:
        return Misplaced(f"{_REFUSES}{why_refused(error)}")
    word = text.partition(" ")[0]
    if isinstance(error, driver.OutOfMemoryError) or word == "OOM":
        return StoreFull("the store's memory is full: it takes no more jobs until some are finished")
    if (lost := _what_is_lost(text)) is not None:
        return lost
    if word in _REFUSED or isinstance(error, _REFUSED_CLASSES):
        return _kind_of(error, word)(f"{_REFUSES}{why_refused(error)}")
    return CallFailed(f"the store failed: {_ADDRESS.sub('(address)', text)}")


def why_refused(error: Exception) -> str:
    """Return the meaning of a refusal with its first word; that word alone if its meaning is unknown."""
    text = str(error)
    low = text.lower()
    candidates = [word for error_class, word in _WORDS_OF_CLASSES if isinstance(error, error_class)]
    candidates += [word for part, word in _WORDS_OF_TEXTS if part in low]
    word = next(iter(candidates), text.partition(" ")[0])
    if word in _WHY:
        return f"{_WHY[word]} ({word})"
    reason = next((why for part, why in _WHY_BY_TEXT if part in low), None)
    return reason or (word if word.isupper() and word.isalpha() else "for an unknown reason")


def why_away(error: Exception, timeout_s: float | None = None) -> str:
    """Return why a server cannot be reached, or refuses the connection.

    Args:
        timeout_s: the time that was waited for it, in seconds.
    """
    if isinstance(error, SharqError):
        return why(error)
    if isinstance(error.__cause__, SharqError):
        return why(error.__cause__)
    if isinstance(error, TimeoutError):
        return "no answer in time" if timeout_s is None else f"no answer within {timeout_s:.3g} s"
    text = str(error).lower()
    if isinstance(error, (*_REFUSED_CLASSES, driver.ResponseError)):
        return why_refused(error)
    if (reason := why_unreachable(error)) is not None:
        return reason
    by_text = next((why for part, why in _WHY_BY_TEXT if part in text), None)
    return by_text or f"the connection failed ({type(error).__name__})"


def why(error: SharqError) -> str:
    """Return the reason in one of our errors about the store, without its beginning."""
    return why_of(error.message)


def why_of(message: str) -> str:
    """Return the message of such an error without its beginning."""
    return message.removeprefix(_REFUSES).removeprefix(CANNOT_BE_REACHED)


def detail_of(error: SharqError) -> str | None:
    """Return the text for the log that replaces the error's message; None for the message itself."""
    return error.detail if isinstance(error, Leaderless) else None


def is_refusal(error: object) -> bool:
    """Return True for the error of a server that answers and refuses its work.

    A server that refuses writes only does not count: it can be read, and shard/data_identity/guard.py reports it.
    """
    if not isinstance(error, Unavailable) or isinstance(error, WritesRefused):
        return False
    return error.message.startswith(_REFUSES) and not _is_passing(error)


def _is_passing(error: Unavailable) -> bool:
    """Return True while a slot is moving, which every move causes for a moment."""
    return error.message.endswith("(TRYAGAIN)")


def _kind_of(error: Exception, word: str) -> type[Unavailable]:
    if word == "MISCONF":
        return WritesRefused
    return NotPermitted if isinstance(error, driver.NoPermissionError) else Unavailable


def _what_is_lost(text: str) -> Unavailable | None:
    """Return the error for a server that lacks the library or the data; None for any other answer."""
    if "Function not found" in text:
        return FunctionMissing("the store lost the function library")
    if text.startswith("OTHERDATA "):
        return OtherData("the store may have lost its data, which is being checked: nothing was done")
    return None


def _host(text: str) -> str:
    """Return a redirection's host; a server that knows no name for another one answers `?` or nothing."""
    return "" if text == "?" else text
