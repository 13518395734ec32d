"""The `sharq-cluster` command as a process: what it says, starts, refuses and leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from sharq_core.version import __version__
from tests.support.demo_verdict import broken_promises
from tests.support.extent import is_full
from tests.support.pids import is_alive, until_gone
from tests.support.ports import free_ports_in_a_row, is_free
from tests.support.processes.commands import CLUSTER_START_S, CLUSTER_STOP_S, ClusterCommand

ROOT = Path(__file__).parents[3]


Start = Callable[..., ClusterCommand]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts commands in one directory; what still runs at the end is killed."""
    started: list[ClusterCommand] = []

    def start_command(*arguments: str, **environ: str) -> ClusterCommand:
        started.append(ClusterCommand(tmp_path, *arguments, **environ))
        return started[-1]

    yield start_command
    for command in started:
        command.end()


def ask(url: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON answer of a GET, or of a POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def enqueue(url: str, queue_id: str, job_id: str) -> None:
    body = {"job_id": job_id, "interval": 0, "payload": job_id}
    status, answer = ask(f"{url}/enqueue/sms/{queue_id}/", body)
    assert status == 201, answer


def until_enqueued(command: ClusterCommand, url: str, queue_id: str, job_id: str) -> None:
    """Repeat what is answered 503, as it may be while a shard is gone and the last one is busy: nothing was done."""

    def is_queued() -> bool:
        body = {"job_id": job_id, "interval": 0, "payload": job_id}
        status, answer = ask(f"{url}/enqueue/sms/{queue_id}/", body)
        assert status in {201, 503}, answer
        return status == 201

    command.until(is_queued)


def dequeue(url: str) -> str | None:
    _, answer = ask(f"{url}/dequeue/sms/?wait=1000")
    return answer.get("job_id")


def run(directory: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code and outputs of a command that ends by itself."""
    command = ClusterCommand(directory, *arguments, **environ)
    try:
        return command.process.wait(CLUSTER_START_S), command.stdout, command.stderr
    finally:
        command.process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_started_cluster_serves_one_namespace_and_stops_in_ten_seconds(
    start: Start, how: signal.Signals
) -> None:
    command = start("--routers", "2", "--shards", "2")
    first, second = command.urls("router")
    assert (first, second) == (f"http://127.0.0.1:{command.port}", f"http://127.0.0.1:{command.port + 1}")
    assert (len(command.urls("shard")), len(command.urls("store"))) == (2, 1)
    command.until(lambda: bool(command.stdout))  # it is announced after the state file is written
    (ready,) = command.stdout.splitlines()
    assert f"{__version__} is ready: {first} {second} " in ready
    enqueue(first, "1", "a")
    assert dequeue(second) == "a"
    pids = command.pids()
    assert all(map(is_alive, pids))
    assert command.stop(how) == 0, command.stderr
    assert not [pid for pid in pids if is_alive(pid)]
    assert not command.state_path.exists()
    assert "process_died" not in command.stderr
    assert "process_killed" not in command.stderr


def test_files_name_the_serving_processes_and_where_they_answer(start: Start, tmp_path: Path) -> None:
    command = start("--routers", "1", "--shards", "2", "--prometheus", "targets.json")
    for process in command.processes():
        assert set(process) == {"role", "pid", "url"}
    urls = command.urls("router") + command.urls("shard")
    for url in urls:
        assert ask(f"{url}/readyz")[0] == 200
    assert json.loads((tmp_path / "targets.json").read_text()) == [
        {
            "targets": [url.removeprefix("http://")],
            "labels": {"job": f"sharq-{name.partition('-')[0]}", "cluster": "data", "instance": name},
        }
        for url, name in zip(urls, ("router-1", "shard-1", "shard-2"), strict=True)
    ]
    (store,) = command.urls("store")
    with redis.Redis.from_url(store) as client:
        assert client.info()["process_id"] == command.pids("store")[0]
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("appendfsync")["appendfsync"] == "everysec"
    for url in command.urls("shard") + command.urls("store"):
        port = int(re.findall(r":(\d+)", url)[0])
        assert port not in range(command.port, command.port + 1)


def test_dead_child_is_reported_with_its_log_and_the_others_go_on(start: Start) -> None:
    command = start("--routers", "2", "--shards", "2")
    (first, second), pids = command.urls("router"), command.pids()
    os.kill(command.pids("router")[0], signal.SIGKILL)
    command.until(lambda: "router-1" in command.stderr)
    os.kill(command.pids("shard")[1], signal.SIGKILL)
    command.until(lambda: "shard-2" in command.stderr)
    command.until(lambda: "logs/shard-2.log ends with:\n  " in command.stderr)
    assert f"shard-2 (pid {command.pids('shard')[1]}) was ended by SIGKILL" in command.stderr
    until_enqueued(command, second, "1", "a")
    assert dequeue(second) == "a"
    assert is_free(int(first.rpartition(":")[2])), "it is not started again"
    assert command.stop() == 0
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_killed_command_leaves_no_process_behind_and_its_data_to_the_next(start: Start) -> None:
    command = start("--routers", "1", "--shards", "1")
    (url,), pids = command.urls("router"), command.pids()
    enqueue(url, "1", "a")
    command.process.kill()
    command.process.wait()
    until_gone(pids, CLUSTER_STOP_S)
    again = start("--routers", "1", "--shards", "1")
    again.until(lambda: "ready" in again.stdout)
    assert dequeue(again.urls("router")[0]) == "a"


@pytest.mark.slow
def test_redis_cluster_is_made_and_made_again_without_losing_a_job(start: Start) -> None:
    jobs = {f"q{number}": f"j{number}" for number in range(100)}
    command = start("--store", "cluster", "--routers", "1", "--shards", "2")
    (url,), stores = command.urls("router"), command.urls("store")
    for queue_id, job_id in jobs.items():
        enqueue(url, queue_id, job_id)
    assert roles(stores) == {"master": 3, "slave": 3}
    assert command.stop() == 0, command.stderr
    again = start("--store", "cluster", "--routers", "1", "--shards", "2")
    (url,), stores = again.urls("router"), again.urls("store")
    assert {dequeue(url) for _ in jobs} == set(jobs.values())
    assert roles(stores) == {"master": 3, "slave": 3}


@pytest.mark.slow
def test_redis_cluster_is_made_again_after_a_failover(start: Start) -> None:
    command = start("--store", "cluster", "--routers", "1", "--shards", "1")
    (url,), stores = command.urls("router"), command.urls("store")
    enqueue(url, "1", "a")
    os.kill(command.pids("store")[0], signal.SIGKILL)
    command.until(lambda: roles(stores[1:]) == {"master": 3, "slave": 2})
    enqueue(url, "2", "b")
    assert command.stop() == 0, command.stderr
    again = start("--store", "cluster", "--routers", "1", "--shards", "1")
    (url,) = again.urls("router")
    assert {dequeue(url), dequeue(url)} == {"a", "b"}


@pytest.mark.slow
@pytest.mark.skipif(not is_full(), reason="half a minute; make demo CLUSTER=1 does the same")
def test_demo_keeps_every_promise_on_a_cluster_that_loses_a_shard_and_a_router() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--cluster"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    for name in (r"shard \d of 3", r"router \d of 2"):
        assert re.search(rf"{name}, process \d+, is killed", done.stdout)
        assert re.search(rf"{name} was killed: the full rate ", done.stdout)
    assert not broken_promises(done.stdout, done.returncode), done.stdout + done.stderr
    assert ("none lost" in done.stdout) == (done.returncode == 0)


def roles(stores: list[str]) -> dict[str, int]:
    """Return the number of servers of each role."""
    found: dict[str, int] = {}
    for url in stores:
        with redis.Redis.from_url(url) as client:
            role = client.info("replication")["role"]
            found[role] = found.get(role, 0) + 1
    return found


def test_port_in_use_is_named(tmp_path: Path) -> None:
    first = free_ports_in_a_row(2)
    port = first + 1
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        exit_code, stdout, stderr = run(tmp_path, "--port", str(first))
    assert (exit_code, stdout) == (1, "")
    assert (
        f"sharq-cluster: 127.0.0.1:{port} is in use by another process; --port chooses another port" in stderr
    )


def test_data_directory_in_use_is_named_with_its_holder(start: Start, tmp_path: Path) -> None:
    command = start("--routers", "1", "--shards", "1")
    command.processes()
    other = tmp_path / "other"
    other.mkdir()
    exit_code, _, stderr = run(other, "--data-dir", str(tmp_path / "data"))
    assert exit_code == 1
    assert f"is in use by process {command.process.pid}" in stderr


def test_data_of_the_other_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "cluster-1").mkdir(parents=True)
    exit_code, _, stderr = run(tmp_path)
    assert exit_code == 2
    assert "holds the data of --store cluster; --store single needs another directory" in stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--routers", "0"], "--routers: expected a whole number from 1 to 64, got '0'"),
        (["--shards", "many"], "--shards: expected a whole number from 1 to 64, got 'many'"),
        (["--port", "65535", "--routers", "2"], "--port: 2 routers from 65535 on end past 65535"),
        (["--store", "mysql"], "--store: invalid choice: 'mysql'"),
        (["--state-file", "no/such/state.json"], "--state-file: there is no directory"),
        (["--prometheus", "no/such/targets.json"], "--prometheus: there is no directory"),
        (["--prometheus", "targets"], "--prometheus: expected a file name that ends in .json, got targets"),
        (["--config", "missing.conf"], "missing.conf"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
)
def test_wrong_argument_is_refused_by_name(tmp_path: Path, arguments: list[str], words: str) -> None:
    exit_code, stdout, stderr = run(tmp_path, *arguments)
    assert (exit_code, stdout) == (2, "")
    assert words in stderr
    assert not (tmp_path / "data").exists()


def test_a_durability_that_takes_replicas_is_refused_on_one_server(tmp_path: Path) -> None:
    exit_code, _, stderr = run(tmp_path, SHARQ_REDIS_DURABILITY="replicated")
    assert exit_code == 2
    assert "[redis] durability: replicated needs replicas; use --store cluster" in stderr


def test_configured_store_is_refused_and_not_silently_left_out(tmp_path: Path) -> None:
    exit_code, _, stderr = run(tmp_path, SHARQ_REDIS_URL="redis://10.0.0.9/0")
    assert exit_code == 2
    assert "[redis] url: sharq-cluster starts its own stores" in stderr


def test_settings_of_the_file_reach_routers_and_shards(start: Start, tmp_path: Path) -> None:
    config = "[cluster]\npartitions : 8\n[sharq]\nmax_payload_bytes : 100\n[redis]\nkey_prefix : mine\n"
    (tmp_path / "sharq.conf").write_text(config)
    command = start("--routers", "1", "--shards", "1", "--config", "sharq.conf")
    (url,) = command.urls("router")
    assert ask(f"{url}/cluster/")[1]["partitions"] == 8
    assert ask(f"{url}/enqueue/sms/1/", {"job_id": "a", "interval": 0, "payload": "x" * 200})[0] == 413
    enqueue(url, "1", "b")
    with redis.Redis.from_url(command.urls("store")[0]) as client:
        assert all(b"mine:" in key for key in client.keys("*"))


def test_child_that_cannot_start_ends_the_command_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "data" / "single-1" / "appendonlydir").mkdir(parents=True)
    broken = tmp_path / "data" / "single-1" / "appendonlydir" / "appendonly.aof.manifest"
    broken.write_text("this is no manifest\n")
    exit_code, stdout, stderr = run(tmp_path)
    assert (exit_code, stdout) == (1, "")
    assert re.search(
        r"sharq-cluster: store-1 \(pid \d+\) ended with exit code 1; \S+store-1.log ends with:\n  ", stderr
    )
    assert not (tmp_path / "state.json").exists()


def test_version_and_help_are_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "--version") == (0, f"sharq-cluster {__version__}\n", "")
    exit_code, text, _ = run(tmp_path, "--help")
    assert exit_code == 0
    options = (
        "--routers",
        "--shards",
        "--port",
        "--store",
        "--data-dir",
        "--state-file",
        "--prometheus",
        "--config",
    )
    for option in options:
        assert option in text


def test_a_second_cluster_on_the_ports_ends_while_the_first_one_still_starts(
    start: Start, tmp_path: Path
) -> None:
    first = start("--routers", "1", "--shards", "1")
    first.until(lambda: not is_free(first.port))
    assert not first.state_path.exists(), "it is not ready yet"
    exit_code, _, said = run(tmp_path, "--port", str(first.port), "--data-dir", str(tmp_path / "other"))
    assert exit_code == 1
    assert f"127.0.0.1:{first.port} is in use by another process; --port chooses another port" in said
    (url,) = first.urls("router")
    assert ask(f"{url}/healthz")[0] == 200


def test_a_second_cluster_on_the_ports_leaves_the_state_file_of_the_first_one(
    start: Start, tmp_path: Path
) -> None:
    first = start("--routers", "1", "--shards", "1")
    processes = first.processes()
    exit_code, _, _ = run(tmp_path, "--port", str(first.port), "--data-dir", str(tmp_path / "other"))
    assert exit_code == 1
    assert first.processes() == processes


def test_sighup_is_passed_on_to_routers_and_shards(start: Start, tmp_path: Path) -> None:
    command = start("--routers", "1", "--shards", "1")
    pids = command.pids()
    command.process.send_signal(signal.SIGHUP)
    logs = tmp_path / "data" / "logs"
    for name in ("router-1", "shard-1"):
        command.until(lambda name=name: " reloaded " in (logs / f"{name}.log").read_text())  # type: ignore[misc]
    command.until(lambda: " reloaded " in command.stderr)
    assert all(map(is_alive, pids))
