"""Restarts a program whenever its source files change, for development. It needs the extra `reload`."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

try:
    from watchfiles import PythonFilter, watch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "reload: restarting on changes needs the extra `reload`: pip install 'sharq-client[reload]'",
        name=error.name,
    ) from error

from sharq_client.worker.signals import HANGUP, SIGNALS

log = logging.getLogger("sharq.worker")

STOP_TIMEOUT_S = 5.0
"""The time that the program has to end after a SIGTERM, before it gets a second one, and then again before it is
killed."""

LOOK_EVERY_MS = 200
"""The longest time from the end of the program, or from a signal, until it is noticed."""

_OF_TERMINAL = ("SIGINT", HANGUP)
"""The signals that a terminal sends to all of its programs: for a Ctrl-C, and as it is closed."""


def run(command: Sequence[str], paths: Sequence[str | Path] = (".",)) -> int:
    """Run a command, and start it anew after each change of a Python file, until SIGTERM, SIGINT or SIGHUP.

    A worker that is stopped ends its current jobs first, or releases them after 5 s. A program that ends by itself with
    an error, such as one in its source, is started again after the next change.

    Args:
        command: the words of the command line.
        paths: files and folders to watch, with all that is in them.

    Returns:
        The exit code of the program if it ended by itself with success, otherwise 0 after a signal.
    """
    with _Signalled() as signalled:
        process = _start(command)
        try:
            for changes in watch(
                *paths,
                watch_filter=PythonFilter(),
                stop_event=signalled.is_over,
                rust_timeout=LOOK_EVERY_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if changes:
                    names = ", ".join(sorted({Path(path).name for _, path in changes}))
                    log.warning("worker_reloading changed=%s", names)
                    _stop(process)
                    process = _start(command)
                elif process.poll() == 0:
                    return 0
        finally:
            _stop(process, was_told=signalled.by is not None and signalled.by.name in _OF_TERMINAL)
    return 0


class _Signalled:
    """The signal that ended the watch.

    Attributes:
        is_over: set by SIGTERM, SIGINT and SIGHUP while the block runs.
        by: the signal; None for none.
    """

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.by: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interface of a handler
        self.by = signal.Signals(number)
        self.is_over.set()


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


def _stop(process: subprocess.Popen[bytes], *, was_told: bool = False) -> None:
    """End the program: gracefully, then at once, then by force.

    Args:
        was_told: True if it has had the first signal already, as one of _OF_TERMINAL.
    """
    for end in (None if was_told else process.terminate, process.terminate, process.kill):
        if process.poll() is not None:
            return
        if end is not None:
            end()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
