"""How a failure becomes an HTTP answer: the one place where exceptions meet JSON and status codes.

The codes and statuses themselves are in sharq_core/errors.py; what catches them is router/http/gateway.py.
"""

from __future__ import annotations

import logging

import msgspec
from aiohttp import web
from msgspec import UNSET

from router.http.response import JSON_HEADERS, FailureAnswer, Response
from sharq_core.errors import (
    InvalidRequest,
    MethodNotAllowed,
    QueueFull,
    SharqError,
    TooLarge,
    TooSlow,
    Unauthorized,
    UnsupportedEncoding,
)

_logger = logging.getLogger("sharq.router")
_encode = msgspec.json.Encoder().encode


def failed(error: SharqError) -> FailureAnswer:
    """An error as it stands in an answer, alone or as one result of a bulk call."""
    length = error.queue_length if isinstance(error, QueueFull) else UNSET
    return FailureAnswer(code=error.code, message=error.message, current_queue_length=length)


def failure_answer(error: Exception, operation: str) -> Response:
    """The answer for whatever ended a request; what is no error of ours is logged and answered with 500."""
    headers = dict(JSON_HEADERS)
    known = _known(error)
    if known is None:
        _logger.error("request_failed operation=%s", operation, exc_info=error)
        known = SharqError("an internal error; it may have been done, the log says more")
    if known.retry_after_s is not None:
        headers["Retry-After"] = str(known.retry_after_s)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="sharq"'
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = "gzip, deflate"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed))
    answer = Response(_encode(failed(known)), known.status, known.code, tuple(headers.items()))
    if isinstance(known, TooSlow):
        answer.force_close()
    return answer


def _known(error: Exception) -> SharqError | None:
    """The error of ours that says the same; None for what nobody foresaw."""
    if isinstance(error, SharqError):
        return error
    if isinstance(error, web.HTTPClientError):
        return _of_aiohttp(error)
    if isinstance(error, web.RequestPayloadError | ConnectionError):
        return InvalidRequest("body: ended early or is wrongly encoded")
    return None


def _of_aiohttp(error: web.HTTPClientError) -> SharqError:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TooLarge("body: longer than a request may be")
    return InvalidRequest(error.reason)
