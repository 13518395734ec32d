"""HAProxy with deploy/haproxy/haproxy.cfg before two routers: one may be stopped, or die, under load."""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from sharq_client import AsyncClient
from sharq_client.answers import JobState
from sharq_core.config import parse_url
from sharq_core.process.launch import tied
from tests.support.load.clients import CLIENTS, running_load
from tests.support.ports import free_port
from tests.support.processes.servers import SharqCluster
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import running_store
from tests.support.tools import missing_tool

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
DEADLINE_S = 60.0


class HaProxy:
    """A running haproxy before the routers of a cluster.

    Attributes:
        url: of its front.
    """

    def __init__(self, directory: Path, cluster: SharqCluster) -> None:
        ports = [free_port(), free_port()]
        self.url, self._stats_url = (f"http://127.0.0.1:{port}" for port in ports)
        self._log_path = directory / "haproxy.log"
        self._environ = {
            **os.environ,
            "SHARQ_HAPROXY_BIND": f"127.0.0.1:{ports[0]}",
            "SHARQ_HAPROXY_STATS": f"127.0.0.1:{ports[1]}",
            **{
                f"SHARQ_ROUTER_{n}": f"127.0.0.1:{router.port}" for n, router in enumerate(cluster.routers, 1)
            },
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until both routers are in turn."""
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                tied(haproxy(), "-db", "-f", str(CONFIG)), env=self._environ, stdout=log, stderr=log
            )
        self.until("router-1", "UP")
        self.until("router-2", "UP")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE_S)

    def until(self, server: str, status: str) -> None:
        """Wait until its page shows a server in that state."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not self.row(server).get("status", "").startswith(status):
            assert time.monotonic() < deadline_s, self._log_path.read_text()
            time.sleep(0.02)

    def until_busy(self, requests: int) -> None:
        """Wait until this many requests are with the routers."""
        deadline_s = time.monotonic() + DEADLINE_S
        while int(self.row("BACKEND")["scur"]) < requests:
            assert time.monotonic() < deadline_s, self._log_path.read_text()
            time.sleep(0.02)

    def row(self, server: str) -> dict[str, str]:
        """Return the row of a server on the proxy's page; an empty one while the proxy does not listen."""
        try:
            with urllib.request.urlopen(f"{self._stats_url}/;csv", timeout=5) as page:
                lines = page.read().decode().removeprefix("# ").splitlines()
        except OSError:
            return {}
        return next(row for row in csv.DictReader(lines) if row["svname"] == server)


def haproxy() -> str:
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    return found or missing_tool("haproxy")


@pytest.fixture(scope="module")
def cluster() -> Iterator[SharqCluster]:
    haproxy()
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        cluster = SharqCluster(Path(directory), parse_url(store.url), shards=1)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


@pytest.fixture
def proxy(cluster: SharqCluster, tmp_path: Path) -> Iterator[HaProxy]:
    """It begins with both routers running."""
    for router in cluster.routers:
        if not router.is_running:
            router.start()
    proxy = HaProxy(tmp_path, cluster)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()


def test_configuration_is_valid_as_it_stands() -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}
    done = subprocess.run(
        [haproxy(), "-c", "-f", str(CONFIG)], env=environ, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.slow
async def test_router_is_stopped_and_started_again_under_load_without_a_failed_request(
    cluster: SharqCluster, proxy: HaProxy
) -> None:
    async with running_load(proxy.url) as load:
        for router in cluster.routers:
            await load.go_on(200)
            assert await asyncio.to_thread(router.stop) == 0
            await load.go_on(200)
            router.launch()
            await asyncio.to_thread(proxy.until, router.name, "UP")
        await load.go_on(200)
    assert set(load.answers) <= {200, 201, 404}, (load.answers, load.last_failure)
    assert load.answers[404] <= 2 * CLIENTS, load.answers


async def test_killed_router_is_out_of_turn_within_two_seconds(
    cluster: SharqCluster, proxy: HaProxy, stopwatch: Stopwatch
) -> None:
    victim = cluster.routers[0]
    async with running_load(proxy.url) as load:
        await load.go_on(100)
        victim.kill()
        stopwatch.start()
        await asyncio.to_thread(proxy.until, victim.name, "DOWN")
        stopwatch.assert_within(2.0)
        before = Counter(load.answers)
        await load.go_on(400)
    after = load.answers - before
    failed = {status: count for status, count in after.items() if status not in (200, 201, 404)}
    assert sum(failed.values()) <= CLIENTS, f"only what was under way may fail: {failed}"
    victim.start()
    await asyncio.to_thread(proxy.until, victim.name, "UP")


async def test_long_poll_passes_through_and_wakes_up(proxy: HaProxy) -> None:
    async with aiohttp.ClientSession() as http:
        waiting = asyncio.create_task(_dequeue(http, f"{proxy.url}/dequeue/poll/?wait=20000"))
        await asyncio.to_thread(proxy.until_busy, 1)
        job = {"job_id": "j", "interval": 0, "payload": 1}
        async with http.post(f"{proxy.url}/enqueue/poll/1/", json=job) as sent:
            assert sent.status == 201
        assert await asyncio.wait_for(waiting, DEADLINE_S) == "j"


@pytest.mark.parametrize("queue_id", ["tenant:42", "eu/acme", ".a/..b:"])
async def test_ids_with_colons_and_slashes_pass_through_as_they_are(proxy: HaProxy, queue_id: str) -> None:
    async with AsyncClient(proxy.url) as client:
        job = {"queue_type": "ids", "queue_id": queue_id, "job_id": "a/b:c", "payload": 1, "interval": 0}
        await client.enqueue(job)
        leased = await client.dequeue("ids", wait_ms=20_000)
        assert leased is not None and (leased.queue_id, leased.job_id) == (queue_id, "a/b:c")
        await client.finish(leased)
        state = await client.job("ids", queue_id, "a/b:c")
        assert state is not None and state.state is JobState.FINISHED


async def _dequeue(http: aiohttp.ClientSession, url: str) -> str:
    async with http.post(url) as answer:
        return str((await answer.json())["job_id"])
