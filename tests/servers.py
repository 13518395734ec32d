"""Real sharq-server processes for tests.

Not here: which test gets which server (tests/api/conftest.py), and the stores (tests/stores.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.stores import free_port

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 15.0


class SharqServer:
    """One `sharq-server` as a child process, whose log is a file in its directory.

    Args:
        directory: its working directory.
        arguments: more words for its command line.
        environ: variables besides those of this process.

    Attributes:
        url: http:// address without a slash at the end.
        pid: its process id.
    """

    def __init__(self, directory: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = directory / "server.log"
        self._directory = directory
        self._arguments = arguments
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote so far, both streams."""
        return self.log_path.read_text(errors="replace")

    def launch(self) -> None:
        """Start it and return at once."""
        command = [sys.executable, "-m", "router.standalone", "--port", str(self.port), *self._arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, path: str = "/readyz") -> None:
        """Start it and return when `path` answers 200.

        Raises:
            AssertionError: it ended, or did not answer in 20 s; with its log.
        """
        self.launch()
        deadline_s = time.monotonic() + START_DEADLINE_S
        while self.status(path) != 200:
            assert self._process is not None
            assert self._process.poll() is None, f"sharq-server ended: {self.log}"
            assert time.monotonic() < deadline_s, f"sharq-server did not answer: {self.log}"
            time.sleep(0.02)

    def status(self, path: str) -> int | None:
        """The HTTP status that a GET gets, or None when nothing listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_DEADLINE_S) -> int:
        """Wait for its end; returns its exit status."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        self._process = None
        return status

    def stop(self) -> int:
        """End it in order (SIGTERM) and return its exit status; 0 when it does not run."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._process = None
            raise
