"""Defines the error tree. Each class has its wire code, its HTTP status and states whether the work may have happened.

The JSON body of an error is built in router/http/errors.py; store/failures.py translates the errors of the store's
driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self


class SharqError(Exception):
    """A failure that the caller must act on. Its message is for a person and names the field at fault.

    Attributes:
        code: the error code on the wire.
        status: the HTTP status.
        perhaps_done: True if the work may have been done; False if certainly nothing changed.
        retry_after_s: seconds after which a retry makes sense, or None if a retry cannot help.
        is_away: True if the node that was asked cannot reach its store; another node may reach it.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    perhaps_done: ClassVar[bool] = True
    retry_after_s: ClassVar[int | None] = None
    is_away: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        *,
        code: str = "",
        status: int = 500,
        perhaps_done: bool = False,
        retry_after_s: int | None = None,
    ) -> None:
        """Set the attributes of a class that has a code of its own; other classes inherit them."""
        super().__init_subclass__()
        if code:
            cls.code, cls.status = code, status
            cls.perhaps_done, cls.retry_after_s = perhaps_done, retry_after_s

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """Return the message. It is not kept a second time: a bulk's thousand errors are pickled between processes."""
        return str(self.args[0])

    def bare(self) -> Self:
        """Return this error without traceback, context and cause, so that it can be kept as a value.

        A traceback refers to the frames that hold the list of errors, which makes reference cycles. Only the garbage
        collector frees these, and collecting a few lists of a thousand errors stops the process for 100 ms.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


class InvalidRequest(SharqError, code="invalid_request", status=400):
    """An invalid request; the message names the field. Nothing was done."""


class Unauthorized(SharqError, code="unauthorized", status=401):
    """A missing or unknown token. Nothing was done."""


class Forbidden(SharqError, code="forbidden", status=403):
    """A forbidden request: the token does not permit it, or the web page or the host name. Nothing was done."""


class NotFound(SharqError, code="not_found", status=404):
    """A queue, job or path that does not exist. Nothing was done."""


class MethodNotAllowed(SharqError, code="method_not_allowed", status=405):
    """A method that an existing path does not support. Nothing was done."""

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class LeaseLost(SharqError, code="lease_lost", status=409):
    """A lease that no longer counts: the job has a newer lease, is dead or was deleted. Nothing was done."""


class Duplicate(SharqError, code="duplicate", status=409):
    """A job id that a live job has already. Nothing was done."""


class JobLeased(SharqError, code="leased", status=409):
    """A job that a worker holds, so that it is not cancelled without `force`. Nothing was done."""


class NotWaiting(SharqError, code="not_waiting", status=409):
    """A job that is not queued or delayed, so that it cannot be changed. Nothing was done."""


class BatchCancelled(SharqError, code="batch_cancelled", status=409):
    """A job or a dead letter whose batch was cancelled. Nothing was done."""


class TooManyWindows(SharqError, code="too_many_windows", status=409):
    """A dead letter whose queue has waiting or leased jobs of as many other windows as it may. Nothing was done."""


class WindowUsed(SharqError, code="window_used", status=409):
    """A window that jobs or settings use, so that it is not deleted. Nothing was done."""


class TooSlow(SharqError, code="too_slow", status=408):
    """A request body that did not arrive in time. Nothing was done."""


class TooLarge(SharqError, code="too_large", status=413):
    """A payload or a body above its size limit. Nothing was done."""


class UnsupportedEncoding(SharqError, code="unsupported_encoding", status=415):
    """A body with an unsupported Content-Encoding. Nothing was done."""


class QueueFull(SharqError, code="queue_full", status=429):
    """A queue that holds as many jobs as the enqueue allows. Nothing was done.

    Attributes:
        queue_length: number of queued and delayed jobs when the enqueue was refused.
    """

    def __init__(self, queue_length: int) -> None:
        super().__init__("Max queue length reached")
        self.queue_length = queue_length


class Overloaded(SharqError, code="overloaded", status=429, retry_after_s=1):
    """A process at its limit of unfinished work. Nothing was done; retry here or on another process."""


class Unavailable(SharqError, code="unavailable", status=503, retry_after_s=1):
    """A store or shard that cannot be reached, or that refused the call before it started. Nothing was done."""


class OutcomeUnknown(SharqError, code="outcome_unknown", status=504, perhaps_done=True, retry_after_s=1):
    """A call that was sent and not answered: it may have been done. Repeat it with the same ids."""


class StoreAway(Unavailable):
    """A node that cannot reach the store. Nothing was done; another node may reach it."""

    is_away = True


class StoreSilent(OutcomeUnknown):
    """A call that a node sent to the store before it lost contact: it may have been done. Another node may reach it."""

    is_away = True


class StoreFull(SharqError, code="store_full", status=507):
    """A store without free memory: it refuses new jobs; dequeue and finish still work. Nothing was done."""


class ConfigError(Exception):
    """A configuration error; the message names file, section and key. The process exits with status 2."""


ERRORS: tuple[type[SharqError], ...] = tuple(
    sorted((SharqError, *SharqError.__subclasses__()), key=lambda error: (error.status, error.code))
)
"""The errors that have a code of their own, in the order of their statuses."""

_BY_CODE: dict[str, type[SharqError]] = {
    error.code: error for error in SharqError.__subclasses__() if error is not QueueFull
}

_AWAY_BY_CODE: dict[str, type[SharqError]] = {error.code: error for error in (StoreAway, StoreSilent)}


def from_code(code: str, message: str, queue_length: int = 0, *, is_away: bool = False) -> SharqError:
    """Return the error for a code that another process sent; an unknown code counts as perhaps done.

    Args:
        queue_length: number of jobs in the full queue; only QueueFull uses it.
        is_away: True if that process cannot reach its store.
    """
    if is_away and code in _AWAY_BY_CODE:
        return _AWAY_BY_CODE[code](message)
    if code == QueueFull.code:
        return QueueFull(queue_length)
    return _BY_CODE.get(code, SharqError)(message)
