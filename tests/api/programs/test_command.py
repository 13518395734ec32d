"""The `sharq-server` command as a process: what it prints, what it refuses, how it starts and stops."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from sharq_core.version import __version__
from tests.support.ports import free_port
from tests.support.processes.commands import (
    DEADLINE_S,
    JOB_ID,
    Server,
    StartServer,
    dequeue,
    enqueue,
    metrics,
    run,
    status_of,
    until_status,
)
from tests.support.stores.server import StoreFactory

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"


def test_version_is_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "--version") == (0, f"sharq-server {__version__}\n", "")


def test_help_names_every_option_and_shows_examples(tmp_path: Path) -> None:
    exit_code, text, _ = run(tmp_path, "--help")
    assert exit_code == 0
    for word in (
        "-c",
        "--config",
        "--host",
        "--port",
        "--data-dir",
        "--version",
        "--gunicorn-config",
        "examples:",
    ):
        assert word in text


def test_an_unknown_option_exits_with_2(tmp_path: Path) -> None:
    exit_code, _, stderr = run(tmp_path, "--prot", "1")
    assert exit_code == 2
    assert "unrecognized arguments: --prot" in stderr


def start_in_shell(directory: Path, port: int, redirection: str) -> subprocess.Popen[bytes]:
    """A server whose standard files are what the shell makes of them."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
    words = [sys.executable, "-m", "sharq_server.main", "--port", str(port), "--data-dir", "data"]
    with (directory / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *words],
            cwd=directory,
            env=inherited | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


needs_full_device = pytest.mark.skipif(sys.platform != "linux", reason="Linux has /dev/full")


@pytest.mark.parametrize(
    "redirection",
    ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", pytest.param(">/dev/full", marks=needs_full_device)],
)
async def test_it_serves_whatever_its_standard_files_are(
    tmp_path: Path, http: aiohttp.ClientSession, redirection: str
) -> None:
    port = free_port()
    process = start_in_shell(tmp_path, port, redirection)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await is_healthy(http, port):
                assert process.poll() is None, (tmp_path / "stderr").read_text()
                await asyncio.sleep(0.02)
        assert await enqueue(http, f"http://127.0.0.1:{port}") == 201
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()


