"""One child process: its start, tied to this process's life, its readiness, its end and its last words.

Not here: which processes there are (main.py), and what their command lines are (services.py, stores.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from sharq_core.process.launch import tied
from sharq_server.local_cluster.state_file import ProcessState

_LOOK_AGAIN_S = 0.05
_SHOWN_LOG_LINES = 10
_SHOWN_LOG_BYTES = 16_384


class StartError(Exception):
    """A process of the cluster did not start; the message says which, why, and shows the end of its log."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a child runs.

    Attributes:
        role: router, shard or store.
        name: the role and a number.
        url: where it serves.
        command: program and arguments.
        environ: its whole environment.
        directory: its working directory; None for ours.
        sockets: descriptors that it inherits.
        is_ready: whether it serves now.
    """

    role: str
    name: str
    url: str
    command: tuple[str, ...]
    environ: dict[str, str]
    directory: Path | None = None
    sockets: tuple[int, ...] = ()
    is_ready: Callable[[], Awaitable[bool]]


class Child:
    """A child process. Its output is appended to its log.

    Start it from a thread that lives as long as it is wanted: on Linux it is told to stop when that thread ends.

    Args:
        log_directory: gets `<name>.log`.
        lock: a descriptor that it inherits: whoever waits for that lock waits for this process's end too.
    """

    def __init__(self, program: Program, log_directory: Path, lock: int) -> None:
        self.program = program
        self.log_path = log_directory / f"{program.name}.log"
        self._lock = lock
        self._log_start = 0
        self._process: Process | None = None
        self._is_stopping = False

    @property
    def state(self) -> ProcessState:
        """For the state file; only when it was started."""
        return ProcessState(self.program.role, self._started().pid, self.program.url)

    async def start(self) -> None:
        """Start it in a session of its own: Ctrl-C on the terminal is for us alone.

        Raises:
            OSError: its log cannot be written.
        """
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._log_start = os.fstat(descriptor).st_size
            self._process = await asyncio.create_subprocess_exec(
                *tied(*self.program.command),
                cwd=self.program.directory,
                env=self.program.environ,
                stdin=DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=[self._lock, *self.program.sockets],
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def until_ready(self, give_up_at: float) -> None:
        """Wait until it serves.

        Args:
            give_up_at: by the event loop's clock.

        Raises:
            StartError: it ended, or did not serve in time.
        """
        process = self._started()
        loop = asyncio.get_running_loop()
        while not await self.program.is_ready():
            if process.returncode is not None:
                raise StartError(self._last_words())
            if loop.time() > give_up_at:
                raise StartError(
                    f"{self.program.name} (pid {process.pid}) was not ready in time{self._log_tail()}"
                )
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def until_dead(self) -> str | None:
        """Wait for its end; returns words about it, or None when it was told to end."""
        await self._started().wait()
        return None if self._is_stopping else self._last_words()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it died in this moment
                self._process.send_signal(number)

    async def stop(self, timeout_s: float) -> bool:
        """Tell it to end, and kill it when it has not after timeout_s; returns once it is gone.

        Returns:
            It ended by itself.
        """
        self._is_stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):  # it died in this moment
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            return False
        return True

    def _started(self) -> Process:
        if self._process is None:
            raise StartError(f"{self.program.name} was not started")
        return self._process

    def _last_words(self) -> str:
        process = self._started()
        how = _describe(process.returncode)
        return f"{self.program.name} (pid {process.pid}) {how}{self._log_tail()}"

    def _log_tail(self) -> str:
        """The last lines that it wrote, each on its own line."""
        with self.log_path.open("rb") as file:
            file.seek(max(self._log_start, self.log_path.stat().st_size - _SHOWN_LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_SHOWN_LOG_LINES:]
        return f"; {self.log_path} ends with:" + "".join(f"\n  {line}" for line in lines or ["(nothing)"])


class Crew:
    """The children of one role, which start and stop together."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children

    async def start(self) -> None:
        """Start all of them; see Child.start."""
        for child in self.children:
            await child.start()

    async def until_ready(self, timeout_s: float) -> None:
        """Wait until every one serves.

        Raises:
            StartError: one does not.
        """
        give_up_at = asyncio.get_running_loop().time() + timeout_s
        for child in self.children:
            await child.until_ready(give_up_at)

    async def stop(self, timeout_s: float) -> list[str]:
        """Stop all of them at once; returns the names of those that had to be killed."""
        ended = await asyncio.gather(*(child.stop(timeout_s) for child in self.children))
        return [
            child.program.name
            for child, is_in_order in zip(self.children, ended, strict=True)
            if not is_in_order
        ]


def _describe(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
