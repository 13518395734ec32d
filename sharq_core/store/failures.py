"""What the store's driver and the store's own refusals mean in our error tree: did it happen, or not?"""

from __future__ import annotations

import redis.exceptions as driver

from sharq_core.errors import SharqError, StoreFull, Unavailable


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
        return Redirected(f"the slot is at {error.node_addr}", _host(error.host), error.port, is_lasting)
    if isinstance(error, _MISPLACED_CLASSES) or "cannot be used with replica instances" in text:
        return Misplaced(f"the store refuses: {text}")
    word = text.partition(" ")[0]
    if isinstance(error, driver.OutOfMemoryError) or word == "OOM":
        return StoreFull("the store's memory is full: it takes no more jobs until some are finished")
    if (lost := _what_is_lost(text)) is not None:
        return lost
    if word in _REFUSED or isinstance(error, _REFUSED_CLASSES):
        return _kind_of(error, word)(f"the store refuses: {text}")
    return CallFailed(f"the store failed: {text}")


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
