"""How a process is told to stop, and within which time it has: the first signal asks, the second one ends it at once.

Not here: what there is to finish, which each process knows itself, and what SIGHUP reads again (reloading.py).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from sharq_core.logs.line_queue import end_at_once
from sharq_core.process.reloading import reload

log = logging.getLogger("sharq.process")

MARGIN_S = 3.0
"""A stop takes at most `shutdown_timeout` and so much more; then the process ends in the middle of what it does."""

_LEAST_S = 0.5
"""Time that a part of the stop has, however much of the whole is spent."""

_IDLE_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN)
"""Signals that scripts for the original's server send; they have no meaning here."""


class Stop:
    """The stop of this process.

    Args:
        timeout_s: longest wait for what is under way when the stop is asked for.

    Attributes:
        exit_status: of the process once everything has ended. Whoever could not end in order makes it another.
        unsaved: what a second signal gives up, in words; empty for nothing.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.exit_status = 0
        self.unsaved = ""
        self._asked = asyncio.Event()
        self._asked_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._limit: threading.Timer | None = None

    @property
    def was_asked(self) -> bool:
        """The process has been told to stop."""
        return self._asked.is_set()

    def ask(self, number: signal.Signals) -> None:
        """Begin the stop, or end the process at once when it has begun already."""
        if self.was_asked:
            what = f": given up: {self.unsaved}" if self.unsaved else ""
            log.critical("forced_exit signal=%s%s", number.name, what)
            end_at_once(1)
        log.info("stopping signal=%s", number.name)
        self._asked_at = self._loop.time()
        self.limit()
        self._asked.set()

    def limit(self) -> None:
        """End the process when the stop takes too long, even if its event loop stands still."""
        self._limit = threading.Timer(self.left_s() + MARGIN_S, self._end_overdue)
        self._limit.daemon = True
        self._limit.start()

    def unlimit(self) -> None:
        """Let the stop take as long as it takes, until `limit` is called again or an operator insists."""
        if self._limit is not None:
            self._limit.cancel()

    async def wait(self) -> None:
        """Wait until the stop is asked for."""
        await self._asked.wait()

    async def within(self, work: Coroutine[None, None, None], what: str) -> None:
        """Do a part of the stop, or give it up when the stop's time is over."""
        try:
            async with asyncio.timeout(self.left_s(_LEAST_S)):
                await work
        except TimeoutError:
            log.warning("stop_cut_short what=%s: it was not done in time", what)
            self.exit_status = 1

    def left_s(self, least_s: float = 0.0) -> float:
        """Return how much of the timeout is left, the whole of it before the stop was asked for, in seconds."""
        spent_s = self._loop.time() - self._asked_at if self._asked_at else 0.0
        return max(self.timeout_s - spent_s, least_s)

    def _end_overdue(self) -> None:
        log.critical("stop_overdue limit_s=%.1f: ended in the middle of it", self.timeout_s + MARGIN_S)
        end_at_once(1)


class Service(Protocol):
    """What a process is there for."""

    async def start(self) -> None:
        """Start its parts, each of which puts its own end on the stack as soon as it runs."""

    async def watch(self) -> None:
        """Look after them; returns never."""


async def serve_until_stopped(make: Callable[[AsyncExitStack, Stop], Service], timeout_s: float) -> int:
    """Start everything, look after it until the stop, and stop everything in the opposite order.

    Args:
        make: gets the stack that the ends of the parts go on, and the stop that they keep to.
        timeout_s: longest wait for what is under way at the stop.

    Returns:
        the exit status of a stop that was asked for: 0, or another when something could not end in order.
    """
    stop = stop_on_signals(timeout_s)
    try:
        async with AsyncExitStack() as stack:
            service = make(stack, stop)
            if await unless(stop, service.start()):
                await unless(stop, service.watch())
    finally:
        stop.unlimit()
    log.info("stopped")
    return stop.exit_status


def ignore_signals() -> None:
    """Let no signal that has a meaning later, or none at all, end the process before `stop_on_signals`."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGHUP, *_IDLE_SIGNALS):
            signal.signal(number, signal.SIG_IGN)


def stop_on_signals(timeout_s: float) -> Stop:
    """Begin the stop at the first SIGTERM or SIGINT; reload at SIGHUP; say of some others that they do nothing.

    A second SIGTERM or SIGINT ends the process in the middle of what it does.
    """
    stop = Stop(timeout_s)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in _IDLE_SIGNALS:
        loop.add_signal_handler(number, _say_idle, number)
    return stop


def _say_idle(number: signal.Signals) -> None:
    log.info("signal_without_effect signal=%s: SIGHUP reads files again, SIGTERM stops", number.name)


async def unless(stop: Stop, work: Coroutine[None, None, None]) -> bool:
    """Do the work, or cancel it when the stop comes first; True when it was done. Its errors are raised."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()
