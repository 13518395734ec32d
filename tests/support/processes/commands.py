"""Runs `sharq-server` and `sharq-cluster` as a user does: as processes whose two outputs are read apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from sharq_core.process.launch import tied
from tests.support.ports import free_ports_in_a_row
from tests.support.processes.loaded_programs import PRIVATE, Forked, fork
from tests.support.waits import LOOK_AGAIN_S

DEADLINE_S = 100.0
CLUSTER_START_S = 60.0
CLUSTER_STOP_S = 10.0

JOB_ID = "b81c07a7-5bba-4790-ab40-a061994088c1"
JOB = {"job_id": JOB_ID, "interval": 1000, "payload": {"message": "hello, world"}}


class _Command:
    """One command as a process in a directory; its outputs go to files there that can be read at any time.

    Args:
        runs_in: its working directory, if that is another one.
    """

    def __init__(
        self,
        directory: Path,
        module: str,
        arguments: Sequence[str],
        environ: dict[str, str],
        start_s: float = DEADLINE_S,
        stop_s: float = DEADLINE_S,
        *,
        is_tied: bool = False,
        runs_in: Path | None = None,
    ) -> None:
        self._outputs = directory / "stdout", directory / "stderr"
        self._start_s, self._stop_s = start_s, stop_s
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
        words = [sys.executable, "-m", module, *arguments]
        umask = os.umask(PRIVATE)
        os.umask(umask)
        with self._outputs[0].open("wb") as stdout, self._outputs[1].open("wb") as stderr:
            self.process: Forked | subprocess.Popen[bytes] = fork(
                module,
                arguments,
                runs_in or directory,
                inherited | environ,
                (stdout, stderr),
                PRIVATE if is_tied else umask,
            ) or subprocess.Popen(
                tied(*words) if is_tied else words,
                cwd=runs_in or directory,
                env=inherited | environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    @property
    def stdout(self) -> str:
        return self._outputs[0].read_text()

    @property
    def stderr(self) -> str:
        return self._outputs[1].read_text()

    def until(self, is_true: Callable[[], bool]) -> None:
        """Wait while it runs; fail with its errors when it ended, or when its time to start is over."""
        deadline_s = time.monotonic() + self._start_s
        while not is_true():
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline_s, self.stderr
            time.sleep(LOOK_AGAIN_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(how)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(self._stop_s)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Server(_Command):
    """One `sharq-server`."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        super().__init__(directory, "sharq_server.main", arguments, environ)

    def url(self) -> str:
        """Wait until it listens and return its URL."""
        self.until(lambda: "Listening on: " in self.stdout)
        (address,) = re.findall(r"^Listening on: (\S+)$", self.stdout, re.MULTILINE)
        return f"http://{address}"

    def store_pid(self) -> int:
        """Return the process id of its embedded store, as its log says it."""
        *_, pid = re.findall(r"embedded_store_ready pid=(\d+)", self.stderr)
        return int(pid)


StartServer = Callable[..., Server]


class ClusterCommand(_Command):
    """One `sharq-cluster`; its processes end with it."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.directory = directory
        self.state_path = directory / "state.json"
        self.port = free_ports_in_a_row(2)
        places = ["--port", str(self.port), "--state-file", "state.json", "--data-dir", "data"]
        module, words = "sharq_server.local_cluster.main", [*places, *arguments]
        super().__init__(directory, module, words, environ, CLUSTER_START_S, CLUSTER_STOP_S, is_tied=True)

    def urls(self, role: str) -> list[str]:
        return [process["url"] for process in self.processes() if process["role"] == role]

    def pids(self, role: str = "") -> list[int]:
        return [process["pid"] for process in self.processes() if process["role"].startswith(role)]

    def processes(self) -> list[dict[str, Any]]:
        """Return the processes of the state file, which is there once all is ready."""
        self.until(self.state_path.exists)
        state = json.loads(self.state_path.read_text())
        assert list(state) == ["processes"]
        return list(state["processes"])


async def until_status(http: aiohttp.ClientSession, url: str, status: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await status_of(http, url) != status:
            await asyncio.sleep(0.02)


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status


async def enqueue(http: aiohttp.ClientSession, url: str) -> int:
    async with http.post(f"{url}/enqueue/sms/1/", json=JOB) as answer:
        return answer.status


async def dequeue(http: aiohttp.ClientSession, url: str, query: str = "") -> str | None:
    async with http.get(f"{url}/dequeue/sms/{query}") as answer:
        found: dict[str, str] = await answer.json()
        return found.get("job_id")


async def metrics(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/metrics") as answer:
        return await answer.text()


def run(directory: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `sharq-server` to its end and return its exit code and its two outputs."""
    server = Server(directory, *arguments, **environ)
    try:
        return server.exit_code(), server.stdout, server.stderr
    finally:
        server.process.kill()


def ended(
    module: str,
    *arguments: str,
    directory: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of the project to its end, and return its exit code and its two outputs.

    Args:
        directory: where it runs; None for one of its own.
        environ: variables besides those of this process, of which it gets none that begins with SHARQ_.
    """
    with tempfile.TemporaryDirectory(prefix="sharq-") as outputs:
        command = _Command(Path(outputs), module, arguments, dict(environ or {}), runs_in=directory)
        try:
            code = command.exit_code()
            return subprocess.CompletedProcess([module, *arguments], code, command.stdout, command.stderr)
        finally:
            command.end()