async def is_healthy(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        return await status_of(http, f"http://127.0.0.1:{port}/readyz") == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_the_banner_shows_version_and_address(start: StartServer, http: aiohttp.ClientSession) -> None:
    server = start()
    port = int(server.url().rpartition(":")[2])
    lines = server.stdout.splitlines()
    assert lines[-2:] == [f"Version: {__version__}", f"Listening on: 127.0.0.1:{port}"]
    assert any("|___/" in line for line in lines[:-2])
    assert await status_of(http, f"{server.url()}/") == 200


async def test_jobs_are_there_after_a_restart(start: StartServer, http: aiohttp.ClientSession) -> None:
    server = start()
    assert await enqueue(http, server.url()) == 201
    assert server.stop() == 0
    server = start()
    assert await dequeue(http, server.url()) == JOB_ID
    async with http.post(f"{server.url()}/finish/sms/1/{JOB_ID}/") as answer:
        assert answer.status == 200


def test_without_a_data_dir_the_data_lies_in_the_current_directory(tmp_path: Path) -> None:
    server = Server(tmp_path, "--port", "0")
    try:
        server.url()
        assert (tmp_path / "sharq-data" / "appendonlydir").is_dir()
        assert server.stop() == 0
    finally:
        server.process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_in_order(
    start: StartServer, http: aiohttp.ClientSession, how: signal.Signals
) -> None:
    server = start()
    await until_status(http, f"{server.url()}/readyz", 200)
    store_pid = server.store_pid()
    assert server.stop(how) == 0
    assert "Traceback" not in server.stderr
    assert f"stopping signal={how.name}" in server.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(store_pid, 0)


async def test_a_stop_answers_the_dequeues_that_wait(start: StartServer, http: aiohttp.ClientSession) -> None:
    server = start()
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    waiting = asyncio.create_task(dequeue(http, url, "?wait=60000"))
    await until_waiting(http, url)
    server.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(waiting, DEADLINE_S) is None
    assert server.exit_code() == 0


async def until_waiting(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while "sharq_router_waiting_dequeues 1.0" not in await metrics(http, url):
            await asyncio.sleep(0.02)


def test_a_second_signal_ends_the_server_at_once(start: StartServer) -> None:
    server = start()
    server.url()
    os.kill(server.store_pid(), signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: "stopping signal=SIGTERM" in server.stderr)
    server.process.send_signal(signal.SIGTERM)
    assert server.exit_code() == 1
    assert "forced_exit signal=SIGTERM" in server.stderr
    os.kill(server.store_pid(), signal.SIGCONT)


def test_a_wrong_configuration_names_file_section_and_key_and_exits_with_2(
    start: StartServer, tmp_path: Path
) -> None:
    path = tmp_path / "sharq.conf"
    path.write_text("[sharq]\njob_expire_interval : soon ; in milliseconds\n")
    server = start("-c", str(path))
    assert server.exit_code() == 2
    assert server.stderr == (
        f"sharq-server: {path}: [sharq] job_expire_interval: "
        "expected a whole number of milliseconds from 100 to 86400000, got "
        "something else (not shown here: it may be a secret)\n"
    )


def test_a_durability_that_takes_replicas_is_refused_on_the_embedded_store(start: StartServer) -> None:
    server = start(SHARQ_REDIS_DURABILITY="replicated")
    assert server.exit_code() == 2
    assert server.stderr == (
        "sharq-server: [redis] durability: replicated needs a store with replicas; the embedded one has none\n"
    )


def test_a_port_in_use_is_named(start: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("--port", str(port))
        assert server.exit_code() == 1
        assert (
            server.stderr
            == f"sharq-server: 127.0.0.1:{port} is in use by another process; --port chooses another port\n"
        )


def test_an_address_that_is_not_ours_is_named(start: StartServer) -> None:
    server = start("--host", "192.0.2.1")
    assert server.exit_code() == 1
    assert server.stderr == "sharq-server: cannot listen on 192.0.2.1:0: Cannot assign requested address\n"


def test_a_data_directory_in_use_is_named_with_its_holder(start: StartServer) -> None:
    first = start()
    first.url()
    second = start()
    assert second.exit_code() == 1
    assert f"is in use by process {first.process.pid}\n" in second.stderr
    assert first.stop() == 0


async def test_localhost_listens_on_every_address_it_has(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start("--host", "localhost")
    server.until(lambda: "Listening on: 127.0.0.1:" in server.stdout)
    for address in re.findall(r"^Listening on: (\S+)$", server.stdout, re.MULTILINE):
        assert await status_of(http, f"http://{address}/") == 200


def test_what_has_no_meaning_gets_one_line_of_notice(start: StartServer) -> None:
    server = start("-gc", "gunicorn.conf")
    server.url()
    notices = [line for line in server.stderr.splitlines() if "config_notice" in line]
    assert [line.partition("config_notice ")[2].partition(":")[0] for line in notices] == [
        "--gunicorn-config",
    ]
    assert server.stop() == 0


async def test_the_originals_sample_file_serves_the_originals_examples(
    start: StartServer, http: aiohttp.ClientSession, own_store: StoreFactory, tmp_path: Path
) -> None:
    """The file as it is; only the port of the store and the place of the log are ours, by the environment."""
    store = own_store(kind="redis")
    access_log = tmp_path / "access.log"
    server = start(
        "--config",
        str(DATA / "original-server.conf"),
        SHARQ_REDIS_PORT=str(store.port),
        SHARQ_SERVER_ACCESSLOG=str(access_log),
    )
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url) == 201
    async with http.get(f"{url}/dequeue/sms/") as answer:
        job = await answer.json()
        assert (answer.status, job["payload"], job["requeues_remaining"]) == (
            200,
            {"message": "hello, world"},
            0,
        )
    async with http.post(f"{url}/interval/sms/1/", data='{"interval": 5000}') as answer:
        assert answer.status == 200
    async with http.post(f"{url}/finish/sms/1/{JOB_ID}/") as answer:
        assert answer.status == 200
    async with http.get(f"{url}/metrics/sms/1/") as answer:
        assert (await answer.json())["queue_length"] == 0
    assert server.stderr.count("clustered: has no effect") == 1
    assert server.stop() == 0
    assert "POST /enqueue/sms/1/" in access_log.read_text()


def test_an_access_log_that_cannot_be_written_exits_with_2(start: StartServer, tmp_path: Path) -> None:
    server = start(SHARQ_SERVER_ACCESSLOG=str(tmp_path))
    assert server.exit_code() == 2
    assert server.stderr == (
        f"sharq-server: [sharq-server] accesslog: {tmp_path} cannot be written: Is a directory\n"
    )


@needs_full_device
async def test_an_access_log_on_a_full_disk_is_said_once_and_costs_no_request(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start(SHARQ_SERVER_ACCESSLOG="/dev/full")
    url = server.url()
    for _ in range(20):
        assert await status_of(http, f"{url}/healthz") == 200
    server.until(lambda: "access_log_lost path=/dev/full" in server.stderr)
    assert server.stop() == 0
    assert server.stderr.count("access_log_lost") == 1
    assert "Traceback" not in server.stderr


async def test_an_access_log_whose_directory_goes_away_is_written_again_when_it_is_back(
    start: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    logs, away = tmp_path / "logs", tmp_path / "away"
    logs.mkdir()
    server = start(SHARQ_SERVER_ACCESSLOG=str(logs / "access.log"))
    url = server.url()
    logs.rename(away)
    for _ in range(3):
        assert await status_of(http, f"{url}/healthz") == 200
    server.until(lambda: "access_log_lost" in server.stderr)
    away.rename(logs)
    assert await status_of(http, f"{url}/healthz") == 200
    server.until(lambda: "access_log_back" in server.stderr)
    server.until(lambda: "GET /healthz HTTP" in (logs / "access.log").read_text())
    assert "Traceback" not in server.stderr
