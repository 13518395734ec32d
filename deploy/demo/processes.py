"""Child processes that never outlive their block: started in their own session, asked to end, then killed by
pid."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sharq_core.client import SharqClient

START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 12.0

ROOT = Path(__file__).parents[2]


class StartError(Exception):
    """Something that the demo needs did not start; the message says what and shows its last words."""


async def end(process: Process, timeout_s: float = END_TIMEOUT_S) -> None:
    """Asks a process to end and kills it when it has not after timeout_s. Returns once it is gone."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            process.kill()
    await process.wait()


@asynccontextmanager
async def python_child(module: str, *arguments: str) -> AsyncIterator[Process]:
    """Runs `python -m module` with stdin and stdout as pipes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        await end(process, timeout_s=2.0)


@asynccontextmanager
async def own_server() -> AsyncIterator[str]:
    """Runs `sharq-server` on a free port with its data in a temporary directory; yields its URL once it is
    ready.

    Raises:
        StartError: the command is missing, or it was not ready within START_TIMEOUT_S.
    """
    command = _server_command()
    with tempfile.TemporaryDirectory(prefix="sharq-demo-") as directory:
        port, log = _free_port(), Path(directory) / "server.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                command, "--host", "127.0.0.1", "--port", str(port), "--data-dir", f"{directory}/data",
                stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            await _until_ready(url, process, log)
            yield url
        finally:
            await end(process)


def _server_command() -> Path:
    command = Path(sys.executable).parent / "sharq-server"
    if not command.exists():
        raise StartError(f"there is no {command.name} beside this python; `make setup` puts it there")
    return command


async def _until_ready(url: str, process: Process, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    async with SharqClient(url, timeout_s=2.0) as client:
        while not await client.readyz():
            if process.returncode is not None or time.monotonic() > deadline_s:
                raise StartError(f"sharq-server did not become ready at {url}; {_last_words(log)}")
            await asyncio.sleep(0.05)


def _last_words(log: Path) -> str:
    return f"it said:\n{log.read_text(errors='replace')[-2_000:]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
