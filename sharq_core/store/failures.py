"""What the store's driver and the store's own refusals mean in our error tree: did it happen, or not? And why, in words
that say neither where the store is nor who we are there: they reach every client.
"""

from __future__ import annotations

import re

import redis.exceptions as driver

from sharq_core.errors import SharqError, StoreFull, Unavailable
from sharq_core.logs.reasons import why_unreachable


class FunctionMissing(Unavailable):
    """The server does not have the function library (it was restarted without persistence). Nothing was done."""


class CallFailed(SharqError):
    """A function failed at what it found in the keys of its partition, as at one of a wrong type. Perhaps done.

    The server works, and so do its other partitions.
    """


class Misplaced(Unavailable):
    """The server may not run the call now: another holds its keys, they are on their way, or it is a replica.

    Nothing was done, so it may be sent again as soon as somebody is in charge.
    """


class OtherData(Unavailable):
    """The server holds another data set than the call is meant for, or none. Nothing was done."""


class NotPermitted(Unavailable):
    """The store's user may not do this. Nothing was done."""


class Leaderless(Unavailable):
    """Nobody says which server is in charge. Nothing was done.

    Attributes:
        detail: who said what, with addresses, for the log.
    """

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


class WritesRefused(Unavailable):
    """The store does not write what it cannot put on its disk, which is full or broken. Nothing was done."""


class Redirected(Misplaced):
    """Another server holds the call's slot, or has got its keys already. Nothing was done.

    Attributes:
        host: where; empty for the host of the server that said so.
        is_lasting: the whole slot is there (MOVED); False for this call alone, with ASKING before it (ASK).
    """

    def __init__(self, message: str, host: str, port: int, is_lasting: bool) -> None:
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
    "BUSY": "it is busy with a script that does not end",
    "CLUSTERDOWN": "its Redis Cluster is down",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "MISCONF": "it cannot save its data, so it takes no writes",
    "NOAUTH": "it asks for a password, and none was given",
    "NOPERM": "the user may not do what is needed",
    "NOREPLICAS": "too few replicas follow it",
    "READONLY": "it is a replica, and takes no writes",
    "TRYAGAIN": "the keys are on their way to another server",
    "UNKILLABLE": "it is busy with a script that does not end",
    "WRONGPASS": "it does not know this user, or the password is another",
}
"""What the first word of a refusal means."""

_WORDS_OF_CLASSES = (
    (driver.BusyLoadingError, "LOADING"),
    (driver.ReadOnlyError, "READONLY"),
    (driver.MasterDownError, "MASTERDOWN"),
    (driver.ClusterDownError, "CLUSTERDOWN"),
    (driver.TryAgainError, "TRYAGAIN"),
    (driver.NoPermissionError, "NOPERM"),
)
"""The driver takes the first word away from what it has a class for."""

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
    ("max number of clients reached", "it has as many clients as it may have"),
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
    """Our error for an error that the server answered.

    Unavailable where it refused before it started (Misplaced where another server would not), StoreFull where its
    memory is full, CallFailed (perhaps done) for what it should never say.
    """
    text = str(error)
    if isinstance(error, driver.AskError):
        is_lasting = isinstance(error, driver.MovedError)
        return Redirected(
            "another server of the store has the slot", _host(error.host), error.port, is_lasting
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
    """Return what a refusal means, with its own first word; that word alone if nobody knows what it means."""
    text = str(error)
    low = text.lower()
    found = [word for kind, word in _WORDS_OF_CLASSES if isinstance(error, kind)]
    found += [word for part, word in _WORDS_OF_TEXTS if part in low]
    word = next(iter(found), text.partition(" ")[0])
    if word in _WHY:
        return f"{_WHY[word]} ({word})"
    known = next((why for part, why in _WHY_BY_TEXT if part in low), None)
    return known or (word if word.isupper() and word.isalpha() else "it does not say why in known words")


def why_away(error: Exception, timeout_s: float | None = None) -> str:
    """Return why a server cannot be reached, or does not let us in.

    Args:
        timeout_s: for how long it was waited for.
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
    """Return what an error of ours says of the store, without its beginning."""
    return why_of(error.message)


def why_of(message: str) -> str:
    """Return the message of such an error without its beginning."""
    return message.removeprefix(_REFUSES).removeprefix(CANNOT_BE_REACHED)


def detail_of(error: SharqError) -> str | None:
    """Return what the log says instead of the error's message; None for the message."""
    return error.detail if isinstance(error, Leaderless) else None


def is_refusal(error: object) -> bool:
    """Return True for the error of a server that answers and does not do what it is asked.

    A server that only writes nothing is no such one: it can be read, and shard/data_identity/guard.py says why.
    """
    if not isinstance(error, Unavailable) or isinstance(error, WritesRefused):
        return False
    return error.message.startswith(_REFUSES) and not _is_passing(error)


def _is_passing(error: Unavailable) -> bool:
    """A slot is on its way, which every move of one shows for a moment."""
    return error.message.endswith("(TRYAGAIN)")


def _kind_of(error: Exception, word: str) -> type[Unavailable]:
    if word == "MISCONF":
        return WritesRefused
    return NotPermitted if isinstance(error, driver.NoPermissionError) else Unavailable


def _what_is_lost(text: str) -> Unavailable | None:
    """The error for a server that lacks the library or the data; None for one that says neither."""
    if "Function not found" in text:
        return FunctionMissing("the store lost the function library")
    if text.startswith("OTHERDATA "):
        return OtherData("the store may have lost its data, which is being looked at: nothing was done")
    return None


def _host(text: str) -> str:
    """A redirection's host; a server that knows no name for another says `?` or nothing."""
    return "" if text == "?" else text
