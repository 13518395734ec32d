"""Defines the errors that the client raises, each with its wire code, its HTTP status and the state of the work.

Not here: turning a response or a broken connection into an error (failures.py).
"""

from __future__ import annotations

from typing import ClassVar


class SharqError(Exception):
    """The base of all errors. The message is for people and names the field in question.

    Attributes:
        code: the error code on the wire; each class has its own.
        status: the HTTP status.
        perhaps_done: True if the work may have been done; False if certainly nothing changed.
        retry_after_s: the seconds after which a retry makes sense; None if a retry cannot help.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    perhaps_done: ClassVar[bool] = True
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(SharqError):
    """The request is wrong, and the message names the field. Nothing was done."""

    code = "invalid_request"
    status = 400
    perhaps_done = False


class Unauthorized(SharqError):
    """The request has no token, or an unknown one. Nothing was done."""

    code = "unauthorized"
    status = 401
    perhaps_done = False


class Forbidden(SharqError):
    """The request is not permitted from this page or under this host name. Nothing was done."""

    code = "forbidden"
    status = 403
    perhaps_done = False


class NotFound(SharqError):
    """The queue, job or path does not exist. Nothing was done."""

    code = "not_found"
    status = 404
    perhaps_done = False


class MethodNotAllowed(SharqError):
    """The path does not support the method. Nothing was done."""

    code = "method_not_allowed"
    status = 405
    perhaps_done = False


class LeaseLost(SharqError):
    """Another lease of the job exists, or the job is dead or deleted. Nothing was done."""

    code = "lease_lost"
    status = 409
    perhaps_done = False


class Duplicate(SharqError):
    """A live job has this id. Nothing was done."""

    code = "duplicate"
    status = 409
    perhaps_done = False


class TooSlow(SharqError):
    """The body did not arrive in time. Nothing was done."""

    code = "too_slow"
    status = 408
    perhaps_done = False


class UnsupportedEncoding(SharqError):
    """The server does not support the encoding of the body. Nothing was done."""

    code = "unsupported_encoding"
    status = 415
    perhaps_done = False


class TooLarge(SharqError):
    """The payload or the body is longer than its limit. Nothing was done."""

    code = "too_large"
    status = 413
    perhaps_done = False


class QueueFull(SharqError):
    """The queue has as many jobs as the enqueue allows. Nothing was done.

    Attributes:
        queue_length: the number of queued and delayed jobs at the refusal.
    """

    code = "queue_full"
    status = 429
    perhaps_done = False

    def __init__(self, queue_length: int) -> None:
        super().__init__("Max queue length reached")
        self.queue_length = queue_length


class Overloaded(SharqError):
    """The server has reached its limit of work in flight. Nothing was done; try again, or at another router."""

    code = "overloaded"
    status = 429
    perhaps_done = False
    retry_after_s = 1


class Unavailable(SharqError):
    """The store or the shard is unreachable or refused the call. Nothing was done."""

    code = "unavailable"
    status = 503
    perhaps_done = False
    retry_after_s = 1


class OutcomeUnknown(SharqError):
    """The call was sent and no answer came, so it may have been done. Retry it with the same ids."""

    code = "outcome_unknown"
    status = 504
    perhaps_done = True
    retry_after_s = 1


class StoreFull(SharqError):
    """The store's memory is full, so it accepts no more jobs; dequeue and finish still work. Nothing was done."""

    code = "store_full"
    status = 507
    perhaps_done = False


_BY_CODE: dict[str, type[SharqError]] = {
    error_class.code: error_class
    for error_class in SharqError.__subclasses__()
    if error_class is not QueueFull
}


def from_code(code: str, message: str, queue_length: int = 0) -> SharqError:
    """Return the error for the server's error code. An unknown code counts as perhaps done.

    Args:
        queue_length: the length of a full queue; unused for other errors.
    """
    if code == QueueFull.code:
        return QueueFull(queue_length)
    return _BY_CODE.get(code, SharqError)(message)
