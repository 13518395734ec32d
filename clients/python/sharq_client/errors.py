"""Defines the errors that the client raises, each with its wire code, its HTTP status and the state of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharq_client.streaming import EnqueueSummary


class SharqError(Exception):
    """The base of all errors. The message is for people and names the field in question.

    Attributes:
        code: the error code on the wire; each class has its own.
        status: the HTTP status; 0 for an error that no answer of a server stands for.
        perhaps_done: True if the work may have been done; False if certainly nothing changed.
        retry_after_s: the seconds after which a retry makes sense; None if a retry cannot help.
    """

    code: str = "internal_error"
    status: int = 500
    perhaps_done: bool = True
    retry_after_s: int | None = None

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
        self.message = message


class InvalidRequest(SharqError, code="invalid_request", status=400):
    """The request is wrong, and the message names the field. Nothing was done."""


class Unauthorized(SharqError, code="unauthorized", status=401):
    """The request has no token, or an unknown one. Nothing was done."""


class Forbidden(SharqError, code="forbidden", status=403):
    """The token does not permit the request, or this page or host name does not. Nothing was done."""


class NotFound(SharqError, code="not_found", status=404):
    """The queue, job or path does not exist. Nothing was done."""


class MethodNotAllowed(SharqError, code="method_not_allowed", status=405):
    """The path does not support the method. Nothing was done."""


class LeaseLost(SharqError, code="lease_lost", status=409):
    """Another lease of the job exists, or the job is dead or deleted. Nothing was done."""


class Leased(SharqError, code="leased", status=409):
    """A worker has the job, so it is not cancelled without force. Nothing was done."""


class NotWaiting(SharqError, code="not_waiting", status=409):
    """The job is leased, finished, dead, cancelled or expired, so it cannot be changed. Nothing was done."""


class BatchCancelled(SharqError, code="batch_cancelled", status=409):
    """The batch of the job was cancelled, so it takes no further jobs. Nothing was done."""


class TooManyWindows(SharqError, code="too_many_windows", status=409):
    """A dead letter whose queue has waiting or leased jobs of as many other windows as it may. Nothing was done."""


class WindowUsed(SharqError, code="window_used", status=409):
    """Jobs or settings use the window, so it is not deleted. Nothing was done."""


class Duplicate(SharqError, code="duplicate", status=409):
    """A live job has this id. Nothing was done."""


class TooSlow(SharqError, code="too_slow", status=408):
    """The body did not arrive in time. Nothing was done."""


class UnsupportedEncoding(SharqError, code="unsupported_encoding", status=415):
    """The server does not support the encoding of the body. Nothing was done."""


class TooLarge(SharqError, code="too_large", status=413):
    """The payload or the body is longer than its limit. Nothing was done."""


class QueueFull(SharqError, code="queue_full", status=429):
    """The queue has as many jobs as the enqueue allows. Nothing was done.

    The client does not retry it by itself, and `retry_after_s` is None: when there is room depends on the rate of the
    queue and on its workers.

    Attributes:
        queue_length: the number of queued and delayed jobs at the refusal.
    """

    def __init__(self, queue_length: int) -> None:
        super().__init__("Max queue length reached")
        self.queue_length = queue_length


class Overloaded(SharqError, code="overloaded", status=429, retry_after_s=1):
    """The server has reached its limit of work in flight. Nothing was done; try again, or at another router."""


class Unavailable(SharqError, code="unavailable", status=503, retry_after_s=1):
    """The store or the shard is unreachable or refused the call. Nothing was done."""


class UnknownHost(Unavailable, code="unknown_host", status=503, retry_after_s=1):
    """The name of the server's host is not known. Nothing was done. A client does not retry it; a worker goes on."""


class OutcomeUnknown(SharqError, code="outcome_unknown", status=504, perhaps_done=True, retry_after_s=1):
    """The call was sent and no answer came, so it may have been done. Retry it with the same ids."""


class StoreFull(SharqError, code="store_full", status=507):
    """The store's memory is full, so it accepts no more jobs; dequeue and finish still work. Nothing was done."""


class WrongUrl(SharqError, code="wrong_url", status=0):
    """The URL leads to something else than the API of a SHARQ server. Nothing was done."""


class UntrustedCertificate(SharqError, code="untrusted_certificate", status=0):
    """The server's certificate is not trusted, has expired or is for another host. Nothing was sent."""


class EnqueueStopped(SharqError, code="enqueue_stopped", status=0):
    """A stream of jobs ended early, because no server took its calls. The error that ended it is its cause.

    Attributes:
        summary: the numbers of the jobs that have their answer.
        resume_at: the index of the first job without an answer. Send the stream again from there, or from its
            beginning, with the same job_ids and `repeat=True`: no job is lost, and none is queued twice.
        perhaps_done: True if jobs from `resume_at` on may have been queued.
    """

    def __init__(self, summary: EnqueueSummary, resume_at: int, cause: SharqError) -> None:
        super().__init__(f"stopped after {summary.sent} jobs, resume at index {resume_at}: {cause.message}")
        self.summary = summary
        self.resume_at = resume_at
        self.perhaps_done = cause.perhaps_done
        self.retry_after_s = cause.retry_after_s


class IncompleteList(SharqError, code="incomplete_list", status=0):
    """A list has ended without the entries of some partitions, whose data in the store is broken.

    It is raised after the last entry that could be read. Trying again does not help before the store is repaired.

    Attributes:
        partitions: the numbers of these partitions, sorted.
    """

    def __init__(self, partitions: list[int]) -> None:
        numbers = ", ".join(map(str, partitions))
        super().__init__(
            f"the list is without partition {numbers}: the data there is broken; see the log of the shard"
        )
        self.partitions = partitions


_BY_CODE: dict[str, type[SharqError]] = {
    error_class.code: error_class
    for error_class in SharqError.__subclasses__()
    if error_class not in {QueueFull, EnqueueStopped, IncompleteList}
}


def from_code(code: str, message: str, queue_length: int = 0) -> SharqError:
    """Return the error for the server's error code. An unknown code counts as perhaps done.

    Args:
        queue_length: the length of a full queue; unused for other errors.
    """
    if code == QueueFull.code:
        return QueueFull(queue_length)
    return _BY_CODE.get(code, SharqError)(message)
