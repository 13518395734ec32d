"""Runs the `sharq-server` command as a process, and says one word to it over HTTP at a time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


JOB_ID = "b81c07a7-5bba-4790-ab40-a061994088c1"
JOB = {"job_id": JOB_ID, "interval": 1000, "payload": {"message": "hello, world"}}


class Server:
    """One `sharq-server` process; its outputs go to files that can be read at any time."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.stdout_path, self.stderr_path = directory / "stdout", directory / "stderr"
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sharq_server.main", *arguments],
                cwd=directory,
                env=inherited | {"PYTHONPATH": str(ROOT)} | environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    def url(self) -> str:
        """Waits until it listens."""
        self.wait_for(lambda: "Listening on: " in self.stdout)
        (address,) = re.findall(r"^Listening on: (\S+)$", self.stdout, re.MULTILINE)
        return f"http://{address}"

    def wait_for(self, is_true: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not is_true():
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline_s, self.stderr
            time.sleep(0.01)

    def store_pid(self) -> int:
        *_, pid = re.findall(r"embedded_store_ready pid=(\d+)", self.stderr)
        return int(pid)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.exit_code()

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_S)


StartServer = Callable[..., Server]


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
    server = Server(directory, *arguments, **environ)
    try:
        return server.exit_code(), server.stdout, server.stderr
    finally:
        server.process.kill()
