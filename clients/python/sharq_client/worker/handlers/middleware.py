"""Middleware: functions of the application that run around every handler, for logs, metrics and traces."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from sharq_client.worker.handlers import kinds
from sharq_client.worker.handlers.kinds import Unfit

CallNext: TypeAlias = Callable[[Any], Awaitable[object]]
"""The rest of a call: further middleware, then the handler. It returns or raises what the handler does."""

Middleware: TypeAlias = Callable[[Any, CallNext], Awaitable[object]]
"""An `async def` function `(job, call_next)` that runs around every handler, those in threads, too. It calls
`await call_next(job)` and returns what that returned. Around a batch handler `job` is the list of its jobs.
"""


def check_middleware(middleware: object) -> None:
    """Raise Unfit unless it is an `async def` function that takes a job and what to call next."""
    expected = "middleware: expected an `async def` function that takes the job and call_next"
    if not callable(middleware) or not kinds.is_coroutine_function(middleware):
        raise Unfit(f"{expected}, got {kinds.name_of(middleware)}")
    try:
        inspect.signature(middleware).bind(None, None)
    except TypeError as error:
        raise Unfit(f"{expected}, got {kinds.name_of(middleware)}: {error}") from None


def wrap(call: CallNext, middleware: Sequence[Middleware]) -> CallNext:
    """Return a call with middleware around it. The first one is the outermost."""
    for each in reversed(middleware):
        call = _around(each, call)
    return call


def _around(middleware: Middleware, call_next: CallNext) -> CallNext:
    return lambda job: middleware(job, call_next)
