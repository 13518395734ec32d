"""A wiped store under real processes: what they say at /readyz and /cluster/, and the operator's command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sharq_core.config import parse_url
from tests.support.ports import free_port
from tests.support.processes.commands import ended
from tests.support.processes.servers import PATIENT, SharqCluster, SharqProcess, SharqServer, get_json
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import WRITTEN_AOF, StoreFactory, StoreServer

NOTICED_WITHIN_S = 2.0
BUSY_S = 5.0

SAVED = "saved-58c1e0b7"
"""The id of a job. The files of a store have the Lua library as well, which has every common word."""


@pytest.fixture
def server(own_store: StoreFactory) -> StoreServer:
    return own_store(*WRITTEN_AOF)


@pytest.fixture
def environ(prefix: str) -> dict[str, str]:
    return {"SHARQ_REDIS_KEY_PREFIX": prefix, "SHARQ_CLUSTER_PARTITIONS": "16", **PATIENT}


@pytest.fixture
def cluster(tmp_path: Path, server: StoreServer, environ: dict[str, str]) -> Iterator[SharqCluster]:
    cluster = SharqCluster(tmp_path, parse_url(server.url), environ, routers=1, shards=2)
    try:
        cluster.start()
        yield cluster
    finally:
        for process in (*cluster.routers, *cluster.shards):
            if process.is_running:
                process.kill()


def post(url: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """The status and the answer of a POST."""
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def enqueue(url: str, job_id: str) -> tuple[int, dict[str, Any]]:
    return post(f"{url}/enqueue/sms/q/", {"job_id": job_id, "interval": 0, "payload": 1})


def reason(process: SharqProcess) -> str:
    """Return the reason that a process gives for not being ready."""
    try:
        with urllib.request.urlopen(f"{process.url}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def accept(module: str, environ: dict[str, str], *words: str, cwd: Path | None = None) -> str:
    """Run the operator's command; returns what it says."""
    done = ended(module, "--accept-data-loss", *words, directory=cwd, environ=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_process_says_it_and_goes_on_after_the_command(
    cluster: SharqCluster, server: StoreServer, stopwatch: Stopwatch
) -> None:
    (router,) = cluster.routers
    assert enqueue(router.url, "gone")[0] == 201
    with server.client() as client:
        client.flushall()
    stopwatch.start()
    for process in (*cluster.shards, router):
        process.until_status(503)
    stopwatch.assert_within(NOTICED_WITHIN_S + BUSY_S)
    for process in (*cluster.shards, router):
        assert "should hold the data set" in reason(process)
    status, answer = enqueue(router.url, "refused")
    assert (status, answer["code"]) == (503, "unavailable")
    assert "accepts the loss" in answer["message"]
    assert "127.0.0.1" not in answer["message"]
    assert post(f"{router.url}/dequeue/sms/")[0] == 503
    assert [member["node"] for member in members_of(router)] == ["shard-1", "shard-2"]
    router.until(lambda: all(member["store"] for member in members_of(router)))
    for member in members_of(router):
        assert "should hold the data set" in member["store"]["notices"][0]
    for shard in cluster.shards:
        shard.until(lambda shard=shard: " CRITICAL " in shard.log)  # type: ignore[misc]
        metrics = metrics_of(shard)
        assert metrics["sharq_store_lost_partitions"] == 16
        assert metrics["sharq_store_data_losses_total"] == 1
        assert metrics['sharq_store_notices{check="data_lost"}'] == 1
    said = accept("shard.main", cluster.environ)
    assert "accepted: the data set is" in said
    for process in (*cluster.shards, router):
        process.until_status(200)
    assert enqueue(router.url, "after")[0] == 201
    assert post(f"{router.url}/dequeue/sms/?wait=5000")[1]["job_id"] == "after"
    assert "nothing to accept" in accept("shard.main", cluster.environ)


def members_of(router: SharqProcess) -> list[dict[str, Any]]:
    """The shards as a router names them."""
    return list(get_json(f"{router.url}/cluster/")["members"])


def metrics_of(process: SharqProcess) -> dict[str, float]:
    """Its metrics, each with its labels."""
    with urllib.request.urlopen(f"{process.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    rows = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


def test_a_shard_of_another_number_is_turned_away_before_and_after_a_wipe(
    cluster: SharqCluster, server: StoreServer
) -> None:
    for number in range(2):
        other = cluster.make_shard("other", f"other{number}", SHARQ_CLUSTER_PARTITIONS="32")
        other.launch()
        assert other.wait() == 2
        assert "partitions: 32 is configured, but the store's data was made with 16" in other.log
        with server.client() as client:
            client.flushall()
        for shard in cluster.shards:
            shard.until_status(503)
    assert [member["node"] for member in get_json(f"{cluster.urls[0]}/cluster/")["members"]] == [
        "shard-1",
        "shard-2",
    ]


def test_a_command_that_cannot_reach_the_store_says_so(prefix: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    done = ended("shard.main", "--accept-data-loss", environ={"SHARQ_REDIS_URL": url})
    assert done.returncode == 1
    assert "the loss was not accepted" in done.stderr


def test_a_server_on_a_wiped_store_goes_on_after_its_own_command(
    tmp_path: Path, server: StoreServer, environ: dict[str, str]
) -> None:
    environ = {**environ, "SHARQ_REDIS_URL": server.url}
    sharq = SharqServer(tmp_path, environ=environ)
    try:
        sharq.start()
        with server.client() as client:
            client.flushall()
        sharq.until_status(503)
        assert "should hold the data set" in reason(sharq)
        assert enqueue(sharq.url, "refused")[0] == 503
        sharq.kill()
        sharq.launch()
        sharq.until(lambda: enqueue_or_none(sharq.url) == 503)
        assert "should hold the data set" in reason(sharq), "it was told by the store"
        accept("sharq_server.main", environ)
        sharq.until_status(200)
        assert enqueue(sharq.url, "after")[0] == 201
    finally:
        sharq.stop()


def enqueue_or_none(url: str) -> int | None:
    """The status of an enqueue; None while nobody listens."""
    try:
        return enqueue(url, "refused")[0]
    except OSError:
        return None


@pytest.fixture
def embedded() -> Iterator[tuple[SharqServer, Path]]:
    """A server on an embedded store, and its data directory; its path is short for the socket's sake."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as name:
        folder = Path(name)
        sharq = SharqServer(folder, "--data-dir", str(folder / "data"))
        try:
            sharq.start()
            yield sharq, folder / "data"
        finally:
            if sharq.is_running:
                sharq.kill()


@pytest.mark.parametrize("what", ["data", "data/appendonlydir"])
def test_a_deleted_directory_of_the_embedded_store_is_noticed(
    embedded: tuple[SharqServer, Path], what: str, stopwatch: Stopwatch
) -> None:
    sharq, data_dir = embedded
    assert enqueue(sharq.url, "in-memory")[0] == 201
    stopwatch.start()
    shutil.rmtree(data_dir.parent / what)
    sharq.until_status(503)
    stopwatch.assert_within(NOTICED_WITHIN_S + BUSY_S)
    assert "deleted" in reason(sharq)
    assert enqueue(sharq.url, "refused")[0] == 503
    (member,) = get_json(f"{sharq.url}/cluster/")["members"]
    assert "deleted" in member["store"]["notices"][0]
    sharq.until(lambda: " CRITICAL " in sharq.log)


def test_an_embedded_store_that_lost_its_files_is_noticed_across_a_restart(
    embedded: tuple[SharqServer, Path],
) -> None:
    sharq, data_dir = embedded
    sharq.until((data_dir / "data-set").exists)
    noted = (data_dir / "data-set").read_text()
    assert sharq.stop() == 0
    shutil.rmtree(data_dir / "appendonlydir")
    sharq.launch()
    sharq.until(lambda: enqueue_or_none(sharq.url) == 503)
    assert noted.strip() in reason(sharq)
    assert "accepted" in accept("sharq_server.main", {}, "--data-dir", str(data_dir))
    sharq.until_status(200)
    sharq.until(lambda: (data_dir / "data-set").read_text() != noted)
    assert enqueue(sharq.url, "after")[0] == 201


@pytest.mark.slow
def test_a_loss_of_an_embedded_store_at_rest_is_accepted(embedded: tuple[SharqServer, Path]) -> None:
    sharq, data_dir = embedded
    sharq.until((data_dir / "data-set").exists)
    assert sharq.stop() == 0
    assert "nothing to accept" in accept("sharq_server.main", {}, "--data-dir", str(data_dir))
    shutil.rmtree(data_dir / "appendonlydir")
    assert "accepted" in accept("sharq_server.main", {}, "--data-dir", str(data_dir))
    sharq.start()
    assert enqueue(sharq.url, "after")[0] == 201


def test_a_deleted_directory_begins_anew_with_the_next_start(embedded: tuple[SharqServer, Path]) -> None:
    sharq, data_dir = embedded
    shutil.rmtree(data_dir)
    sharq.until_status(503)
    sharq.signal(signal.SIGTERM)
    sharq.wait()
    sharq.start()
    assert enqueue(sharq.url, "new")[0] == 201


def test_an_embedded_store_that_dies_and_keeps_its_files_goes_on(
    embedded: tuple[SharqServer, Path],
) -> None:
    sharq, data_dir = embedded
    assert enqueue(sharq.url, SAVED)[0] == 201
    # While the disk is slow, the store may write its file up to two seconds later (everysec).
    sharq.until(lambda: any(SAVED.encode() in path.read_bytes() for path in data_dir.rglob("*.aof")))
    sharq.until(lambda: "embedded_store_ready pid=" in sharq.log)
    (pid,) = re.findall(r"embedded_store_ready pid=(\d+)", sharq.log)
    os.kill(int(pid), signal.SIGKILL)
    sharq.until(lambda: enqueue_or_none(sharq.url) == 201)
    sharq.until_status(200)
    assert post(f"{sharq.url}/dequeue/sms/?wait=5000")[1]["job_id"] == SAVED
    assert data_dir.is_dir()
