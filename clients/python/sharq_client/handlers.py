"""What may handle a job: an `async def` function runs on the event loop, a plain one in a thread of the worker's.

Anything else is refused when the worker is made. Not here: leasing, and reporting what came of a job (worker.py).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, TypeAlias

from sharq_client.answers import LeasedJob

Handler: TypeAlias = Callable[[LeasedJob], object]
"""`async def` functions and plain ones, and what behaves as one of them. What it returns is not looked at, except that
an awaitable is awaited.
"""

_EXPECTED = "expected an `async def` function or a plain function that takes the job"


class Unfit(TypeError):
    """What was given as a handler can never handle a job."""


def is_async(handler: object) -> bool:
    """Return True for a handler that runs on the event loop, False for one that runs in a thread.

    A partial, a bound method and an object with `__call__` are what they call. A decorated function is what the
    decorator made of it, because that is what runs.

    Raises:
        Unfit: it is neither, or it does not take one argument.
    """
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
    """The threads that plain functions run in, as many as are needed at once and at most `most`."""

    def __init__(self, most: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(most, thread_name_prefix="sharq-handler")
        self._leases: set[str] = set()

    async def run(self, handler: Handler, job: LeasedJob) -> object:
        """Return what the handler returns, or raise what it raises; being cancelled does not end it."""
        loop = asyncio.get_running_loop()
        self._leases.add(job.lease)
        call = functools.partial(contextvars.copy_context().run, _outcome, handler, job)
        value, error = await loop.run_in_executor(self._pool, call)
        self._leases.discard(job.lease)
        if error is not None:
            raise error
        return value

    def holds(self, job: LeasedJob) -> bool:
        """Return True while a thread works on the job, also when nobody waits for it any more."""
        return job.lease in self._leases

    def close(self) -> None:
        """Let the threads end when their handlers do, and wait for none of them."""
        self._pool.shutdown(wait=False)


async def settle(value: object) -> None:
    """Wait for what a handler returned, if that is still under way.

    Raises:
        Unfit: it is a generator, so that nothing was done, and nothing would be the next time.
    """
    if inspect.isawaitable(value):
        await value
    elif isinstance(value, concurrent.futures.Future):
        await asyncio.wrap_future(value)
    elif inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise Unfit(f"handler: it returned the generator {value.__qualname__}, which nobody runs")


def _called_by(handler: Any) -> Any:
    """The callable that a call of this one ends in, one step on; itself for a function."""
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
        return  # a builtin that does not say
    try:
        signature.bind(None)
    except TypeError as error:
        raise Unfit(f"handler: {_EXPECTED}, got {_name(handler)}{signature}: {error}") from None


def _name(handler: object) -> str:
    return str(getattr(handler, "__qualname__", repr(handler)))


def _outcome(handler: Handler, job: LeasedJob) -> tuple[object, BaseException | None]:
    """What a handler returned or raised. As a value, because a future takes some exceptions for its own affairs."""
    try:
        return handler(job), None
    except (StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        failure = RuntimeError(f"the handler raised {type(error).__name__}")
        failure.__cause__ = error
        return None, failure
    except BaseException as error:  # noqa: BLE001 - raised again on the loop
        return None, error
