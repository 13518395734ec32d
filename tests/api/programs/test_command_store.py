"""The store of a `sharq-server`: away at the start, dead in mid-run, of another deployment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes.commands import (
    JOB,
    JOB_ID,
    Server,
    StartServer,
    dequeue,
    enqueue,
    until_status,
)
from tests.support.processes.file_limit import without_files
from tests.support.stores.server import StoreFactory, StoreServer

each_form = pytest.mark.parametrize("words", [(), ("--workers", "2")], ids=["one process", "workers"])


async def test_a_store_that_is_away_at_the_start_is_waited_for(
    start: StartServer, http: aiohttp.ClientSession, own_store: StoreFactory
) -> None:
    store: StoreServer = own_store(kind="valkey")
    store.stop()
    server = start(SHARQ_REDIS_URL=f"redis://:hunter2@127.0.0.1:{store.port}/0")
    url = server.url()
    await until_status(http, f"{url}/readyz", 503)
    async with http.post(f"{url}/enqueue/sms/1/", json=JOB) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
    assert server.process.poll() is None
    assert server.stop() == 0
    assert "store_" in server.stderr
    assert "hunter2" not in server.stderr + server.stdout


async def test_a_store_that_comes_later_is_used_without_a_restart(
    start: StartServer, http: aiohttp.ClientSession, own_store: StoreFactory
) -> None:
    store: StoreServer = own_store(kind="valkey")
    store.stop()
    server = start(SHARQ_REDIS_URL=store.url)
    await until_status(http, f"{server.url()}/readyz", 503)
    store.start()
    await until_status(http, f"{server.url()}/readyz", 200)
    assert await enqueue(http, server.url()) == 201


def until_saved(server: Server, folder: Path) -> None:
    """Wait until the job is in the file of the embedded store, which may write it up to two seconds late (everysec)."""
    files = folder / "data" / "appendonlydir"
    server.until(lambda: any(JOB_ID.encode() in path.read_bytes() for path in files.glob("*.aof")))


async def test_an_embedded_store_that_dies_comes_back_with_its_jobs(
    start: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server = start()
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url) == 201
    until_saved(server, tmp_path)
    dead = server.store_pid()
    os.kill(dead, signal.SIGKILL)
    server.until(lambda: server.store_pid() != dead)
    assert f"embedded_store_died pid={dead} exit_code=-9" in server.stderr
    assert "embedded_store_restarting pause_s=0.0: it died, and is started again" in server.stderr
    await until_status(http, f"{url}/deepstatus/", 200)
    assert await dequeue(http, url, "?wait=30000") == JOB_ID


LOOK_AGAIN_S = 0.002
"""A store takes ten times as long to start."""


def kill_stores_until(server: Server, is_enough: Callable[[], bool]) -> None:
    """Kill the server's store, and each one that it starts then, as soon as it is there."""
    known = children_of(server)
    os.kill(server.store_pid(), signal.SIGKILL)
    while not is_enough():
        assert server.process.poll() is None, server.stderr
        new = children_of(server) - known
        for pid in new:
            os.kill(pid, signal.SIGKILL)
        known |= new
        time.sleep(LOOK_AGAIN_S)


def children_of(server: Server) -> set[int]:
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@each_form
async def test_a_store_that_is_killed_as_it_starts_again_is_started_once_more(
    start: StartServer, http: aiohttp.ClientSession, words: tuple[str, ...], tmp_path: Path
) -> None:
    server = start(*words)
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    assert await enqueue(http, url) == 201
    until_saved(server, tmp_path)
    kill_stores_until(server, lambda: "embedded_store_start_cut_short" in server.stderr)
    server.until(lambda: server.stderr.count("embedded_store_ready") > server.stderr.count("store_died"))
    await until_status(http, f"{url}/deepstatus/", 200)
    assert await dequeue(http, url, "?wait=30000") == JOB_ID
    assert server.stop() == 0


def test_a_stop_between_two_starts_of_the_store_ends_at_once(start: StartServer) -> None:
    server = start(SHARQ_SERVER_SHUTDOWN_TIMEOUT="1000")
    server.url()
    kill_stores_until(server, lambda: server.stderr.count("embedded_store_start_cut_short") == 3)
    server.stop()
    assert "stopping signal=SIGTERM" in server.stderr
    assert "stop_overdue" not in server.stderr and "Traceback" not in server.stderr


@each_form
async def test_a_system_without_files_for_a_moment_does_not_end_the_server(
    start: StartServer, http: aiohttp.ClientSession, words: tuple[str, ...]
) -> None:
    server = start(*words)
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    with without_files(server.process.pid):
        os.kill(server.store_pid(), signal.SIGKILL)
        server.until(lambda: "embedded_store_start_cut_short" in server.stderr)
    await until_status(http, f"{url}/deepstatus/", 200)
    assert server.stop() == 0


def test_a_store_that_cannot_come_back_ends_the_server(start: StartServer, tmp_path: Path) -> None:
    server = start()
    server.url()
    manifest = next((tmp_path / "data" / "appendonlydir").glob("*.manifest"))
    manifest.write_text("no manifest at all\n")
    os.kill(server.store_pid(), signal.SIGKILL)
    assert server.exit_code() == 1
    assert "sharq-server: the embedded store ended with exit code 1" in server.stderr


async def test_the_data_of_an_original_deployment_is_said_loudly_and_left_alone(
    start: StartServer, http: aiohttp.ClientSession, own_store: StoreFactory
) -> None:
    store: StoreServer = own_store(kind="redis")
    with store.client() as client:
        client.sadd("sharq_server:ready:queue_type", "sms")
        client.zadd("sharq_server:sms", {"1": 1})
        client.rpush("sharq_server:sms:1", "a", "b")
        server = start(SHARQ_REDIS_URL=store.url)
        server.until(lambda: "original_data_found" in server.stderr)
        assert (
            "WARNING original_data_found key_prefix=sharq_server: the store holds jobs of the original SHARQ"
            in server.stderr
        )
        assert await dequeue(http, server.url()) is None
        assert client.lrange("sharq_server:sms:1", 0, -1) == [b"a", b"b"]


async def test_data_made_with_another_number_of_partitions_is_refused(
    start: StartServer, http: aiohttp.ClientSession
) -> None:
    server = start()
    await until_status(http, f"{server.url()}/readyz", 200)
    assert server.stop() == 0
    server = start(SHARQ_CLUSTER_PARTITIONS="32")
    assert server.exit_code() == 2
    assert "32" in server.stderr
    assert "64" in server.stderr


def test_a_dead_server_takes_its_embedded_store_along(start: StartServer, tmp_path: Path) -> None:
    server = start()
    server.url()
    server.process.kill()
    server.process.wait()
    again = start()
    again.url()
    assert again.stop() == 0
