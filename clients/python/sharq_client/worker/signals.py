"""Stops the workers of a process on SIGTERM, SIGINT and SIGHUP: the first signal gracefully, a second one at once.

SIGHUP says that the terminal is gone, or that a supervisor wants the program started anew. It never ends a worker at
once: a terminal that is closed sends it twice, once from the kernel and once from the shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

log = logging.getLogger("sharq.worker")

HANGUP = "SIGHUP"

SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", HANGUP) if name in signal.Signals.__members__
)
"""The signals that stop workers. Windows has no SIGHUP."""


class Stoppable(Protocol):
    """The interface of what signals stop. The event loop calls both methods."""

    def stop(self) -> None:
        """End gracefully."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class _Subscriber:
    """A worker that signals stop, and the event loop that it runs on."""

    def __init__(self, worker: Stoppable) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._is_stopping = False

    def notify(self, name: str) -> None:
        """Pass a signal on. The signal handler runs between any two steps of the main thread, so the loop is asked."""
        self._loop.call_soon_threadsafe(self._on_signal, name)

    def _on_signal(self, name: str) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            log.info("worker_stopping signal=%s: a second signal ends it at once", name)
            self._worker.stop()
        elif name != HANGUP:
            log.warning("worker_aborting signal=%s", name)
            self._worker.abort()


class _Signals:
    """The signal handlers of the process. They are in place while any worker is subscribed."""

    def __init__(self) -> None:
        self._subscribers: list[_Subscriber] = []
        self._previous: dict[signal.Signals, Any] = {}

    def add(self, subscriber: _Subscriber) -> None:
        """Pass signals on to a subscriber. Signals that the process ignores stay ignored."""
        if not self._subscribers:
            for number in SIGNALS:
                previous = signal.getsignal(number)
                # None is a handler of another language, which could not be put back.
                if previous is not None and previous is not signal.SIG_IGN:
                    self._previous[number] = previous
                    signal.signal(number, self._handle)
        self._subscribers.append(subscriber)

    def remove(self, subscriber: _Subscriber) -> None:
        """Pass no more signals on, and put the previous handlers back after the last subscriber."""
        self._subscribers.remove(subscriber)
        if not self._subscribers:
            for number, previous in self._previous.items():
                signal.signal(number, previous)
            self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interface of a handler
        for subscriber in list(self._subscribers):
            subscriber.notify(signal.Signals(number).name)


_signals = _Signals()


@contextlib.contextmanager
def stopped_by_signals(worker: Stoppable) -> Iterator[None]:
    """Stop a worker of the running event loop on SIGTERM, SIGINT and SIGHUP while the block runs.

    Only the main thread can handle signals. In another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    subscriber = _Subscriber(worker)
    _signals.add(subscriber)
    try:
        yield
    finally:
        _signals.remove(subscriber)
