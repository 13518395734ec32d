"""Runs real processes: `sharq-server`, and clusters of `sharq-router` and `sharq-shard`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sharq_core.config import StoreAddress, StoreMode
from sharq_core.process.launch import tied
from tests.support.ports import free_port
from tests.support.processes.loaded_programs import Forked, fork

START_DEADLINE_S = 100.0
STOP_DEADLINE_S = 100.0
LOOK_AGAIN_S = 0.02

PATIENT = {"SHARQ_REDIS_TIMEOUT": "30000"}
"""Variables of a server that is asked for more than a busy machine does in the store's timeout of 2 s."""


class SharqProcess:
    """One command as a child process, whose log is a file in its directory.

    On Linux it ends with the thread that launches it: a killed test process leaves none behind.

    Args:
        module: what python runs.
        name: the log is `<name>.log`.
        arguments: the words of its command line; they make it listen on `port`.
        environ: variables besides those of this process.
        is_watched: tests/support/processes/watched.py runs it.

    Attributes:
        url: http:// address without a slash at the end.
        pid: its process id.
    """

    def __init__(
        self,
        module: str,
        directory: Path,
        name: str,
        port: int,
        arguments: Sequence[str],
        environ: Mapping[str, str] | None = None,
        is_watched: bool = False,
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = directory / f"{name}.log"
        self._directory = directory
        watch = ["tests.support.processes.watched"] if is_watched else []
        self._command = [sys.executable, "-m", *watch, module, *arguments]
        self._environ = {**os.environ, **(environ or {})}
        if is_watched:
            self._environ["PYTHONPATH"] = str(Path(__file__).parents[3])
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """The output so far, of both streams."""
        return self.log_path.read_text(errors="replace")

    def launch(self) -> None:
        """Start it and return at once."""
        with self.log_path.open("ab") as log:
            self._process = self._fork(log) or subprocess.Popen(
                tied(*self._command),
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _fork(self, log: BinaryIO) -> Forked | None:
        match self._command:
            case [sys.executable, "-m", module, *arguments]:
                return fork(module, arguments, self._directory, self._environ, (log, log))
        return None

    def start(self, path: str = "/readyz") -> None:
        """Start it and return when `path` answers 200; see `until_status`."""
        self.launch()
        self.until_status(200, path)

    def until_status(self, status: int, path: str = "/readyz") -> None:
        """Wait until a GET of `path` gets that status.

        Raises:
            AssertionError: it ended, or did not answer so in START_DEADLINE_S; with its log.
        """
        self.until(lambda: self.status(path) == status)

    def until(self, is_true: Callable[[], bool]) -> None:
        """Wait while it runs.

        Raises:
            AssertionError: it ended, or it was not true in START_DEADLINE_S; with its log.
        """
        deadline_s = time.monotonic() + START_DEADLINE_S
        while not is_true():
            assert self.is_running, f"{self.name} ended: {self.log}"
            assert time.monotonic() < deadline_s, f"{self.name} is late: {self.log}"
            time.sleep(LOOK_AGAIN_S)

    def status(self, path: str) -> int | None:
        """Return the HTTP status that a GET gets, or None if nothing listens."""
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
        """Wait for its end and return its exit status."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        self._process = None
        return status

    def kill(self) -> None:
        """End it without notice (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """End it in order (SIGTERM) and return its exit status; 0 if it does not run."""
        self.ask_to_stop()
        return self.until_stopped()

    def ask_to_stop(self) -> None:
        """Send it SIGTERM, and let it go on if it is paused; do nothing if it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)

    def until_stopped(self) -> int:
        """Wait for the end of a process that was asked to stop; kill it if it is late. Return as `stop`."""
        if self._process is None:
            return 0
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._process = None
            raise


class SharqServer(SharqProcess):
    """One `sharq-server` on a free port.

    Args:
        directory: its working directory.
        arguments: more words for its command line.
        environ: variables besides those of this process.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        is_watched: bool = False,
    ) -> None:
        port = free_port()
        words = ["--port", str(port), *arguments]
        super().__init__("sharq_server.main", directory, "server", port, words, environ, is_watched)


ServerFactory = Callable[..., SharqServer]
"""own_server(*arguments, environ={...}): a running private sharq-server."""


@contextmanager
def running_server(
    *arguments: str, environ: dict[str, str] | None = None, is_watched: bool = False
) -> Iterator[SharqServer]:
    """A server in a directory of its own, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        server = SharqServer(Path(directory), *arguments, environ=environ, is_watched=is_watched)
        try:
            server.start()
            yield server
        finally:
            server.stop()


class SharqCluster:
    """Routers and shards of one cluster on a store, each a process.

    Args:
        directory: their working directory, which gets their logs.
        store: where the store is.
        environ: variables besides those of this process, as SHARQ_REDIS_KEY_PREFIX.
        reached_at: the port at which routers reach a shard that listens on a port: the same, or a proxy's.
        is_watched: tests/support/processes/watched.py runs each of them.

    Attributes:
        routers, shards: those that were started, in that order; ended ones stay.
        environ: what each of them has, the link secret among it.
    """

    def __init__(
        self,
        directory: Path,
        store: StoreAddress,
        environ: Mapping[str, str] | None = None,
        routers: int = 2,
        shards: int = 3,
        reached_at: Callable[[int], int] = int,
        is_watched: bool = False,
    ) -> None:
        self._reached_at = reached_at
        self._is_watched = is_watched
        self.environ = {
            **store_environ(store),
            "SHARQ_CLUSTER_SECRET": "a secret of tests",
            **(environ or {}),
        }
        self._directory = directory
        self.shards = [self.make_shard(f"shard-{number + 1}") for number in range(shards)]
        self.routers = [self.make_router(f"router-{number + 1}") for number in range(routers)]

    @property
    def urls(self) -> list[str]:
        """The URLs of the routers."""
        return [router.url for router in self.routers]

    def start(self) -> None:
        """Start everything; returns when all are ready and each router knows each shard."""
        for process in (*self.shards, *self.routers):
            process.launch()
        for process in (*self.shards, *self.routers):
            process.until_status(200)
        self.until_members(len(self.shards))

    def until_members(self, count: int) -> None:
        """Wait until every running router sees this many serving shards."""
        for router in self.routers:
            if router.is_running:
                router.until(lambda router=router: len(serving(router)) == count)  # type: ignore[misc]

    def join(self, node_id: str) -> SharqProcess:
        """Start one more shard; returns when it is ready."""
        shard = self.make_shard(node_id)
        self.shards.append(shard)
        shard.start()
        return shard

    def make_shard(self, node_id: str, name: str | None = None, **environ: str) -> SharqProcess:
        """Return a shard that does not run yet, and is not stopped with the others.

        Args:
            name: of its log; node_id when None.
        """
        port = free_port()
        words = ["--node-id", node_id, "--listen", f"127.0.0.1:{port}"]
        advertised = {"SHARQ_CLUSTER_ADVERTISE": f"127.0.0.1:{self._reached_at(port)}"}
        return SharqProcess(
            "shard.main",
            self._directory,
            name or node_id,
            port,
            words,
            {**self.environ, **advertised, **environ},
            self._is_watched,
        )

    def make_router(self, name: str, **environ: str) -> SharqProcess:
        """Return a router that does not run yet, told of the shards there are now."""
        port = free_port()
        seeds = ",".join(f"127.0.0.1:{self._reached_at(shard.port)}" for shard in self.shards)
        words = ["--listen", f"127.0.0.1:{port}", "--shards", seeds]
        return SharqProcess(
            "router.main",
            self._directory,
            name,
            port,
            words,
            {**self.environ, **environ},
            self._is_watched,
        )

    def end(self) -> None:
        """End all that still runs without notice, which takes no time: routers that are stopped serve on for 1.5 s.

        If the lines that they run are measured, they are stopped, so that they write their measurements.
        """
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            self.stop()
            return
        for process in (*self.routers, *self.shards):
            if process.is_running:
                process.kill()

    def stop(self) -> None:
        """End all that still runs in order: the routers together, then the shards together."""
        for processes in (self.routers, self.shards):
            for process in processes:
                process.ask_to_stop()
            for process in processes:
                process.until_stopped()


def store_environ(store: StoreAddress) -> dict[str, str]:
    """Return the variables that name a store without user, password and TLS."""
    servers = ",".join(map(str, store.servers))
    if store.mode is StoreMode.CLUSTER:
        return {"SHARQ_REDIS_NODES": servers}
    if store.mode is StoreMode.SENTINEL:
        return {"SHARQ_REDIS_SENTINELS": servers, "SHARQ_REDIS_SENTINEL_SERVICE": str(store.sentinel_service)}
    return {"SHARQ_REDIS_URL": store.url.reveal()}


def serving(router: SharqProcess) -> dict[str, int]:
    """Return the shards that own partitions as a router sees it: partitions by node; empty if it does not answer."""
    try:
        members = get_json(f"{router.url}/cluster/")["members"]
    except OSError:
        return {}
    return {member["node"]: member["partitions"] for member in members if member["partitions"]}


def get_json(url: str) -> Any:
    """Return the JSON body of a GET; raise OSError if the status is not 200."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)
