"""Runs a command of the shell for each job: `sharq worker TYPE --exec COMMAND`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Coroutine
from typing import Any

from sharq_client.worker.handlers.results import PlainFailure, RunningJob

MAX_ERROR_CHARACTERS = 500

MAX_KEPT_BYTES = 4_096
"""The end of a command's stderr that is kept: its last line is wanted, however much it writes."""

LAST_WORDS_S = 0.5
"""The time for the rest of stderr after the end of a command. Something that it has left running may keep it open."""


class ProgramFailed(PlainFailure):
    """The command ended with another exit code than 0."""


class Program:
    """A handler that runs a command of the shell for each job.

    The payload is its stdin, as JSON. The variables SHARQ_QUEUE_TYPE, SHARQ_QUEUE_ID, SHARQ_JOB_ID and SHARQ_ATTEMPT
    say which job it is. The job is finished if the command ends with exit code 0.

    Args:
        command: the text that the shell runs.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._readers: set[asyncio.Task[None]] = set()

    async def handle(self, job: RunningJob) -> None:
        """Run the command for a job.

        Raises:
            ProgramFailed: it ended with another exit code than 0. The message has the last line of its stderr.
        """
        process, stderr = await self._start(job)
        errors = bytearray()
        reader = self._read(stderr, errors)
        try:
            await process.communicate(job.payload_bytes)
        finally:
            if process.returncode is None:
                _end(process)
        if process.returncode:
            await asyncio.wait([reader], timeout=LAST_WORDS_S)
            last = errors.decode(errors="replace").strip().rpartition("\n")[2][:MAX_ERROR_CHARACTERS]
            raise ProgramFailed(f"exit code {process.returncode}{last and ': ' + last}")

    async def _start(self, job: RunningJob) -> tuple[asyncio.subprocess.Process, int]:
        """Start the command for a job. Return its process, and the end of a pipe from which its stderr is read."""
        # A pipe of asyncio's own would be read to its end, which something that runs on may never reach.
        stderr, write_end = os.pipe()
        try:
            process = await _started_whole(
                asyncio.create_subprocess_shell(
                    self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stderr=write_end,
                    env={**os.environ, **_variables(job)},
                    start_new_session=True,
                )
            )
        except BaseException:
            os.close(stderr)
            raise
        finally:
            os.close(write_end)
        return process, stderr

    def _read(self, stderr: int, kept: bytearray) -> asyncio.Task[None]:
        """Read the stderr of a command, and keep its end. What the command leaves running may go on writing there."""
        task = asyncio.create_task(_read_end(stderr, kept))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return task


async def _started_whole(start: Coroutine[Any, Any, Process]) -> Process:
    """Return a process once it has started. If this is cancelled, end the process first, with all that it has started.

    asyncio itself ends only the shell if a start is cancelled, and may wait for its end for ever.
    """
    starting = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_end_started)
        await asyncio.wait([starting])
        raise


def _end_started(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _end(starting.result())


def _end(process: Process) -> None:
    """End a process with all that it has started, so that nothing goes on with a job that another worker may get."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _read_end(pipe: int, kept: bytearray) -> None:
    """Read a pipe until all that have it have closed it, and keep its last MAX_KEPT_BYTES."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: protocol, os.fdopen(pipe, "rb", 0)
    )
    try:
        while part := await reader.read(65_536):
            kept += part
            del kept[:-MAX_KEPT_BYTES]
    finally:
        transport.close()


def _variables(job: RunningJob) -> dict[str, str]:
    return {
        "SHARQ_QUEUE_TYPE": job.queue_type,
        "SHARQ_QUEUE_ID": job.queue_id,
        "SHARQ_JOB_ID": job.job_id,
        "SHARQ_ATTEMPT": str(job.attempt),
    }
