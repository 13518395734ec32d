"""Runs child processes that end with their block: each has its own session, is asked to end, then killed by pid."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from sharq_client import AsyncClient
from sharq_server.local_cluster.child import Child, Program, StartError
from sharq_server.local_cluster.ports import free_ports, free_ports_in_a_row
from sharq_server.local_cluster.state_file import State

START_TIMEOUT_S = 90.0
CLUSTER_START_TIMEOUT_S = 120.0
"""The longest starts. A machine with nothing else to do takes one and three seconds."""
ROUTERS, SHARDS = 2, 3
END_TIMEOUT_S = 12.0

ROOT = Path(__file__).parents[2]


async def end(process: Process, timeout_s: float) -> None:
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
        port = str(free_ports(1, reserved=())[0])
        url = f"http://127.0.0.1:{port}"
        places = ("--host", "127.0.0.1", "--port", port, "--data-dir", f"{directory}/data")
        async with AsyncClient(url, timeout_s=2.0) as client:
            server = _program("sharq-server", url, (str(command), *places), client.readyz)
            async with _running(server, Path(directory), START_TIMEOUT_S):
                yield url


@asynccontextmanager
async def own_cluster() -> AsyncIterator[State]:
    """Run `sharq-cluster` on free ports with its data in a temporary directory and yield it once it is ready.

    Raises:
        StartError: it was not ready within CLUSTER_START_TIMEOUT_S.
        ListenError: the machine has no free ports in a row.
    """
    with tempfile.TemporaryDirectory(prefix="sharq-demo-") as directory:
        state, port = Path(directory) / "state.json", free_ports_in_a_row(ROUTERS)
        numbers = ("--routers", str(ROUTERS), "--shards", str(SHARDS), "--port", str(port))
        places = ("--data-dir", f"{directory}/data", "--state-file", str(state))
        command = (sys.executable, "-m", "sharq_server.local_cluster.main", *numbers, *places)

        async def is_ready() -> bool:
            return state.exists()

        cluster = _program("sharq-cluster", f"http://127.0.0.1:{port}", command, is_ready)
        async with _running(cluster, Path(directory), CLUSTER_START_TIMEOUT_S):
            yield msgspec.json.decode(state.read_bytes(), type=State)


def _program(
    name: str, url: str, command: tuple[str, ...], is_ready: Callable[[], Awaitable[bool]]
) -> Program:
    environ = dict(os.environ)
    return Program(
        role=name, name=name, url=url, command=command, environ=environ, directory=ROOT, is_ready=is_ready
    )


@asynccontextmanager
async def _running(program: Program, directory: Path, timeout_s: float) -> AsyncIterator[None]:
    """Run a program with its log in a directory, from its readiness to the end of the block.

    Raises:
        StartError: it ended, or was not ready within timeout_s.
    """
    child = Child(program, directory)
    await child.start()
    try:
        await child.until_ready(asyncio.get_running_loop().time() + timeout_s)
        yield
    finally:
        await child.stop(END_TIMEOUT_S)


def _server_command() -> Path:
    command = Path(sys.executable).parent / "sharq-server"
    if not command.exists():
        raise StartError(f"there is no {command.name} beside this python; `make setup` puts it there")
    return command
