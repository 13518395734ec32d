"""One worker as the parent sees it: its process, its control line, and the channel of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable

from sharq_core.process.launch import tied
from sharq_server.workers.orders import (
    Beat,
    ControlLine,
    Failed,
    FromWorker,
    Started,
    ToWorker,
    WorkerOrders,
    send_orders,
)
from sharq_server.workers.restarts import Restarts

SILENT_S = 3.0
"""The silence in seconds after which a worker gets no connections. It is not ended: it may be stopped on purpose."""


class WorkerHandle:
    """One worker, over all its processes: a worker that has ended is started again under the same number.

    Start it from a thread that lives as long as the worker should: on Linux the worker gets SIGTERM when that thread
    ends.

    Args:
        on_change: called when the worker has started, and when it has ended.

    Attributes:
        channel: the parent's end of the channel. Both ends are open here, so that connections which a worker has not
            taken before its end wait for the next process.
        was_up: True once the present or last process took connections.
        is_up: True from the moment at which the worker takes connections, until its end.
        failure: the reason for which the worker could not go on, as it said itself.
        restarts: its ends so far.
    """

    def __init__(self, number: int, on_change: Callable[[], None]) -> None:
        self.number = number
        self.restarts = Restarts()
        self.is_up = self.was_up = False
        self.failure: Failed | None = None
        self.channel, self._far_end = socket.socketpair()
        self.channel.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._process: Process | None = None
        self._line: ControlLine | None = None
        self._started = asyncio.Event()
        self._heard_at = 0.0
        self._why_not_ready: str | None = "starting"
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """The process id; None while no process runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def takes_connections(self) -> bool:
        """True if the worker is up and was heard a moment ago."""
        return self.is_up and self._loop.time() - self._heard_at < SILENT_S

    @property
    def why_not_ready(self) -> str | None:
        """The reason for which the worker is not ready, as it said last; None if it is."""
        return self._why_not_ready if self.is_up else "starting"

    async def run(self, orders: WorkerOrders) -> None:
        """Start a process, and return once it has ended.

        Raises:
            OSError: no process can be started.
        """
        self.failure, self._why_not_ready = None, "starting"
        self.was_up = False
        self._started.clear()
        control, far_end = socket.socketpair()
        with far_end:
            send_orders(control, orders)
            self._line = ControlLine(control, "parent")
            self._process = await self._spawn(far_end)
        hearing = asyncio.create_task(self._line.listen(self._hear))
        try:
            await self._process.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hearing, 1.0)  # what it said last
        finally:
            hearing.cancel()
            self._line.close()
            self.is_up = False
            self._on_change()

    async def started(self) -> None:
        """Wait until the worker has started."""
        await self._started.wait()

    def how_ended(self) -> str:
        """Return how the process ended, in words."""
        code = None if self._process is None else self._process.returncode
        if self.failure is not None:
            return self.failure.reason
        if code is not None and code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"

    def say(self, message: ToWorker) -> None:
        """Send a message to the worker, if it runs."""
        if self._line is not None:
            self._line.say(message)

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                self._process.send_signal(number)

    async def ended(self) -> int | None:
        """Wait for the end of the process; return its exit code, or None if there was none."""
        return None if self._process is None else await self._process.wait()

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()
        self._far_end.close()

    async def _spawn(self, control: socket.socket) -> Process:
        """Start the process in a session of its own: Ctrl-C on the terminal is for the parent alone."""
        descriptors = (control.fileno(), self._far_end.fileno())
        return await asyncio.create_subprocess_exec(
            *tied(sys.executable, "-P", "-m", "sharq_server.workers.main", *map(str, descriptors)),
            stdin=DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )

    def _hear(self, message: FromWorker) -> None:
        self._heard_at = self._loop.time()
        match message:
            case Started():
                self.is_up = self.was_up = True
                self._started.set()
                self._on_change()
            case Beat():
                self._why_not_ready = message.why_not_ready
            case Failed():
                self.failure = message
