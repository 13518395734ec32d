"""Signals to a running server: SIGHUP reads again, some do nothing, and a stop ends in its time whatever hangs."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from router.access.token_file import new_token
from sharq_core.process.stop import MARGIN_S
from tests.support.processes.commands import StartServer, enqueue, run, status_of, until_status
from tests.support.stopwatch import Stopwatch


async def test_sighup_reads_again_what_can_be_and_names_what_needs_a_restart(
    start: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    tokens, config = tmp_path / "tokens", tmp_path / "sharq.conf"
    access_log = tmp_path / "access.log"
    (_, line), (other, other_line) = new_token("a"), new_token("b")
    tokens.write_text(f"{line}\n")
    config.write_text(f"[auth]\ntokens_file : {tokens}\n[sharq-server]\naccesslog : {access_log}\n")
    server = start("--config", str(config))
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    tokens.write_text(f"{line}\n{other_line}\n")
    config.write_text(config.read_text() + "max_connections : 5\n[log]\nlevel : debug\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: " reloaded " in server.stderr)
    (said,) = [line for line in server.stderr.splitlines() if " reloaded " in line]
    for what in (str(tokens), f"access log {access_log}", "[log] format and level"):
        assert what in said
    assert "needs_restart='[sharq-server] max_connections'" in said
    headers = {"Authorization": f"Bearer {other}"}
    async with http.get(f"{url}/deepstatus/", headers=headers) as answer:
        assert answer.status == 200
    assert server.stop() == 0


async def test_sighup_with_a_wrong_file_says_so_and_changes_nothing(
    start: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    config = tmp_path / "sharq.conf"
    config.write_text("[log]\nlevel : info\n")
    server = start("--config", str(config))
    await until_status(http, f"{server.url()}/readyz", 200)
    config.write_text("[log]\nlevel : loud\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: "reload_failed" in server.stderr)
    assert "[log] level: expected debug or info or warning or error, got" in server.stderr
    assert await status_of(http, f"{server.url()}/readyz") == 200
    assert server.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="no other system bounds the memory of another process")
async def test_a_server_that_can_start_no_thread_stops_all_the_same(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start()
    assert await enqueue(http, server.url()) == 201
    bound_memory(server.process.pid, 4 << 20)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: "stop_without_thread" in server.stderr)
    assert server.exit_code() == 0


def bound_memory(pid: int, more_bytes: int) -> None:
    """Let a process have so many bytes more of address space than now: less than the stack of a thread."""
    size_bytes = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * 4096
    resource.prlimit(pid, resource.RLIMIT_AS, (size_bytes + more_bytes, resource.RLIM_INFINITY))


async def test_signals_of_the_originals_scripts_do_nothing(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start()
    url = server.url()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
        server.process.send_signal(number)
        said = f"signal_without_effect signal={number.name}"
        server.until(lambda said=said: said in server.stderr)  # type: ignore[misc]
    assert await enqueue(http, url) == 201
    assert server.stop() == 0


async def test_sigquit_stops_in_order(start: StartServer, http: aiohttp.ClientSession) -> None:
    server = start()
    url = server.url()
    assert await enqueue(http, url) == 201
    assert server.stop(signal.SIGQUIT) == 0
    assert "stopping signal=SIGQUIT" in server.stderr


async def test_a_store_that_hangs_does_not_make_the_stop_take_longer_than_its_timeout(
    start: StartServer, http: aiohttp.ClientSession, stopwatch: Stopwatch
) -> None:
    server = start(SHARQ_SERVER_SHUTDOWN_TIMEOUT="3000")
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url) == 201
    os.kill(server.store_pid(), signal.SIGSTOP)
    stopwatch.start()
    assert server.stop() == 1, "it did not end in order"
    stopwatch.assert_within(3.0 + MARGIN_S)
    assert "embedded_store_killed" in server.stderr
    server = start()
    async with http.get(f"{server.url()}/queue/sms/1/") as answer:
        assert (await answer.json())["queued"] == 1, "what was acknowledged is in its file"
    assert server.stop() == 0


async def test_clients_that_neither_read_nor_send_do_not_make_the_stop_take_longer(
    start: StartServer, http: aiohttp.ClientSession, stopwatch: Stopwatch
) -> None:
    """One has sent half a body; one does not read the large answer that it has asked for."""
    server = start(SHARQ_SERVER_SHUTDOWN_TIMEOUT="2000")
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    for number in range(40):
        body = {"job_id": str(number), "interval": 0, "payload": "x" * 200_000}
        async with http.post(f"{url}/enqueue/sms/1/", json=body) as answer:
            assert answer.status == 201
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((host, int(port)))
        silent.sendall(b"POST /enqueue/sms/1/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        deaf.sendall(b"GET /dequeue/sms/?count=40 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.until(lambda: bool(deaf.recv(1, socket.MSG_PEEK)))
        stopwatch.start()
        assert server.stop() == 0
        stopwatch.assert_within(2.0 + MARGIN_S)
        assert "connections_cut_off count=2 reason=stop" in server.stderr


def test_a_second_server_on_the_port_fails_before_it_touches_its_directory(
    start: StartServer, tmp_path: Path
) -> None:
    port = start().url().rpartition(":")[2]
    exit_code, _, said = run(tmp_path, "--port", port, "--data-dir", str(tmp_path / "other"))
    assert exit_code == 1
    assert (
        said == f"sharq-server: 127.0.0.1:{port} is in use by another process; --port chooses another port\n"
    )
    assert not (tmp_path / "other").exists()


STANDS_STILL = """
import asyncio, sys, time
from sharq_core.process.event_loop import run_program
from sharq_core.process.stop import serve_until_stopped

class Service:
    def __init__(self, stack, stop):
        stack.callback(time.sleep, 60)

    async def start(self):
        print("ready")

    async def supervise(self):
        await asyncio.Event().wait()

    def why_not_ready(self):
        return None

sys.exit(run_program("test", lambda: serve_until_stopped(Service, 0.1)))
"""


def test_a_stop_in_which_the_event_loop_stands_still_ends_all_the_same(stopwatch: Stopwatch) -> None:
    command = [sys.executable, "-c", STANDS_STILL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        stopwatch.start()
        process.terminate()
        _, said = process.communicate(timeout=30)
    stopwatch.assert_within(0.1 + MARGIN_S + 2.0)
    assert process.returncode == 1
    assert "CRITICAL stop_overdue limit_s=3.1" in said
