"""What the store's driver and the store's own refusals mean in our error tree: did it happen, or not?"""

from __future__ import annotations

import redis.exceptions as driver

from sharq_core.errors import SharqError, StoreFull, Unavailable


class FunctionMissing(Unavailable):
    """The server does not have the function library (it was restarted without persistence). Nothing was done."""


# Refusals that the server gives before a function starts, by the first word of its message.
_REFUSED = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "ASK",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "READONLY",
        "TRYAGAIN",
        "UNKILLABLE",
        "WRONGPASS",
    }
)

_REFUSED_CLASSES = (
    driver.AskError,
    driver.AuthenticationError,
    driver.AuthorizationError,
    driver.BusyLoadingError,
    driver.ClusterDownError,
    driver.MasterDownError,
    driver.MovedError,
    driver.NoPermissionError,
    driver.ReadOnlyError,
    driver.TryAgainError,
)


def refusal(error: Exception) -> SharqError:
    """Our error for an error that the server answered.

    Unavailable where it refused before it started, StoreFull where its memory is full, SharqError (perhaps done) for
    what it should never say.
    """
    text = str(error)
    word = text.partition(" ")[0]
    if isinstance(error, driver.OutOfMemoryError) or word == "OOM":
        return StoreFull("the store's memory is full: it takes no more jobs until some are finished")
    if "Function not found" in text:
        return FunctionMissing("the store lost the function library")
    if word in _REFUSED or isinstance(error, _REFUSED_CLASSES):
        return Unavailable(f"the store refuses: {text}")
    return SharqError(f"the store failed: {text}")
