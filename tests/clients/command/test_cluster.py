"""`sharq cluster` and `sharq bench`, on one process and on a cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sharq_client import Client
from sharq_client.cluster import Member
from tests.support.processes.commands import ClusterCommand
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.processes.sharq import Outcome, Sharq
from tests.support.stopwatch import Stopwatch
from tests.support.waits import DEADLINE_S, wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterCommand]:
    command = ClusterCommand(tmp_path, "--shards", "2", "--routers", "1")
    try:
        yield command
    finally:
        command.end()


def test_one_process_is_a_cluster_of_one(server: SharqServer) -> None:
    heading, row, *_, summary = Sharq(server.url)("cluster").out.splitlines()
    assert heading.split()[:5] == ["node", "address", "partitions", "state", "store"]
    assert row.split()[:6] == ["local", "this", "process", "64", "up", "single"]
    assert summary == "64 of 64 partitions have a node; the ring has version 1."


def until_members(sharq: Sharq, count: int) -> dict[str, Any]:
    """Return the document once so many members are in order: a shard may join before it listens."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (outcome := sharq.any_code("cluster", "--json")).code or len(outcome.document["members"]) != count:
        assert time.monotonic() < deadline_s, outcome
        time.sleep(0.1)
    found: dict[str, Any] = outcome.document
    return found


def has_store(member: Member) -> bool:
    return member.store is not None and member.store.is_reachable


def test_members_of_a_cluster_and_one_that_is_silent(cluster: ClusterCommand) -> None:
    (url,) = cluster.urls("router")
    sharq = Sharq(url)
    document = until_members(sharq, 2)
    assert sum(member["partitions"] for member in document["members"]) == document["partitions"] == 64
    text = sharq("cluster").out
    assert "64 of 64 partitions have a node; the ring has version" in text
    with Client(url) as client:
        wait_until(lambda: all(map(has_store, client.control.cluster().members)))
        state = client.control.cluster()
    assert {member.node for member in state.members} == {one["node"] for one in document["members"]}
    pid = cluster.pids("shard")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        told: list[Outcome] = []

        def is_told() -> bool:
            told.append(sharq.any_code("cluster"))
            return told[-1].code == 1 and "unreachable" in told[-1].out

        wait_until(is_told)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told[-1].err.startswith("sharq: not in order: shard-")


def test_bench_leaves_a_server_with_jobs_alone(own_server: ServerFactory, tmp_path: Path) -> None:
    server = own_server("--data-dir", str(tmp_path / "data"))
    with Client(server.url) as client:
        client.enqueue({"queue_type": "sms", "queue_id": "acme", "interval": 0, "payload": 1})
        error = Sharq(server.url)("bench", "--for", "1s", code=2).err
        assert "it has jobs of 1 types, such as sms" in error and "--yes" in error
        stats = client.queue("sms", "acme")
        assert stats is not None and stats.queued == 1
        assert [row.queue_type for row in client.control.types()] == ["sms"]


def test_bench_measures_and_cleans_up(server: SharqServer) -> None:
    arguments = [
        "--customers",
        "5",
        "--jobs",
        "300",
        "--concurrency",
        "4",
        "--for",
        "2s",
        "--rate",
        "20",
        "--yes",
    ]
    figures = Sharq(server.url)("bench", *arguments, "--json").document
    assert 0 < figures["whole"]["jobs"] <= figures["enqueue"]["jobs"] <= 300
    assert figures["errors"] == 0
    assert set(figures["whole"]["latencies"]) == {"dequeue", "finish"}
    latency = figures["enqueue"]["latencies"]["enqueue"]
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    spacing = figures["spacing"]
    assert spacing["is_kept"] and spacing["smallest_ms"] >= 49
    assert 0 < spacing["delivered"] <= spacing["promised"]
    with Client(server.url) as client:
        left = [row for row in client.control.types() if row.queue_type.startswith("bench-")]
    assert sum(row.queued + row.delayed for row in left) == 0


def test_bench_of_several_jobs_a_call_for_people(server: SharqServer, stopwatch: Stopwatch) -> None:
    stopwatch.start()
    text = Sharq(server.url)("bench", "--jobs", "500", "--batch", "50", "--for", "1s", "--yes").out
    stopwatch.assert_within(20)
    names = [line.split("  ")[0] for line in text.splitlines()]
    assert names == ["enqueues", "whole jobs", "spacing", "delivered"]
    assert "100 ms promised" in text


def test_bench_on_a_server_that_is_away(server: SharqServer) -> None:
    assert "cannot reach" in Sharq("http://127.0.0.1:9")("bench", "--yes", code=4).err
    assert "--for" in Sharq(server.url)("bench", "--for", "2h", code=2).err
