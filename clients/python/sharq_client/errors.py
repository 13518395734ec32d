"""The errors that the client raises. Each class says its wire code, its HTTP status and whether the work may have been
done.

Not here: how an answer or a broken connection becomes one of these (failures.py).
"""

from __future__ import annotations

from typing import ClassVar


class SharqError(Exception):
    """Something the caller must act on. The message is for a person and names the field it is about.

    Attributes:
        code: the word on the wire; one class has one code.
        status: the HTTP status.
        perhaps_done: True when the work may have been done; False when certainly nothing changed.
        retry_after_s: seconds after which a repeat makes sense, or None where repeating cannot help.
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
    """No token, or an unknown one. Nothing was done."""

    code = "unauthorized"
    status = 401
    perhaps_done = False


class Forbidden(SharqError):
    """The token is known but may not do this. Nothing was done."""

    code = "forbidden"
    status = 403
    perhaps_done = False


class NotFound(SharqError):
    """The queue, job or path does not exist. Nothing was done."""

    code = "not_found"
    status = 404
    perhaps_done = False


class MethodNotAllowed(SharqError):
    """The path exists, the method does not. Nothing was done."""

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
    """The body did not come in time. Nothing was done."""

    code = "too_slow"
    status = 408
    perhaps_done = False


class UnsupportedEncoding(SharqError):
    """The body is encoded in a way that the server does not read. Nothing was done."""

    code = "unsupported_encoding"
    status = 415
    perhaps_done = False


class TooLarge(SharqError):
    """The payload or the body is over its limit. Nothing was done."""

    code = "too_large"
    status = 413
    perhaps_done = False


class QueueFull(SharqError):
    """The queue holds as many jobs as the enqueue allows. Nothing was done.

    Attributes:
        queue_length: jobs queued and delayed when it was refused.
    """

    code = "queue_full"
    status = 429
    perhaps_done = False

    def __init__(self, queue_length: int) -> None:
        super().__init__("Max queue length reached")
        self.queue_length = queue_length


class Overloaded(SharqError):
    """The server holds as much unfinished work as it may. Nothing was done; try again, or elsewhere."""

    code = "overloaded"
    status = 429
    perhaps_done = False
    retry_after_s = 1


class Unavailable(SharqError):
    """The store or the shard cannot be reached, or refused before it started. Nothing was done."""

    code = "unavailable"
    status = 503
    perhaps_done = False
    retry_after_s = 1


class OutcomeUnknown(SharqError):
    """The call was sent and no answer came: it may have been done. Repeat it with the same ids."""

    code = "outcome_unknown"
    status = 504
    perhaps_done = True
    retry_after_s = 1


class StoreFull(SharqError):
    """The store's memory is full, so it takes no more jobs; dequeue and finish go on. Nothing was done."""

    code = "store_full"
    status = 507
    perhaps_done = False


_BY_CODE: dict[str, type[SharqError]] = {
    kind.code: kind for kind in SharqError.__subclasses__() if kind is not QueueFull
}


def from_code(code: str, message: str, queue_length: int = 0) -> SharqError:
    """Return the error that the server named by its code; an unknown code counts as perhaps done.

    Args:
        queue_length: the length of a full queue; other errors have no use for it.
    """
    if code == QueueFull.code:
        return QueueFull(queue_length)
    return _BY_CODE.get(code, SharqError)(message)
