"""Stops a process within its time limit: the first signal begins the stop, the second one ends the process at once."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from sharq_core.logs.line_queue import end_at_once
from sharq_core.process.service_manager import ServiceManager, find_service_manager
from sharq_core.process.sighup import reload

log = logging.getLogger("sharq.process")

MARGIN_S = 3.0
"""Seconds that a stop may take beyond `shutdown_timeout`; then the process ends in the middle of its work."""

_LEAST_S = 0.5
"""The least time in seconds for each part of the stop, even if the timeout is used up."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

_IDLE_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""Signals that scripts for the original's server send; they have no effect here."""


class Stop:
    """The stop of this process.

    Args:
        timeout_s: the longest wait for the work in progress, in seconds from the request to stop.

    Attributes:
        exit_status: the status of the process once everything has ended; a part that could not end in order changes it.
        unsaved: the data that a second signal gives up, in words; empty for none.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.exit_status = 0
        self.unsaved = ""
        self._asked = asyncio.Event()
        self._asked_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._limit: threading.Timer | asyncio.TimerHandle | None = None

    @property
    def was_asked(self) -> bool:
        """The process has been told to stop."""
        return self._asked.is_set()

    def ask(self, number: signal.Signals) -> None:
        """Begin the stop; if it has begun already, end the process at once."""
        if self.was_asked:
            unsaved = f": given up: {self.unsaved}" if self.unsaved else ""
            log.critical("forced_exit signal=%s%s", number.name, unsaved)
            end_at_once(1)
        log.info("stopping signal=%s", number.name)
        self._asked_at = self._loop.time()
        self.limit()
        self._asked.set()

    def limit(self) -> None:
        """End the process if the stop takes too long, even if its event loop is blocked."""
        left_s = self.left_s() + MARGIN_S
        self._limit = timer = threading.Timer(left_s, self._end_overdue)
        timer.daemon = True
        try:
            timer.start()
        except (RuntimeError, MemoryError) as error:
            log.warning("stop_without_thread error=%r: a blocked event loop does not end in time", error)
            self._limit = self._loop.call_later(left_s, self._end_overdue)

    def unlimit(self) -> None:
        """Lift the time limit of the stop until `limit` is called again or a second signal arrives."""
        if self._limit is not None:
            self._limit.cancel()

    async def wait(self) -> None:
        """Wait until the stop is requested."""
        await self._asked.wait()

    async def within(self, work: Coroutine[None, None, None], what: str) -> None:
        """Run a part of the stop, or give it up when the stop's time is over."""
        try:
            async with asyncio.timeout(self.left_s(_LEAST_S)):
                await work
        except TimeoutError:
            log.warning("stop_cut_short what=%s: it did not finish in time", what)
            self.exit_status = 1

    def left_s(self, least_s: float = 0.0) -> float:
        """Return the rest of the timeout in seconds; all of it before the stop is requested."""
        spent_s = self._loop.time() - self._asked_at if self._asked_at else 0.0
        return max(self.timeout_s - spent_s, least_s)

    def _end_overdue(self) -> None:
        log.critical("stop_overdue limit_s=%.1f: ended in the middle of it", self.timeout_s + MARGIN_S)
        end_at_once(1)


class Service(Protocol):
    """The work of a process."""

    async def start(self) -> None:
        """Start the parts; each one puts its own end on the stack as soon as it runs."""

    async def supervise(self) -> None:
        """Supervise the parts; never return."""

    def why_not_ready(self) -> str | None:
        """Return the reason why the started process is not ready, in words; None if it is."""


async def serve_until_stopped(make: Callable[[AsyncExitStack, Stop], Service], timeout_s: float) -> int:
    """Start everything, supervise it until the stop, and stop everything in the opposite order.

    Args:
        make: gets the stack for the ends of the parts, and the stop.
        timeout_s: the longest wait for the work in progress at the stop, in seconds.

    Returns:
        the exit status of the stop: 0, or another if something could not end in order.
    """
    manager = find_service_manager()
    stop = stop_on_signals(timeout_s, manager)
    beating = asyncio.create_task(manager.beat())
    try:
        async with AsyncExitStack() as stack:
            service = make(stack, stop)
            if await unless(stop, service.start()):
                following = asyncio.create_task(manager.follow(service.why_not_ready))
                stack.callback(following.cancel)
                await unless(stop, service.supervise())
            manager.stopping()
    finally:
        beating.cancel()
        stop.unlimit()
    log.info("stopped")
    return stop.exit_status


def ignore_signals() -> None:
    """Ignore the signals that must not end the process before `stop_on_signals` handles them."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGHUP, *_IDLE_SIGNALS):
            signal.signal(number, signal.SIG_IGN)


def stop_on_signals(timeout_s: float, manager: ServiceManager) -> Stop:
    """Begin the stop at the first SIGTERM, SIGINT or SIGQUIT, reload at SIGHUP, and log signals that have no effect.

    A second one of the three ends the process in the middle of its work.

    Args:
        manager: gets a notice of each reload.
    """
    stop = Stop(timeout_s)
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.ask, number)
    loop.add_signal_handler(signal.SIGHUP, manager.reload, reload)
    for number in _IDLE_SIGNALS:
        loop.add_signal_handler(number, _say_idle, number)
    return stop


def signal_name(number: int) -> str:
    """Return the name of a signal; real-time signals but the first and the last have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _say_idle(number: signal.Signals) -> None:
    log.info("signal_without_effect signal=%s: SIGHUP reads files again, SIGTERM stops", number.name)


async def unless(stop: Stop, work: Coroutine[None, None, None]) -> bool:
    """Run the work, or cancel it if the stop comes first. Return True if it was done; its errors are raised."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()
