"""Runs a command of the shell for each job: `sharq worker TYPE --exec COMMAND`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from sharq_client.worker.handlers.results import PlainFailure, RunningJob

MAX_ERROR_CHARACTERS = 500


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

    async def handle(self, job: RunningJob) -> None:
        """Run the command for a job.

        Raises:
            ProgramFailed: it ended with another exit code than 0. The message has the last line of its stderr.
        """
        process = await asyncio.create_subprocess_shell(
            self._command,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_variables(job)},
            start_new_session=True,
        )
        try:
            _, errors = await process.communicate(job.payload_bytes)
        finally:
            if process.returncode is None:
                # With all that it has started, so that nothing goes on with a job that another worker may get.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2][:MAX_ERROR_CHARACTERS]
            raise ProgramFailed(f"exit code {process.returncode}{last and ': ' + last}")


def _variables(job: RunningJob) -> dict[str, str]:
    return {
        "SHARQ_QUEUE_TYPE": job.queue_type,
        "SHARQ_QUEUE_ID": job.queue_id,
        "SHARQ_JOB_ID": job.job_id,
        "SHARQ_ATTEMPT": str(job.attempt),
    }
