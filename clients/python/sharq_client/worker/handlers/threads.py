"""Runs plain functions in threads, and hands their outcomes to the event loop, many at a time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
from collections import deque
from typing import Any, Protocol, TypeAlias, runtime_checkable

from sharq_client.worker.handlers.kinds import BatchHandler, Handler

log = logging.getLogger("sharq.worker")

_Outcome: TypeAlias = tuple[object, BaseException | None]


@runtime_checkable
class ThreadAware(Protocol):
    """The interface of an event loop whose clock stands still while a thread works, as that of a test's fake server."""

    def on_thread_started(self, outcome: asyncio.Future[Any]) -> None:
        """Note a thread that works until its outcome is there."""
        ...


class Threads:
    """The threads of plain functions: as many as are needed at once, up to `limit`."""

    def __init__(self, limit: int) -> None:
        """Configure the threads, of the running event loop. This starts none yet."""
        self._pool = concurrent.futures.ThreadPoolExecutor(limit, thread_name_prefix="sharq-handler")
        self._loop = asyncio.get_running_loop()
        self._thread_aware = self._loop if isinstance(self._loop, ThreadAware) else None
        self._ended: deque[tuple[asyncio.Future[_Outcome], _Outcome]] = deque()
        self._is_waking = False

    def start(self, handler: Handler | BatchHandler, work: Any) -> ThreadCall:
        """Start a handler in a thread."""
        waiter: asyncio.Future[_Outcome] = self._loop.create_future()
        if self._thread_aware is not None:
            self._thread_aware.on_thread_started(waiter)
        context = contextvars.copy_context()
        return ThreadCall(self._pool.submit(context.run, self._work, handler, work, waiter), waiter)

    def close(self) -> None:
        """Let each thread end with its handler, without waiting for it."""
        self._pool.shutdown(wait=False)

    def _work(self, handler: Any, work: Any, waiter: asyncio.Future[_Outcome]) -> None:
        """Run a handler in this thread. The event loop is woken once for all outcomes that gather meanwhile."""
        outcome = _outcome(handler, work)
        self._ended.append((waiter, outcome))
        # `_deliver` clears the flag before it reads the outcomes, so one that is added now is never left behind.
        if not self._is_waking:
            self._is_waking = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                log.debug("outcome_lost: the event loop closed while a thread worked")

    def _deliver(self) -> None:
        self._is_waking = False
        while self._ended:
            waiter, outcome = self._ended.popleft()
            if not waiter.done():
                waiter.set_result(outcome)


class ThreadCall:
    """A handler that runs in a thread, or waits for one."""

    def __init__(self, submitted: concurrent.futures.Future[None], waiter: asyncio.Future[_Outcome]) -> None:
        self._submitted = submitted
        self._waiter = waiter

    async def result(self) -> object:
        """Return the handler's result, or raise its exception. Cancelling this call does not end the thread."""
        value, error = await self._waiter
        if error is not None:
            raise error
        return value

    def withdraw(self) -> bool:
        """Return True if the handler has ended or will never begin, False if a thread may still work on it."""
        is_delivered = self._waiter.done() and not self._waiter.cancelled()
        return is_delivered or self._submitted.cancel()


_OTHER_MEANING = (
    StopIteration,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    SystemExit,
    KeyboardInterrupt,
)
"""The exceptions that would end more than their job if the event loop raised them."""


def _outcome(handler: Any, work: Any) -> _Outcome:
    """Return the handler's result and exception. A future and the loop would interpret some, so none is raised here."""
    try:
        return handler(work), None
    except _OTHER_MEANING as error:
        failure = RuntimeError(f"the handler raised {type(error).__name__}")
        failure.__cause__ = error
        return None, failure
    except BaseException as error:  # noqa: BLE001 - raised again on the loop
        return None, error
