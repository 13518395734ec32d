"""Keeps all workers running: starts them together, starts one again that has ended, and stops them together."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from sharq_core.config import ServerSettings
from sharq_core.errors import ConfigError
from sharq_core.process.event_loop import EXIT_MISCONFIGURED
from sharq_core.process.stop import Stop
from sharq_server.restarts import QUICK_S
from sharq_server.workers.handle import WorkerHandle
from sharq_server.workers.life_signs import LOOK_S
from sharq_server.workers.orders import Members, ToWorker, WorkerOrders

log = logging.getLogger("sharq.server")

_LEAST_STOP_S = 0.5
_MARGIN_S = 1.5
"""Seconds that a worker may take beyond the stop's timeout; then it is killed, and the store still has time to end."""


class WorkersFailed(Exception):
    """The error of a server whose workers cannot be started, or not be kept running."""


class WorkerTeam:
    """The workers of one server.

    Args:
        settings: name the number of workers, and the silence after which one hangs.
        make_orders: returns the orders for the next process of a worker, from the worker and the workers that run then.
    """

    def __init__(
        self, settings: ServerSettings, make_orders: Callable[[WorkerHandle, Members], WorkerOrders]
    ) -> None:
        numbers = range(settings.workers)
        timeout_s = settings.worker_timeout_ms / 1000
        self.workers = [WorkerHandle(number, self._tell_members, timeout_s) for number in numbers]
        self._make_orders = make_orders
        self._version = 1
        self._told: tuple[int, ...] = tuple(numbers)
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all workers, and return when all take connections.

        Raises:
            ConfigError: a worker found that the configuration is wrong.
            WorkersFailed: a worker ended before it had started.
        """
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        self._tasks = [*self._keepers, asyncio.create_task(self._end_hung())]
        starting = asyncio.create_task(self._all_started())
        await asyncio.wait({*self._tasks, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await self.supervise()
        log.info("workers_started count=%d pids=%s", len(self.workers), ",".join(map(str, self.pids())))

    async def supervise(self) -> None:
        """Keep the workers running, once `start` has begun to. This does not return.

        Raises:
            ConfigError: a worker found that it can never serve.
            WorkersFailed: a worker ended too often in a row.
        """
        # Not a gather, whose cancellation at the stop would end the keepers while the workers still run.
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in ended:
            task.result()

    def pids(self) -> list[int]:
        """Return the process ids of the workers that run."""
        return [worker.pid for worker in self.workers if worker.pid is not None]

    def channels(self, turn: int) -> Sequence[socket.socket]:
        """Return the channels of the workers that take connections now, the one whose turn it is first."""
        count = len(self.workers)
        in_turn = (self.workers[(turn + offset) % count] for offset in range(count))
        return [worker.channel for worker in in_turn if worker.takes_connections]

    def tell(self, message: ToWorker) -> None:
        """Send a message to all workers that run."""
        for worker in self.workers:
            worker.say(message)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all workers that run."""
        for worker in self.workers:
            worker.send(number)

    def why_not_ready(self) -> str | None:
        """Return the reason for which no worker is ready; None if one is."""
        reasons = [worker.why_not_ready for worker in self.workers]
        return None if None in reasons else next((reason for reason in reasons if reason), None)

    async def stop(self, stop: Stop) -> None:
        """Stop all workers at once, and kill those that do not end in time."""
        self._stopping.set()
        running = [worker for worker in self.workers if worker.pid is not None]
        for worker in self.workers:
            worker.ask_to_stop()
        ends = asyncio.gather(*self._tasks, return_exceptions=True)
        done, _ = await asyncio.wait({ends}, timeout=stop.left_s(_LEAST_STOP_S) + _MARGIN_S)
        if not done:
            killed = [worker.number for worker in self.workers if worker.pid is not None]
            log.critical("workers_killed workers=%s: they did not end in time", ",".join(map(str, killed)))
            self.send(signal.SIGKILL)
            await ends
        # A worker that has not begun to handle signals ends by SIGTERM itself, with nothing to finish.
        if any(worker.exit_code not in {0, -signal.SIGTERM} for worker in running):
            stop.exit_status = stop.exit_status or 1
        for worker in self.workers:
            worker.close()

    async def _all_started(self) -> None:
        for worker in self.workers:
            await worker.started()

    async def _end_hung(self) -> None:
        """Check all workers again and again, and kill those that hang."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while not self._stopping.is_set():
            await asyncio.sleep(LOOK_S)
            elapsed_s, looked_at = loop.time() - looked_at, loop.time()
            for worker in self.workers:
                worker.look(elapsed_s)

    async def _keep(self, worker: WorkerHandle) -> None:
        """Run one process of a worker after the other until the stop."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started_at = loop.time()
            members = Members(self._version, self._numbers(worker.number))
            await worker.run(self._make_orders(worker, members))
            if self._stopping.is_set():
                return
            self._refuse_hopeless(worker)
            pause_s = worker.restarts.pause_s(loop.time() - started_at)
            if pause_s is None:
                raise WorkersFailed(
                    f"worker {worker.number} ended {worker.restarts.quick} times in a row within {QUICK_S:.0f} s of "
                    f"its start; the last time, {worker.how_ended()}"
                )
            log.critical(
                "worker_ended worker=%d reason=%r restart_in_s=%.1f",
                worker.number,
                worker.how_ended(),
                pause_s,
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    def _refuse_hopeless(self, worker: WorkerHandle) -> None:
        """Raise if the worker can never serve: it ended at the first start, or found that the store is not its own."""
        was_up = worker.was_up
        if not was_up and worker.restarts.count == 0:
            if worker.failure is not None and worker.failure.exit_status == EXIT_MISCONFIGURED:
                raise ConfigError(worker.failure.reason)
            raise WorkersFailed(f"worker {worker.number} could not be started: {worker.how_ended()}")
        if was_up and worker.failure is not None and worker.failure.exit_status == EXIT_MISCONFIGURED:
            raise ConfigError(worker.failure.reason)

    def _numbers(self, *others: int) -> tuple[int, ...]:
        """Return the numbers of the workers that run, and more."""
        if self._version == 1:
            return self._told
        return tuple(sorted({*others, *(worker.number for worker in self.workers if worker.is_up)}))

    def _tell_members(self) -> None:
        """Send all workers the list of running workers whenever it has changed."""
        up = tuple(worker.number for worker in self.workers if worker.is_up)
        is_first_start = self._version == 1 and not all(worker.was_up for worker in self.workers)
        if self._stopping.is_set() or is_first_start or up == self._told:
            return
        self._version, self._told = self._version + 1, up
        self.tell(Members(self._version, up))
