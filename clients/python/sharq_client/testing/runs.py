"""Runs the workers of an application in the time of a fake server, without waiting in real time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from sharq_client.testing.virtual_loop import VirtualLoop, VirtualSelector


class Runnable(Protocol):
    """The interface of a worker."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Work until `stop`."""
        ...

    def stop(self) -> None:
        """Let `run` return once all current jobs are reported."""
        ...


class FakeRun:
    """One run of workers, from its start until they have stopped.

    Attributes:
        loop: the event loop of the workers.
        is_over: True once the workers are stopping; requests of workers wait no longer then.
    """

    def __init__(
        self,
        workers: Sequence[Runnable],
        now_us: Callable[[], int],
        move_to: Callable[[int], None],
        is_idle: Callable[[], bool],
        for_s: float | None,
        max_jobs: int,
    ) -> None:
        """Prepare a run.

        Args:
            now_us, move_to: read and move the clock.
            is_idle: returns True if no job of the workers will ever be due, unless somebody does something.
            for_s: the length of the run; None for one until all is idle.
            max_jobs: the number of leases after which the run gives up.
        """
        self._workers = workers
        self._now_us = now_us
        self._is_idle = is_idle
        self._for_s = for_s
        self._max_jobs = self._jobs_left = max_jobs
        self._waiters: set[asyncio.Future[None]] = set()
        self.loop = VirtualLoop(VirtualSelector(now_us, move_to, self._ends), now_us)
        self.is_over = False

    def run(self) -> None:
        """Run the workers until they have stopped.

        Raises:
            RuntimeError: they did not become idle within max_jobs leases.
        """
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._work())
        if self._jobs_left < 0:
            raise RuntimeError(
                f"the workers were not idle after {self._max_jobs} leases; give `for_s` to run for a time instead"
            )

    async def _work(self) -> None:
        if self._for_s is not None:
            self.loop.call_later(self._for_s, self._stop)
        await asyncio.gather(*(worker.run() for worker in self._workers))

    def _ends(self) -> bool:
        """Stop the workers if all is idle. Return True if that was done now."""
        if self.is_over or self._for_s is not None or not self._is_idle():
            return False
        self._stop()
        return True

    def _stop(self) -> None:
        self.is_over = True
        for worker in self._workers:
            worker.stop()
        self._wake()

    def on_leased(self) -> None:
        """Count a lease. After too many, stop."""
        self._jobs_left -= 1
        if self._jobs_left < 0 and not self.is_over:
            self.loop.call_soon_threadsafe(self._stop)

    def on_changed(self) -> None:
        """Let the requests that wait look again, because a request has changed something. Any thread may call it."""
        if self._waiters:
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, until_us: int) -> None:
        """Wait until a time, or until a request changes something."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout((until_us - self._now_us()) / 1_000_000):
                await waiter
        except TimeoutError:
            return
        finally:
            self._waiters.discard(waiter)
