"""Notices a handler that blocks the event loop, and warns about it by name.

A thread looks at the event loop four times a second, so that handlers and the loop itself pay nothing for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

log = logging.getLogger("sharq.worker")

LOOK_EVERY_S = 0.25
"""The time between two looks at the event loop."""

BLOCKED_AFTER_S = 1.0
"""The time for which a handler may keep the event loop before the watchdog warns."""


class Watchdog:
    """The watch over the event loop of one worker."""

    def __init__(self, find_handler: Callable[[FrameType | None], str | None]) -> None:
        """Configure the watch over the running event loop, in the thread of the event loop.

        Args:
            find_handler: returns the name of the handler that runs in a stack of frames, or None.
        """
        self._find_handler = find_handler
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._warned: set[str] = set()
        self._answered = threading.Event()
        self._is_over = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        thread = threading.Thread(target=self._watch, name="sharq-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._answered.set()

    def _watch(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_S):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        """Wait until the event loop runs again. Warn if one handler has kept it all the time."""
        asked_at_s = time.monotonic()
        # A handler that is seen at each look blocks the loop. After a pause of the whole process, the loop answers
        # before the second look.
        seen: str | None = None
        # The loop may have ended after it was asked, and then it never answers.
        while not self._answered.wait(LOOK_EVERY_S) and not self._is_over.is_set():
            frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - it is documented
            name = self._find_handler(frame)
            if name is None or seen not in {None, name}:
                asked_at_s = time.monotonic()
            elif time.monotonic() - asked_at_s >= BLOCKED_AFTER_S and frame is not None:
                self._warn(name, time.monotonic() - asked_at_s, frame)
            seen = name

    def _warn(self, name: str, blocked_s: float, frame: FrameType) -> None:
        if name in self._warned:
            return
        self._warned.add(name)
        log.warning(
            "loop_blocked handler=%s blocked_s=%.1f at=%s:%d: while it blocks the event loop, no other job runs and no "
            "lease is extended. Make it a plain `def` function, which runs in a thread, or await an async library "
            "instead of the blocking call",
            name, blocked_s, frame.f_code.co_filename, frame.f_lineno,
        )  # fmt: skip
