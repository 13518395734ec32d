"""Classifies and runs handlers: an `async def` function runs on the event loop, a plain function in a worker thread.

Anything else is refused when the worker is created. Not here: leasing jobs (worker.py), and reporting outcomes
(outcomes.py).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, TypeAlias

from sharq_client.answers import LeasedJob
from sharq_client.requests import Types
from sharq_client.worker.results import RunningJob

Handler: TypeAlias = Callable[[RunningJob], object]
"""An `async def` function or a plain function, or a callable that behaves like one. An awaitable result is awaited. A
JobResult is kept with the finished job; any other result is ignored.
"""

_EXPECTED = "expected an `async def` function or a plain function that takes the job"


MAX_HOLD_S = 24 * 3600
"""The longest hold that the server accepts."""


class Throttled(Exception):
    """Raised by a handler whose receiver takes nothing for now, such as after a 429 with a Retry-After.

    The worker releases the job without counting the attempt, and holds its queue for the time.
    """

    def __init__(self, retry_after: float, *, holds_type: bool = False) -> None:
        """Say for how long the receiver takes nothing.

        Args:
            retry_after: seconds from now, 0 or more; more than 24 hours count as 24 hours.
            holds_type: True to hold all queues of the gathered type, not only the job's queue.

        Raises:
            ValueError: retry_after is negative or not a number.
        """
        if not retry_after >= 0:
            raise ValueError(f"retry_after: expected 0 seconds or more, got {retry_after}")
        super().__init__(f"retry after {retry_after} s")
        self.hold_ms = min(retry_after, MAX_HOLD_S) * 1000
        self.holds_type = holds_type


class Unfit(TypeError):
    """The error of a handler that can never handle a job."""


def by_type(queue_type: Types, handler: Handler | Mapping[str, Handler]) -> dict[str, Handler]:
    """Return the handler of each type.

    Raises:
        ValueError: there is no type, or a mapping of handlers has other types.
    """
    types = [queue_type] if isinstance(queue_type, str) else list(queue_type)
    if not types:
        raise ValueError("queue_type: expected a type, or a list of 1 to 16 types, got an empty list")
    if not isinstance(handler, Mapping):
        return dict.fromkeys(types, handler)
    if handler.keys() != set(types):
        raise ValueError(f"handler: expected one for each of {', '.join(types)}, got {', '.join(handler)}")
    return dict(handler)


def is_async(handler: object) -> bool:
    """Return True for a handler that runs on the event loop, False for one that runs in a thread.

    A partial, a bound method or an object with `__call__` counts as the function that it calls. A decorated function
    counts as the result of its decorator, because that is the function that runs.

    Raises:
        Unfit: it is neither kind of handler, or it does not take one argument.
    """
    # Unwrap partials, methods and objects down to the function that runs in the end.
    called: Any = handler
    while not inspect.isclass(called) and (inner := _called_by(called)) is not called:
        called = inner
    if not callable(handler) or inspect.isclass(called):
        what = f"the class {called.__qualname__}" if inspect.isclass(called) else repr(handler)
        raise Unfit(f"handler: {_EXPECTED}, got {what}")
    is_coroutine = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)
    if not is_coroutine and (inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)):
        raise Unfit(f"handler: {_EXPECTED}, got the generator function {_name(called)}: it would never run")
    _check_takes_one(handler)
    return is_coroutine


class Threads:
    """The threads of plain functions: as many as are needed at once, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(limit, thread_name_prefix="sharq-handler")
        self._leases: set[str] = set()

    async def run(self, handler: Handler, job: RunningJob) -> object:
        """Return the handler's result, or raise its exception. Cancelling this call does not end the thread."""
        loop = asyncio.get_running_loop()
        self._leases.add(job.lease)
        call = functools.partial(contextvars.copy_context().run, _outcome, handler, job)
        value, error = await loop.run_in_executor(self._pool, call)
        self._leases.discard(job.lease)
        if error is not None:
            raise error
        return value

    def holds(self, job: LeasedJob) -> bool:
        """Return True while a thread works on the job, even if no task waits for it any more."""
        return job.lease in self._leases

    def close(self) -> None:
        """Let each thread end with its handler, without waiting for it."""
        self._pool.shutdown(wait=False)


async def settle(value: object) -> object:
    """Wait for what a handler returned, if it is an awaitable or a future, and return the value.

    Raises:
        Unfit: the result is a generator, so the handler did nothing and never would.
    """
    if inspect.isawaitable(value):
        return await value
    if isinstance(value, concurrent.futures.Future):
        return await asyncio.wrap_future(value)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise Unfit(f"handler: it returned the generator {value.__qualname__}, which is never run")
    return value


def _called_by(handler: Any) -> Any:
    """Return the callable that this one calls, one step further; a function is returned as it is."""
    if isinstance(handler, functools.partial):
        return handler.func
    if isinstance(handler, MethodType):
        return handler.__func__
    if inspect.isroutine(handler):
        return handler
    call = getattr(type(handler), "__call__", handler)  # noqa: B004 - the function itself is wanted
    return handler if inspect.ismethodwrapper(call) or inspect.ismethoddescriptor(call) else call


def _check_takes_one(handler: Callable[..., object]) -> None:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # a builtin without a signature
    try:
        signature.bind(None)
    except TypeError as error:
        raise Unfit(f"handler: {_EXPECTED}, got {_name(handler)}{signature}: {error}") from None


def _name(handler: object) -> str:
    return str(getattr(handler, "__qualname__", repr(handler)))


def _outcome(handler: Handler, job: RunningJob) -> tuple[object, BaseException | None]:
    """Return the handler's result and exception. A future would interpret some exceptions, so none is raised here."""
    try:
        return handler(job), None
    except (StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        failure = RuntimeError(f"the handler raised {type(error).__name__}")
        failure.__cause__ = error
        return None, failure
    except BaseException as error:  # noqa: BLE001 - raised again on the loop
        return None, error
