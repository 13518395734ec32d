"""An event loop whose time is that of a fake server: it does not sleep, but moves the clock to its next timer."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

_NOISE_US = 0.01
"""The error of times in seconds as floats, which must not move the clock by a further µs."""


class VirtualSelector(selectors.BaseSelector):
    """A selector that moves a clock instead of waiting.

    While something outside of the loop works (a thread, or a socket), it waits for that in real time; the clock then
    moves only if the timer is due in real time, too.
    """

    def __init__(
        self, now_us: Callable[[], int], move_to: Callable[[int], None], is_over: Callable[[], bool]
    ) -> None:
        """Create a selector.

        Args:
            now_us, move_to: read and move the clock.
            is_over: called before the clock moves. Returns True if it has ended the work of the loop instead.
        """
        self._real = selectors.DefaultSelector()
        self._now_us = now_us
        self._move_to = move_to
        self._is_over = is_over
        self.calls_outside = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the sockets that are ready. Do not wait for a timer: move the clock to it."""
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        # The loop itself has one socket, which wakes it up.
        if self.calls_outside or len(self._real.get_map()) > 1 or timeout is None:
            ready = self._real.select(timeout)
            if ready or timeout is None:
                return ready
        if not self._is_over():
            step_us = math.ceil(timeout * 1_000_000 - _NOISE_US)
            self._move_to(self._now_us() + max(step_us, 1))
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a socket."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Do not watch a socket any more."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched of a socket."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the sockets."""
        return self._real.get_map()

    def close(self) -> None:
        """Close the selector."""
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a VirtualSelector."""

    def __init__(self, selector: VirtualSelector, now_us: Callable[[], int]) -> None:
        self._start_us = now_us()
        self._clock_us = now_us
        self._virtual = selector
        super().__init__(selector)

    def time(self) -> float:
        """Return the seconds since the loop began, by the fake's clock."""
        return (self._clock_us() - self._start_us) / 1_000_000

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., ResultT], *args: Any
    ) -> asyncio.Future[ResultT]:
        """Run a function in a thread. The clock stands still meanwhile."""
        future: asyncio.Future[ResultT] = super().run_in_executor(executor, func, *args)
        self.on_thread_started(future)
        return future

    def on_thread_started(self, outcome: asyncio.Future[Any]) -> None:
        """Let the clock stand still until a thread has its outcome."""
        self._virtual.calls_outside += 1
        outcome.add_done_callback(self._on_thread_ended)

    def _on_thread_ended(self, _: asyncio.Future[Any]) -> None:
        self._virtual.calls_outside -= 1
