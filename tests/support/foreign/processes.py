"""Runs the drivers of other queueing systems as child processes."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sharq_core.process.launch import tied
from tests.support.foreign.libraries import (
    DRIVERS,
    bullmq_library,
    celery_library,
    node,
    original_library,
    python_of_the_original,
)

CONFIG = """\
[sharq]
job_expire_interval : {lease_ms}
job_requeue_interval : 1000
default_job_requeue_limit : 0
[redis]
db : 0
key_prefix : {prefix}
conn_type : tcp_sock
port : {port}
host : 127.0.0.1
password :
clustered : {is_clustered}
"""
"""The original's sample configuration as far as its library reads it, without comments, which fail on Python 3."""


class Driver:
    """A driver that answers each line of its input with one line of output."""

    def __init__(self, command: Sequence[str], environ: dict[str, str], cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            tied(*command),
            env=environ,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._output = ""

    def ask(self, line: str) -> str:
        """Send a line, and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self.line()
        assert answer, f"the driver ended with {self._process.wait(10)}"
        return answer

    def line(self) -> str:
        """Return the next line that the process prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def output(self) -> str:
        """Wait for the end of the process, and return what it has printed since the last line."""
        if self.is_running:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            # Not communicate(), which does not know of lines that were read ahead.
            with self._process.stdin, self._process.stdout as output:
                self._output = output.read()
            self._process.wait(60)
        return self._output

    def end(self) -> str:
        """End the process if it runs still, and return what it has printed since the last line."""
        if self.is_running:
            self._process.terminate()
        return self.output()

    def close(self) -> None:
        """End the process if it runs still."""
        self.end()

    @property
    def is_running(self) -> bool:
        """It was started, and nobody has waited for its end."""
        return self._process.returncode is None


def original_driver(*task: str) -> Driver:
    """Start a driver of the original's library."""
    python = [python_of_the_original(), "-W", "ignore", str(DRIVERS / "original.py")]
    return Driver([*python, *task], {"PYTHONPATH": str(original_library())})


class Original:
    """The original's library on a Redis.

    Args:
        caller: a driver that calls the library.
        directory: gets its configuration.
    """

    def __init__(
        self,
        caller: Driver,
        port: int,
        prefix: str,
        directory: Path,
        lease_ms: int,
        *,
        is_clustered: bool = False,
    ) -> None:
        self._caller = caller
        self._config = str(directory / "sharq.conf")
        values = {"port": port, "prefix": prefix, "lease_ms": lease_ms, "is_clustered": is_clustered}
        Path(self._config).write_text(CONFIG.format(**values))

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the library, and return its answer."""
        return ast.literal_eval(self._caller.ask(repr((self._config, method, arguments))))

    def enqueue(self, queue_type: str, queue_id: str, job_id: str, **more: Any) -> None:
        """Enqueue a job."""
        defaults = {"payload": {"id": job_id}, "interval": 0, "requeue_limit": -1}
        answer = self.call(
            "enqueue", queue_type=queue_type, queue_id=queue_id, job_id=job_id, **{**defaults, **more}
        )
        assert answer == {"status": "queued"}

    def dequeue(self, queue_type: str) -> tuple[str, str] | None:
        """Dequeue, and return queue and job, or None if nothing is ready."""
        answer = self.call("dequeue", queue_type=queue_type)
        return (answer["queue_id"], answer["job_id"]) if answer["status"] == "success" else None

    def finish(self, queue_type: str, queue_id: str, job_id: str) -> bool:
        """Finish a job. Return False if it is not leased."""
        answer = self.call("finish", queue_type=queue_type, queue_id=queue_id, job_id=job_id)
        return bool(answer["status"] == "success")

    @contextmanager
    def working(self, queue_type: str) -> Iterator[Driver]:
        """Run a worker of the original, whose `end` returns its leases."""
        with self._running("work", queue_type) as worker:
            yield worker

    @contextmanager
    def requeueing(self) -> Iterator[None]:
        """Run the requeue of the original's server."""
        with self._running("requeue"):
            yield

    @contextmanager
    def _running(self, task: str, *arguments: str) -> Iterator[Driver]:
        driver = original_driver(task, self._config, *arguments)
        try:
            yield driver
        finally:
            driver.end()


def celery_driver(broker: str, *task: str) -> Driver:
    """Start a producer of Celery, or a worker of it."""
    python = [python_of_the_original(), "-W", "ignore", str(DRIVERS / "celery_tasks.py")]
    return Driver([*python, broker, *task], {"PYTHONPATH": str(celery_library())})


class Bullmq:
    """One queue of BullMQ."""

    def __init__(self, port: int, queue: str) -> None:
        library = bullmq_library()
        environ = {"NODE_PATH": str(library / "node_modules")}
        self._driver = Driver([node(), str(DRIVERS / "bullmq_jobs.js"), str(port), "0", queue], environ)

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of the driver, and return its answer."""
        return json.loads(self._driver.ask(json.dumps([method, *arguments])))

    def end(self) -> None:
        """End the process."""
        self._driver.end()
