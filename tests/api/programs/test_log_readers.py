"""Nobody reads what the programs say: they start, serve and stop all the same, and say later what was lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sharq_core.logs.line_queue import MAX_WAITING_BYTES
from tests.support.ports import free_port
from tests.support.stores.server import StoreFactory
from tests.support.waits import wait_until

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0
LINE_BYTES = 1 << 12


class StuckPipe:
    """A pipe that is full, and that nobody reads until `read_all`."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"." * (LINE_BYTES - 1) + b"\n")
        os.set_blocking(self.writer, True)


class Reading(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, reader: int) -> None:
        super().__init__(daemon=True)
        self._reader = reader
        self.text = ""
        self.start()

    def run(self) -> None:
        with os.fdopen(self._reader, errors="replace") as file:
            for line in file:
                self.text += line


@pytest.fixture
def pipe() -> Iterator[StuckPipe]:
    yield StuckPipe()


def start(directory: Path, pipe: StuckPipe, *words: str, **environ: str) -> subprocess.Popen[bytes]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=directory,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environ,
        stdin=subprocess.DEVNULL,
        stdout=pipe.writer,
        stderr=pipe.writer,
    )


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def until_status(process: subprocess.Popen[bytes], url: str, expected: int) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while status(url) != expected:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def words_of(program: str, port: int) -> list[str]:
    return {
        "sharq-server": ["sharq_server.main", "--port", str(port), "--data-dir", "data"],
        "sharq-router": [
            "router.main",
            "--listen",
            f"127.0.0.1:{port}",
            "--shards",
            f"127.0.0.1:{free_port()}",
        ],
        "sharq-shard": ["shard.main", "--listen", f"127.0.0.1:{port}", "--node-id", "a"],
        "sharq-cluster": [
            "sharq_server.local_cluster.main",
            "--port",
            str(port),
            "--routers",
            "1",
            "--shards",
            "1",
        ],
    }[program]


@pytest.mark.parametrize("program", ["sharq-server", "sharq-router", "sharq-shard", "sharq-cluster"])
def test_each_program_serves_and_stops_though_nobody_reads_what_it_says(
    tmp_path: Path, pipe: StuckPipe, own_store: StoreFactory, program: str
) -> None:
    port = free_port()
    environ = {"SHARQ_REDIS_URL": own_store().url} if program == "sharq-shard" else {}
    process = start(tmp_path, pipe, *words_of(program, port), SHARQ_LOG_LEVEL="debug", **environ)
    try:
        until_status(process, f"http://127.0.0.1:{port}/healthz", 200)
        if program != "sharq-router":
            until_status(process, f"http://127.0.0.1:{port}/readyz", 200)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_an_access_log_whose_reader_stands_still_costs_no_request(tmp_path: Path) -> None:
    """Lines past the bound are lost and counted; the log says so when it begins, and how many when it ends."""
    fifo = tmp_path / "access"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
    stderr = tmp_path / "stderr"
    with stderr.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *words_of("sharq-server", port)],
            cwd=tmp_path,
            env=inherited | {"PYTHONPATH": str(ROOT), "SHARQ_SERVER_ACCESSLOG": str(fifo)},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        until_status(process, f"{url}/readyz", 200)
        long = "?" + "x" * 8000
        for _ in range(MAX_WAITING_BYTES // 8000 + 100):
            assert status(f"{url}/healthz{long}") == 200
        assert lost(url) > 0
        wait_until(lambda: "access_log_lost" in stderr.read_text())
        os.set_blocking(reader, True)
        reading = Reading(reader)
        wait_until(lambda: "access_log_back" in stderr.read_text())
        count = lost(url)
        assert re.findall(r"access_log_back path=\S+ lost=(\d+)", stderr.read_text()) == [str(count)]
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
        reading.join(DEADLINE_S)
        assert long in reading.text
        assert "GET /readyz" in reading.text.splitlines()[0], "the oldest line was kept"
    finally:
        process.kill()
        process.wait()


def lost(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(
        int(float(value))
        for value in re.findall(r"^sharq_log_lines_lost_total\{.*\} (\S+)$", text, re.MULTILINE)
    )


def test_last_words_are_written_before_the_process_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sharq_server.main", "--port", "0", "--data-dir", __file__],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith(f"sharq-server: data directory {__file__}: File exists\n")
