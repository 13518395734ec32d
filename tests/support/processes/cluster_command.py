"""Runs the `sharq-cluster` command as a process. Not here: clusters whose processes the tests start (servers.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sharq_core.process.launch import tied
from tests.support.ports import free_ports_in_a_row

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0
LOOK_AGAIN_S = 0.02


class Command:
    """One `sharq-cluster` process in a directory; its outputs go to files that can be read at any time."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.directory = directory
        self.state_path = directory / "state.json"
        self.port = free_ports_in_a_row(2)
        self._outputs = directory / "stdout", directory / "stderr"
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
        words = ["--port", str(self.port), "--state-file", "state.json", "--data-dir", "data", *arguments]
        with self._outputs[0].open("wb") as stdout, self._outputs[1].open("wb") as stderr:
            self.process = subprocess.Popen(
                tied(sys.executable, "-m", "sharq_server.local_cluster.main", *words),
                cwd=directory,
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

    def until(self, is_true: Callable[[], bool]) -> None:
        """Wait while it runs."""
        deadline_s = time.monotonic() + START_DEADLINE_S
        while not is_true():
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline_s, self.stderr
            time.sleep(LOOK_AGAIN_S)

    def end(self) -> None:
        """Kill it if it still runs; its processes end with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(STOP_DEADLINE_S)
