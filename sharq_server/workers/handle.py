"""One worker as the parent sees it: its process, its control line, and the channel of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable

from sharq_core.process.event_loop import EXIT_FAILED
from sharq_core.process.launch import tied
from sharq_core.process.stop import signal_name
from sharq_server.restarts import Restarts
from sharq_server.workers.life_signs import LifeSigns, processor_use
from sharq_server.workers.orders import (
    Beat,
    ControlLine,
    Failed,
    FromWorker,
    Parting,
    Started,
    ToWorker,
    WorkerOrders,
    send_orders,
)

log = logging.getLogger("sharq.server")

SILENT_S = 3.0
"""The silence in seconds after which a worker gets no connections."""


class WorkerHandle:
    """One worker, over all its processes: a worker that has ended is started again under the same number.

    Start it from a thread that lives as long as the worker should: on Linux the worker gets SIGTERM when that thread
    ends.

    Args:
        on_change: called when the worker has started, and when it has ended.
        timeout_s: the silence in seconds after which a process hangs; 0 for no limit.

    Attributes:
        channel: the parent's end of the channel. Both ends are open here, so that connections which a worker has not
            taken before its end wait for the next process.
        was_up: True once the present or last process took connections.
        is_up: True from the moment at which the worker takes connections, until its end.
        failure: the reason for which the worker could not go on, as it said itself.
        restarts: its ends so far.
        hangs: the number of its processes that hung.
    """

    def __init__(self, number: int, on_change: Callable[[], None], timeout_s: float) -> None:
        self.number = number
        self.restarts = Restarts()
        self.hangs = 0
        self.is_up = self.was_up = False
        self.failure: Failed | None = None
        self.channel, self._far_end = socket.socketpair()
        self.channel.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        self._on_change = on_change
        self._process: Process | None = None
        self._line: ControlLine | None = None
        self._started = asyncio.Event()
        self._timeout_s = timeout_s
        self._life_signs = LifeSigns(timeout_s)
        self._why_it_hangs: str | None = None
        self._why_not_ready: str | None = "starting"
        self._is_asked_to_stop = self._is_draining = False

    @property
    def pid(self) -> int | None:
        """The process id; None while no process runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def takes_connections(self) -> bool:
        """True if the worker is up, has just given a sign of life, and has not begun to stop."""
        return self.is_up and not self._is_draining and self._life_signs.silent_s < SILENT_S

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last process; None while it runs, or if there was none."""
        return None if self._process is None else self._process.returncode

    @property
    def why_not_ready(self) -> str | None:
        """The reason for which the worker is not ready, as it said last; None if it is."""
        return self._why_not_ready if self.is_up else "starting"

    async def run(self, orders: WorkerOrders) -> None:
        """Start a process, and return once it has ended, or if the system has none for it."""
        self.failure, self._why_not_ready, self._why_it_hangs = None, "starting", None
        self.was_up = self._is_draining = False
        self._process = None
        self._started.clear()
        self._life_signs = LifeSigns(self._timeout_s)
        try:
            self._process, line = await self._launch(orders)
        except OSError as error:
            self.failure = Failed(EXIT_FAILED, f"its process cannot be started: {error}")
            return
        self._line = line
        if self._is_asked_to_stop:
            self.send(signal.SIGTERM)
        hearing = asyncio.create_task(line.listen(self._hear))
        try:
            await self._process.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hearing, 1.0)  # what it said last
        finally:
            hearing.cancel()
            line.close()
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
        if self._why_it_hangs is not None:
            return f"{self._why_it_hangs}, so it was killed"
        if code is not None and code < 0:
            return f"it was ended by {signal_name(-code)}"
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

    def look(self, elapsed_s: float) -> None:
        """Kill the process if it hangs.

        Args:
            elapsed_s: the time since the last look, in seconds.
        """
        self._life_signs.look(elapsed_s, None if self.pid is None else processor_use(self.pid))
        if self.pid is None or self._why_it_hangs is not None or not self._life_signs.is_too_long:
            return
        self._why_it_hangs = f"it hung: no sign of life for {self._life_signs.idle_s:.1f} s"
        self.hangs += 1
        log.critical(
            "worker_hung worker=%d pid=%d: %s; killing it", self.number, self.pid, self._why_it_hangs
        )
        self.send(signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Begin the stop of the process, also of one that is just being started."""
        self._is_asked_to_stop = True
        if self.is_up:
            self.say(Parting())
        else:
            self.send(signal.SIGTERM)

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()
        self._far_end.close()

    async def _launch(self, orders: WorkerOrders) -> tuple[Process, ControlLine]:
        """Start a process with these orders. Raise OSError if the system has no process or no file for it."""
        control, far_end = socket.socketpair()
        line = ControlLine(control, "parent")
        with far_end:
            try:
                send_orders(control, orders)
                await line.open()
                return await self._spawn(far_end), line
            except BaseException:
                line.close()
                raise

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
        self._life_signs.hear(has_started=isinstance(message, Started))
        match message:
            case Started():
                self.is_up = self.was_up = True
                self._started.set()
                self._on_change()
            case Beat():
                self._why_not_ready, self._is_draining = message.why_not_ready, message.is_stopping
            case Failed():
                self.failure = message
