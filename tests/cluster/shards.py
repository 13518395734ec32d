"""Real sharq-shard processes for tests. Not here: nodes inside the test's own process (tests/cluster/members.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.stores import free_port

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 15.0


class SharqShard:
    """One `sharq-shard` as a child process, whose two streams are files in its directory.

    Args:
        directory: its working directory.
        store_url: of the store that the nodes share.
        prefix: of its keys.
        settings: more of its variables.

    Attributes:
        address: host:port of its link, health and metrics.
    """

    def __init__(self, directory: Path, store_url: str, prefix: str, node_id: str, **settings: str) -> None:
        self.node_id = node_id
        self.address = f"127.0.0.1:{free_port()}"
        self._directory = directory
        self._name = f"{node_id}-{self.address.rpartition(':')[2]}"
        self._environ = {
            **os.environ,
            "SHARQ_REDIS_URL": store_url,
            "SHARQ_REDIS_KEY_PREFIX": prefix,
            "SHARQ_CLUSTER_HEARTBEAT_INTERVAL": "200",
            "SHARQ_CLUSTER_HEARTBEAT_TTL": "1500",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._path("log").read_text(errors="replace")

    @property
    def output(self) -> str:
        """What it wrote to stdout so far."""
        return self._path("out").read_text(errors="replace")

    def launch(self) -> None:
        """Start it and return at once."""
        command = [sys.executable, "-m", "shard.app", "--node-id", self.node_id, "--listen", self.address]
        with self._path("out").open("ab") as out, self._path("log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )

    def start(self) -> None:
        """Start it and return when it is ready.

        Raises:
            AssertionError: it ended, or was not ready in 20 s; with its log.
        """
        self.launch()
        deadline_s = time.monotonic() + START_DEADLINE_S
        while self.status("/readyz") != 200:
            assert self._process is not None
            assert self._process.poll() is None, f"sharq-shard ended: {self.log}"
            assert time.monotonic() < deadline_s, f"sharq-shard is not ready: {self.log}"
            time.sleep(0.02)

    def status(self, path: str) -> int | None:
        """The HTTP status that a GET gets, or None when nothing listens."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def gauge(self, name: str) -> int:
        """One of its metrics without labels."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        return int(float(value))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout_s: float = STOP_DEADLINE_S) -> int:
        """Wait for its end; returns its exit status."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        self._process = None
        return status

    def kill(self) -> None:
        """End it without notice, paused or not. Stopped: does nothing."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self.wait()

    def _path(self, kind: str) -> Path:
        return self._directory / f"{self._name}.{kind}"
