"""Classifies handlers: an `async def` function runs on the event loop, a plain function in a worker thread.

Anything else is refused when it is registered.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, TypeAlias

from sharq_client.worker.handlers.results import RunningJob

Handler: TypeAlias = Callable[[RunningJob], object]
"""An `async def` function or a plain function, or a callable that behaves like one. An awaitable result is awaited. A
JobResult is kept with the finished job; any other result is ignored.
"""

BatchHandler: TypeAlias = Callable[[list[RunningJob]], object]
"""A handler that gets several jobs at once. It returns None, or a list with the outcome of each job, in order: a
JobResult or an exception, such as Retry or Drop; anything else stands for a finished job without a result.
"""

Work: TypeAlias = RunningJob | list[RunningJob]
"""The argument of a handler: one job, or the list of jobs of a batch handler."""


class Unfit(TypeError):
    """The error of a handler that can never handle a job."""


def is_async(handler: object, takes: str = "the job") -> bool:
    """Return True for a handler that runs on the event loop, False for one that runs in a thread.

    A partial, a bound method or an object with `__call__` counts as the function that it calls. A decorated function
    counts as the result of its decorator, because that is the function that runs.

    Args:
        takes: the one argument of the handler, for the message of an error.

    Raises:
        Unfit: it is neither kind of handler, or it does not take one argument.
    """
    expected = f"handler: expected an `async def` function or a plain function that takes {takes}"
    if inspect.iscoroutine(handler):
        handler.close()
        raise Unfit(
            f"{expected}, got the coroutine object of {name_of(handler)}: hand in the function without calling it"
        )
    called = _function_of(handler)
    if not callable(handler) or inspect.isclass(called):
        what = f"the class {called.__qualname__}" if inspect.isclass(called) else repr(handler)
        raise Unfit(f"{expected}, got {what}")
    is_coroutine = is_coroutine_function(handler)
    if not is_coroutine and (inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)):
        raise Unfit(f"{expected}, got the generator function {name_of(called)}: it would never run")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return is_coroutine  # a builtin without a signature
    try:
        signature.bind(None)
    except TypeError as error:
        raise Unfit(f"{expected}, got {name_of(handler)}{signature}: {error}") from None
    return is_coroutine


def is_coroutine_function(function: object) -> bool:
    """Return True if a call returns a coroutine; partials, methods and objects count as the function they call."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_function_of(function))


def name_of(function: object) -> str:
    """Return the name of a function, for people."""
    return str(
        getattr(function, "__qualname__", None)
        or getattr(_function_of(function), "__qualname__", repr(function))
    )


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


def _function_of(handler: Any) -> Any:
    """Return the function that runs in the end, behind partials, methods and objects; or the class, if it is one."""
    called = handler
    while not inspect.isclass(called) and (inner := _called_by(called)) is not called:
        called = inner
    return called


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
