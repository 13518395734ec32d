"""Turns failures on the wire into the error classes of sharq_client.errors, and decides on retries.

The rule of retries uses two attributes of the class: `retry_after_s` (a retry can help) and `perhaps_done`.
"""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from sharq_client import errors

_CODE_OF_STATUS = {
    401: errors.Unauthorized.code,
    403: errors.Forbidden.code,
    404: errors.NotFound.code,
    405: errors.MethodNotAllowed.code,
    408: errors.TooSlow.code,
    413: errors.TooLarge.code,
    415: errors.UnsupportedEncoding.code,
    429: errors.Overloaded.code,
    503: errors.Unavailable.code,
}
"""The error code for a status without the API's JSON, as a proxy sends it."""


class NothingReady(errors.NotFound):
    """The error of a dequeue that found no ready job (404 without a code). Nothing was done."""


class Failure(msgspec.Struct, frozen=True):
    """A failure as the API sends it. The code is empty if a dequeue found no ready job."""

    status: Literal["failure"]
    code: str = ""
    message: str = ""
    queue_length: int = msgspec.field(default=0, name="current_queue_length")


def to_error(failure: Failure) -> errors.SharqError:
    """Return the error for the server's error code."""
    return errors.from_code(failure.code, failure.message, failure.queue_length)


def from_answer(status: int, body: bytes) -> errors.SharqError:
    """Return the error for a response of status 400 or above, from the server or a proxy."""
    try:
        failure = msgspec.json.decode(body, type=Failure)
    except msgspec.DecodeError:
        unknown = errors.InvalidRequest.code if status < 500 else errors.OutcomeUnknown.code
        return errors.from_code(_CODE_OF_STATUS.get(status, unknown), f"answered {status} without a reason")
    if status == NothingReady.status and not failure.code:
        return NothingReady("nothing is ready")
    return to_error(failure)


def may_repeat(error: errors.SharqError, *, is_safe_twice: bool) -> bool:
    """Return True if a retry can help and is safe: the call is idempotent, or was certainly not done."""
    return error.retry_after_s is not None and (is_safe_twice or not error.perhaps_done)


def pause_s(error: errors.SharqError, tries: int) -> float:
    """Return the pause in seconds after `tries` (1 or more) failed tries. It doubles from Retry-After to 8 times that.

    A random factor from 1.0 to 1.5 keeps clients that failed together from retrying together.
    """
    return (error.retry_after_s or 1) * min(2.0 ** (tries - 1), 8.0) * random.uniform(1.0, 1.5)
