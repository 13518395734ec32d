"""Several workers in operation: certificates, traces, systemd, a store that dies, many workers, and old files."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import ssl
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.extent import is_full
from tests.support.http.collector import Collector
from tests.support.processes.commands import Server
from tests.support.processes.servers import SharqServer, running_server
from tests.support.processes.told import Manager
from tests.support.stores.groups import make_certificates
from tests.support.stores.server import StoreFactory
from tests.support.waits import until, wait_until
from tests.workers.servers import children, clients, is_there, until_gone

ORIGINAL_FILE = Path(__file__).parents[1] / "data" / "original-server.conf"
PARENT_SPAN = "b7ad6b7169203331"

MANY = 8 if is_full() else 5
"""More workers than most machines of a CI have processors. Each is started anew, for half a second of one."""


@contextmanager
def stopped_at_end(server: SharqServer) -> Iterator[SharqServer]:
    try:
        yield server
    finally:
        server.stop()


def answers_over_tls(server: SharqServer, authority: Path) -> bool:
    """A new connection gets an answer by somebody who trusts this authority alone."""
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{server.port}/healthz", timeout=10, context=context
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def put(source: Path, folder: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(source / name, folder / name)


def test_a_renewed_certificate_is_taken_anew_by_every_worker(tmp_path: Path) -> None:
    before, after = (make_certificates(tmp_path / name) for name in ("before", "after"))
    live = tmp_path / "live"
    live.mkdir()
    put(before, live)
    environ = {
        "SHARQ_SERVER_TLS_CERT": str(live / "cert.pem"),
        "SHARQ_SERVER_TLS_KEY": str(live / "key.pem"),
    }
    with stopped_at_end(SharqServer(tmp_path, "--workers", "2", environ=environ)) as server:
        server.launch()
        server.until(lambda: answers_over_tls(server, before))
        # Connections go to the workers in turn, so four in a row reach both of them.
        assert [answers_over_tls(server, before) for _ in range(4)] == [True] * 4
        put(after, live)
        server.signal(signal.SIGHUP)
        server.until(lambda: all(answers_over_tls(server, after) for _ in range(4)))
        assert [answers_over_tls(server, before) for _ in range(4)] == [False] * 4


async def test_both_workers_send_the_spans_of_their_requests_and_of_the_store() -> None:
    with (
        Collector().running() as collector,
        running_server("--workers", "2", environ=collector.environ) as server,
    ):
        async with clients(server, 2) as made:
            for client in made:
                trace = uuid.uuid4().hex
                parent = f"00-{trace}-{PARENT_SPAN}-01"
                assert (await client.enqueue("traced", trace, "j", traceparent=parent))[0] == 201
                assert (await client.dequeue("traced"))[0] == 200
        await until(lambda: len(spans_named(collector, "FCALL enqueue")) == 2)
        await until(lambda: len(spans_named(collector, "POST /enqueue/{queue_type}/{queue_id}/")) == 2)


def spans_named(collector: Collector, name: str) -> list[str]:
    return [
        span.service for span in collector.spans() if span.name == name and span.service == "sharq-server"
    ]


def test_the_parent_alone_tells_systemd_of_readiness_reloads_life_and_stop(tmp_path: Path) -> None:
    manager = Manager(f"@{tmp_path}")
    server = Server(tmp_path, "--port", "0", "--workers", "2", **manager.environ, WATCHDOG_USEC="300000")
    try:
        manager.until_told("READY=1")
        # All children have this variable taken away, so that none can speak for the service.
        pids = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(pids) == 3
        for pid in pids:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environ and b"WATCHDOG_USEC" not in environ
        server.process.send_signal(signal.SIGHUP)
        manager.until_told("READY=1", times=2)
        manager.until_told("WATCHDOG=1", times=4)
        assert server.stop() == 0
    finally:
        server.end()
        told = [line for line in manager.told() if not line.startswith(("WATCHDOG=1", "MONOTONIC_USEC="))]
        manager.close()
    if told[0] == "STATUS=not ready: starting":  # on a slow machine
        del told[0]
    assert told == ["READY=1", "STATUS=ready", "RELOADING=1", "READY=1", "STOPPING=1", "STATUS=stopping"]


async def test_a_store_that_dies_under_the_workers_comes_back_and_one_that_dies_on_ends_the_server() -> None:
    """It comes back with every acknowledged job. In the end no worker runs."""
    with running_server("--workers", "2") as server:
        workers, (store,) = children(server)["workers"], children(server)["store"]
        async with clients(server) as made:
            for number in range(20):
                assert (await made[number % 2].enqueue("dying", f"q{number}", f"saved-{number}"))[0] == 201
            # While the disk is slow, the store may write its file up to two seconds later (everysec).
            (file,) = server.log_path.parent.rglob("*.aof")
            server.until(lambda: b"saved-19" in file.read_bytes())
            os.kill(store, signal.SIGKILL)
            for client in made:
                async with asyncio.timeout(60):
                    while (await client.enqueue("dying", f"after-{id(client)}", "j"))[0] not in {200, 201}:
                        await asyncio.sleep(0.05)
            leased: list[str] = []
            async with asyncio.timeout(60):
                while len(leased) < 22:
                    status, job = await made[len(leased) % 2].dequeue("dying", wait_ms=1_000)
                    leased += [job["queue_id"]] if status == 200 else []
        assert len(set(leased)) == 22
        assert children(server)["workers"] == workers, "no worker had to be started again"
        await asyncio.to_thread(kill_stores_until_the_end, server)
        until_gone(workers)


def kill_stores_until_the_end(server: SharqServer) -> None:
    """Kill the store each time it has started, until the server ends and says why."""
    killed: set[str] = set()

    def kill_a_new_one() -> bool:
        *_, store = re.findall(r"embedded_store_ready pid=(\d+)", server.log)
        if store not in killed and server.is_running:
            killed.add(store)
            os.kill(int(store), signal.SIGKILL)
        return not server.is_running

    wait_until(kill_a_new_one, what="the server gives up")
    assert server.wait() == 1
    last = "sharq-server: the embedded store died 6 times in a row within 10 s of its start"
    assert server.log.count(last) == 1


@pytest.mark.slow
async def test_many_workers_share_connections_and_jobs_whatever_the_processors() -> None:
    with running_server("--workers", str(MANY)) as server:
        workers = children(server)["workers"]
        assert len(workers) == MANY
        async with clients(server, 2 * MANY) as made:
            assert sorted([await client.process() for client in made]) == sorted([*range(MANY), *range(MANY)])
            sent = [made[n % len(made)].enqueue("many", f"q{n % 40}", f"j{n}") for n in range(160)]
            assert {status for status, _ in await asyncio.gather(*sent)} == {201}
            leased: list[str] = []
            async with asyncio.timeout(60):
                while len(leased) < 160:
                    answers = await asyncio.gather(*(client.dequeue("many") for client in made))
                    leased += [job["job_id"] for status, job in answers if status == 200]
            assert len(set(leased)) == len(leased) == 160
        assert await asyncio.to_thread(server.stop) == 0
        assert not any(map(is_there, workers))


def test_any_free_port_is_told_and_served_by_the_workers(tmp_path: Path) -> None:
    server = Server(tmp_path, "--port", "0", "--workers", "2", "--make-token")
    try:
        url = server.url()
        (token,) = re.findall(r"sharq_[\w-]{43}", server.stdout)
        for _ in range(4):
            request = urllib.request.Request(f"{url}/types/", headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        assert server.stop() == 0
    finally:
        server.end()


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_the_original_file_is_served_by_its_number_of_workers_or_that_of_the_command(
    tmp_path: Path, own_store: StoreFactory, words: tuple[str, ...]
) -> None:
    store = own_store(kind="redis")
    environ = {
        "SHARQ_REDIS_PORT": str(store.port),
        "SHARQ_REDIS_KEY_PREFIX": f"workers-{uuid.uuid4().hex}",
        "SHARQ_SERVER_ACCESSLOG": str(tmp_path / "access.log"),
    }
    with stopped_at_end(
        SharqServer(tmp_path, "--config", str(ORIGINAL_FILE), *words, environ=environ)
    ) as server:
        server.start()
        assert len(children(server)["workers"]) == (2 if words else 0)
        assert [server.status("/types/") for _ in range(4)] == [200] * 4
        server.until(lambda: "clustered: has no effect" in server.log)
        assert server.stop() == 0
        assert server.log.count("clustered: has no effect") == 1
    assert (tmp_path / "access.log").read_text().count("GET /types/") == 4


def test_a_reload_changes_the_level_of_every_workers_log(tmp_path: Path) -> None:
    file = tmp_path / "sharq.conf"
    file.write_text("[log]\nlevel : warning\n")
    with stopped_at_end(SharqServer(tmp_path, "--config", str(file), "--workers", "2")) as server:
        server.start()
        assert "reloaded" not in server.log
        file.write_text("[log]\nlevel : info\n")
        server.signal(signal.SIGHUP)
        server.until(lambda: server.log.count("reloaded done=") == 3)
