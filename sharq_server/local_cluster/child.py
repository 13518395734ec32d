"""Runs one child process: its start, its readiness, its end, and the report of its death.

A child does not outlive this process.
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
from sharq_core.process.stop import signal_name
from sharq_server.local_cluster.state_file import ProcessState

_LOOK_AGAIN_S = 0.05
_SHOWN_LOG_LINES = 10
_SHOWN_LOG_BYTES = 16_384


class StartError(Exception):
    """The error of a process that did not start. The message has its name, the reason and the end of its log."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The program of a child.

    Attributes:
        role: its part, such as router, shard or store.
        name: a word for its errors and its log, such as the role and a number.
        url: the address at which it serves.
        command: the program and its arguments.
        environ: the whole environment.
        directory: the working directory; None for that of this process.
        sockets: the descriptors that it inherits.
        is_ready: returns True if it serves now.
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

    Start it from a thread that lives as long as the child should: on Linux the child gets a signal when that thread
    ends.

    Args:
        log_directory: the directory of its log, `<name>.log`.
        lock: the descriptor of a file lock. The child inherits it, so the lock is free only after the child's end. None
            for no lock.
    """

    def __init__(self, program: Program, log_directory: Path, lock: int | None = None) -> None:
        self.program = program
        self.log_path = log_directory / f"{program.name}.log"
        self._inherited = (*program.sockets, *([] if lock is None else [lock]))
        self._log_start = 0
        self._process: Process | None = None
        self._is_stopping = False

    @property
    def state(self) -> ProcessState:
        """The child's entry in the state file. The child must have been started."""
        return ProcessState(self.program.role, self._started().pid, self.program.url)

    async def start(self) -> None:
        """Start the child in a session of its own, so that Ctrl-C on the terminal reaches only this process.

        Raises:
            OSError: the log cannot be written.
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
                pass_fds=self._inherited,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def until_ready(self, give_up_at: float) -> None:
        """Wait until the child serves.

        Args:
            give_up_at: the deadline, by the event loop's clock.

        Raises:
            StartError: the child ended, or did not serve in time.
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
        """Wait for the child's end. Return a report of it, or None if `stop` ended it."""
        await self._started().wait()
        return None if self._is_stopping else self._last_words()

    def send(self, number: signal.Signals) -> None:
        """Send the child a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it died in this moment
                self._process.send_signal(number)

    async def stop(self, timeout_s: float) -> bool:
        """Send SIGTERM, kill the child if it has not ended after timeout_s, and wait for its end.

        Returns:
            True if it ended without being killed.
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
        """Return the last lines of its log, each on its own line."""
        with self.log_path.open("rb") as file:
            file.seek(max(self._log_start, self.log_path.stat().st_size - _SHOWN_LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_SHOWN_LOG_LINES:]
        return f"; {self.log_path} ends with:" + "".join(f"\n  {line}" for line in lines or ["(nothing)"])


class Crew:
    """The children of one role. They start and stop together."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children

    async def start(self) -> None:
        """Start all children, as Child.start does."""
        for child in self.children:
            await child.start()

    async def until_ready(self, timeout_s: float) -> None:
        """Wait until all children serve.

        Raises:
            StartError: a child ended, or did not serve in time.
        """
        give_up_at = asyncio.get_running_loop().time() + timeout_s
        for child in self.children:
            await child.until_ready(give_up_at)

    async def stop(self, timeout_s: float) -> list[str]:
        """Stop all children at once. Return the names of those that had to be killed."""
        ended = await asyncio.gather(*(child.stop(timeout_s) for child in self.children))
        return [
            child.program.name
            for child, is_in_order in zip(self.children, ended, strict=True)
            if not is_in_order
        ]


def _describe(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was ended by {signal_name(-exit_code)}"
    return f"ended with exit code {exit_code}"
