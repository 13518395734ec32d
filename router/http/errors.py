"""Turns exceptions into HTTP responses. It is the only place that does.

sharq_core/errors.py defines the codes and statuses; router/http/gateway.py catches the exceptions.
"""

from __future__ import annotations

import logging

import msgspec
from aiohttp import web
from msgspec import UNSET

from router.api.response_shapes import FailureAnswer
from router.http.response import JSON_HEADERS, Response
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
    """Return an error in the form of a response, or of one result of a bulk call."""
    length = error.queue_length if isinstance(error, QueueFull) else UNSET
    return FailureAnswer(code=error.code, message=error.message, current_queue_length=length)


def failure_answer(error: Exception, operation: str) -> Response:
    """Return the response for an exception. An unexpected exception is logged and answered with status 500."""
    headers = dict(JSON_HEADERS)
    api_error = _known(error)
    if api_error is None:
        _logger.error("request_failed operation=%s", operation, exc_info=error)
        api_error = SharqError("internal error; the request may have been carried out, see the server's log")
    if api_error.retry_after_s is not None:
        headers["Retry-After"] = str(api_error.retry_after_s)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="sharq"'
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = "gzip, deflate"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed))
    answer = Response(_encode(failed(api_error)), api_error.status, api_error.code, tuple(headers.items()))
    if isinstance(api_error, TooSlow):
        answer.force_close()
    return answer


def _known(error: Exception) -> SharqError | None:
    """Return the SharqError that corresponds to an exception; None if the exception is unexpected."""
    if isinstance(error, SharqError):
        return error
    if isinstance(error, web.HTTPClientError):
        return _of_aiohttp(error)
    if isinstance(error, web.RequestPayloadError | ConnectionError):
        return InvalidRequest("body: ended early or is not correctly encoded")
    return None


def _of_aiohttp(error: web.HTTPClientError) -> SharqError:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return TooLarge("body: longer than the limit")
    return InvalidRequest(error.reason)
