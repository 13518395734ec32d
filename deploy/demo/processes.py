"""Runs child processes that end with their block: each has its own session, is asked to end, then killed by pid."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from sharq_client import AsyncClient
from sharq_server.local_cluster.child import StartError
from sharq_server.local_cluster.ports import free_ports, free_ports_in_a_row
from sharq_server.local_cluster.state_file import State

START_TIMEOUT_S = 20.0
CLUSTER_START_TIMEOUT_S = 60.0
ROUTERS, SHARDS = 2, 3
END_TIMEOUT_S = 12.0

ROOT = Path(__file__).parents[2]


async def end(process: Process, timeout_s: float = END_TIMEOUT_S) -> None:
    """Ask a process to end and kill it if it has not ended after timeout_s. Returns once it is gone."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            process.kill()
    await process.wait()


@asynccontextmanager
async def python_child(module: str, *arguments: str) -> AsyncIterator[Process]:
    """Run `python -m module` with stdin and stdout as pipes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        await end(process, timeout_s=2.0)


@asynccontextmanager
async def own_server() -> AsyncIterator[str]:
    """Run `sharq-server` on a free port and yield its URL once it is ready. Its data is in a temporary directory.

    Raises:
        StartError: the command is missing, or it was not ready within START_TIMEOUT_S.
        ListenError: the machine has no free port.
    """
    command = _server_command()
    with tempfile.TemporaryDirectory(prefix="sharq-demo-") as directory:
        port, log = free_ports(1, reserved=())[0], Path(directory) / "server.log"
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


@asynccontextmanager
async def own_cluster() -> AsyncIterator[State]:
    """Run `sharq-cluster` on free ports with its data in a temporary directory and yield it once it is ready.

    Raises:
        StartError: it was not ready within CLUSTER_START_TIMEOUT_S.
        ListenError: the machine has no free ports in a row.
    """
    with tempfile.TemporaryDirectory(prefix="sharq-demo-") as directory:
        state, log = Path(directory) / "state.json", Path(directory) / "cluster.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sharq_server.local_cluster.main",
                "--routers", str(ROUTERS), "--shards", str(SHARDS),
                "--port", str(free_ports_in_a_row(ROUTERS)), "--data-dir", f"{directory}/data",
                "--state-file", str(state),
                cwd=ROOT, stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            yield await _cluster_of(state, process, log)
        finally:
            await end(process)


async def _cluster_of(state: Path, process: Process, log: Path) -> State:
    deadline_s = time.monotonic() + CLUSTER_START_TIMEOUT_S
    while (cluster := _read_state(state)) is None:
        if process.returncode is not None or time.monotonic() > deadline_s:
            raise StartError(f"sharq-cluster did not become ready; {_last_words(log)}")
        await asyncio.sleep(0.05)
    return cluster


def _read_state(path: Path) -> State | None:
    """Return the content of the state file; None until the cluster is ready and has written it."""
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=State)


def _server_command() -> Path:
    command = Path(sys.executable).parent / "sharq-server"
    if not command.exists():
        raise StartError(f"there is no {command.name} beside this python; `make setup` puts it there")
    return command


async def _until_ready(url: str, process: Process, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    async with AsyncClient(url, timeout_s=2.0) as client:
        while not await client.readyz():
            if process.returncode is not None or time.monotonic() > deadline_s:
                raise StartError(f"sharq-server did not become ready at {url}; {_last_words(log)}")
            await asyncio.sleep(0.05)


def _last_words(log: Path) -> str:
    return f"it said:\n{log.read_text(errors='replace')[-2_000:]}"
