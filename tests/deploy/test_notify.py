"""The programs as systemd starts them with `Type=notify`: what they send to the socket that $NOTIFY_SOCKET names."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sharq_core.config import parse_url
from sharq_core.process.service_manager import find_service_manager
from tests.support.processes.commands import Server
from tests.support.processes.servers import SharqCluster, SharqProcess
from tests.support.processes.told import Manager
from tests.support.stores.server import StoreFactory

DEADLINE_S = 60.0


@pytest.fixture
def make_manager(tmp_path: Path) -> Iterator[Callable[[str], Manager]]:
    """Makes listeners, which end with the test."""
    made: list[Manager] = []

    def make(address: str) -> Manager:
        made.append(Manager(address))
        return made[-1]

    yield make
    for manager in made:
        manager.close()


def test_a_server_tells_of_readiness_reload_life_and_stop_and_its_store_cannot(
    make_manager: Callable[[str], Manager], tmp_path: Path
) -> None:
    manager = make_manager(f"@{tmp_path}")
    server = Server(tmp_path, **manager.environ, WATCHDOG_USEC="300000")
    try:
        manager.until_told("READY=1")
        store = Path(f"/proc/{server.store_pid()}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in store
        assert b"WATCHDOG_USEC" not in store
        server.process.send_signal(signal.SIGHUP)
        manager.until_told("READY=1", times=2)
        manager.until_told("WATCHDOG=1", times=4)
        assert server.stop() == 0
    finally:
        server.end()
    told = [line for line in manager.told() if line != "WATCHDOG=1"]
    stamp = told[3].removeprefix("MONOTONIC_USEC=")
    assert told == [
        *("READY=1", "STATUS=ready"),
        *("RELOADING=1", f"MONOTONIC_USEC={stamp}", "READY=1"),
        *("STOPPING=1", "STATUS=stopping"),
    ]
    assert 0 < time.monotonic() - int(stamp) / 1_000_000 < DEADLINE_S


def test_a_router_and_a_shard_are_ready_when_readyz_says_so_and_say_before_why_not(
    make_manager: Callable[[str], Manager], tmp_path: Path, own_store: StoreFactory
) -> None:
    store = own_store()
    store.pause()
    cluster = SharqCluster(tmp_path, parse_url(store.url), routers=0, shards=0)
    of_shard, of_router = (make_manager(str(tmp_path / f"{role}-socket")) for role in ("shard", "router"))
    shard = cluster.make_shard("shard-1", **of_shard.environ)
    cluster.shards.append(shard)
    router = cluster.make_router("router-1", **of_router.environ)
    try:
        shard.launch()
        router.launch()
        of_shard.until_told("STATUS=not ready: ")
        of_router.until_told("STATUS=not ready: no shard can be reached")
        for process, manager in ((shard, of_shard), (router, of_router)):
            assert process.status("/healthz") == 200
            assert process.status("/readyz") == 503
            assert "READY=1" not in manager.told()
        store.resume()
        for process, manager in ((shard, of_shard), (router, of_router)):
            manager.until_told("READY=1")
            assert process.status("/readyz") == 200
        for process, manager in ((router, of_router), (shard, of_shard)):
            assert end(process) == 0
            assert manager.told()[-2:] == ["STOPPING=1", "STATUS=stopping"]
            assert "WATCHDOG=1" not in manager.told(), "it was not asked for"
    finally:
        store.resume()
        router.stop()
        shard.stop()


def end(process: SharqProcess) -> int:
    """Stop it and return its exit status."""
    process.signal(signal.SIGTERM)
    return process.wait()


def test_a_process_whose_service_manager_does_not_listen_says_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_service_manager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).stopping()
    assert "service_manager_not_told what=STOPPING=1" in caplog.text
    find_service_manager({"NOTIFY_SOCKET": "vsock:2:1234"}).stopping()
    assert "service_manager_unknown socket=vsock:2:1234" in caplog.text


def test_variables_for_another_process_ask_for_nothing_and_are_gone() -> None:
    environ = {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1", "HOME": "/"}
    asyncio.run(find_service_manager(environ).beat())
    assert environ == {"HOME": "/"}
