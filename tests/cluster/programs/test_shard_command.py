"""`sharq-shard` as real processes: it starts, drains, is killed, paused, doubled, and outlives its store's absence."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.shards.link import ShardLink
from sharq_core.link.messages import Dequeue, Enqueue, View
from sharq_core.process.stop import MARGIN_S
from sharq_core.version import __version__
from tests.support.nodes.parts import LEASE_US, job
from tests.support.processes.commands import ended
from tests.support.processes.shards import SharqShard
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreFactory, StoreServer
from tests.support.waits import until, wait_until

PARTITIONS = 64
DEADLINE_S = 60.0

ShardFactory = Callable[..., SharqShard]
"""shards(node_id, **variables): a process that is not started yet."""


@pytest.fixture
def server(own_store: StoreFactory) -> StoreServer:
    """The store of the test's shards."""
    return own_store("--appendonly", "yes")


@pytest.fixture
def shards(tmp_path: Path, server: StoreServer, prefix: str) -> Iterator[ShardFactory]:
    """Makes shard processes, which end with the test."""
    made: list[SharqShard] = []

    def make(node_id: str, port: int | None = None, **settings: str) -> SharqShard:
        made.append(SharqShard(tmp_path, server.url, prefix, node_id, port, **settings))
        return made[-1]

    yield make
    for shard in made:
        if shard.is_running:
            shard.kill()


def own_all(*shards: SharqShard) -> bool:
    """They know of each other, and own as many partitions together as there are."""
    members = {shard.gauge("sharq_shard_members") for shard in shards}
    owned = [shard.gauge("sharq_shard_partitions") for shard in shards]
    return members == {len(shards)} and sum(owned) == PARTITIONS and min(owned) > 0


def start_three(shards: ShardFactory) -> list[SharqShard]:
    three = [shards(node_id) for node_id in ("a", "b", "c")]
    for shard in three:
        shard.start()
    wait_until(lambda: own_all(*three))
    return three


def test_a_ready_shard_says_so_in_one_line(shards: ShardFactory) -> None:
    shard = shards("a")
    shard.start()
    ready = f"sharq-shard {__version__} node=a listening on {shard.address}\n"
    shard.until(lambda: shard.log.count(ready) == 1)
    assert [shard.status(path) for path in ("/healthz", "/readyz", "/metrics", "/")] == [200, 200, 200, 404]
    assert shard.gauge("sharq_shard_partitions") == PARTITIONS


def test_a_shard_without_a_name_is_called_after_its_host_and_port(shards: ShardFactory) -> None:
    shard = shards("")
    shard.start()
    port = shard.address.rpartition(":")[2]
    shard.until(lambda: re.search(rf"node=\S+-{port} listening", shard.log) is not None)


def test_two_take_over_from_a_third_that_is_paused_or_killed_and_one_from_one_that_stops(
    shards: ShardFactory, stopwatch: Stopwatch
) -> None:
    a, b, c = start_three(shards)
    before = c.gauge("sharq_shard_partitions")
    c.signal(signal.SIGSTOP)
    wait_until(lambda: own_all(a, b))
    c.signal(signal.SIGCONT)
    wait_until(lambda: own_all(a, b, c))
    assert c.gauge("sharq_shard_partitions") == before, "it has its own partitions back"
    c.kill()
    stopwatch.start()
    wait_until(lambda: own_all(a, b))
    stopwatch.assert_within(1.5 + 6.0, "its TTL is over and its partitions are taken")
    b.signal(signal.SIGTERM)
    assert b.wait() == 0
    wait_until(lambda: own_all(a))
    assert "members=a,b (draining)" in b.log
    assert "Traceback" not in b.log


def test_a_paused_shard_whose_name_was_given_away_ends_and_says_who_has_it(shards: ShardFactory) -> None:
    first, second = shards("a"), shards("a")
    first.start()
    first.signal(signal.SIGSTOP)
    second.start()
    first.signal(signal.SIGCONT)
    assert first.wait() == 1
    assert f"sharq-shard: node_id a is held by another process, at {second.address}\n" in first.log
    assert own_all(second)
    assert second.status("/readyz") == 200


def test_a_second_shard_of_one_name_waits_and_refuses_to_start(shards: ShardFactory) -> None:
    first, second = shards("a"), shards("a")
    first.start()
    began = time.monotonic()
    second.launch()
    assert second.wait() == 1
    assert time.monotonic() - began >= 1.5
    assert f"sharq-shard: node_id a is held by another process, at {first.address}\n" in second.log
    assert "listening on" not in second.log
    assert own_all(first)


def test_a_shard_that_was_killed_takes_its_name_back(shards: ShardFactory) -> None:
    first, again = shards("a"), shards("a")
    first.start()
    first.kill()
    again.start()
    assert own_all(again)


def test_a_shard_waits_for_its_store_and_outlives_its_absence(
    shards: ShardFactory, server: StoreServer
) -> None:
    server.stop()
    a, b = shards("a"), shards("b")
    for shard in (a, b):
        shard.launch()
    wait_until(lambda: [shard.status("/healthz") for shard in (a, b)] == [200, 200])
    assert [shard.status("/readyz") for shard in (a, b)] == [503, 503]
    server.start()
    wait_until(lambda: [shard.status("/readyz") for shard in (a, b)] == [200, 200])
    wait_until(lambda: own_all(a, b))
    server.stop()
    wait_until(lambda: [shard.status("/readyz") for shard in (a, b)] == [503, 503])
    time.sleep(2.0)  # longer than the TTL
    assert own_all(a, b)
    views = [shard.log.count("view version") for shard in (a, b)]
    server.start()
    wait_until(lambda: [shard.status("/readyz") for shard in (a, b)] == [200, 200])
    assert own_all(a, b)
    assert [shard.log.count("view version") for shard in (a, b)] == views


def test_a_stop_while_the_store_is_away_is_quick_and_clean(
    shards: ShardFactory, server: StoreServer, stopwatch: Stopwatch
) -> None:
    shard = shards("a")
    shard.start()
    server.stop()
    shard.signal(signal.SIGTERM)
    stopwatch.start()
    assert shard.wait() == 0
    stopwatch.assert_within(10)
    assert "leave_failed" in shard.log


def test_another_number_of_partitions_is_refused_with_both_numbers(shards: ShardFactory) -> None:
    shards("a").start()
    other = shards("b", SHARQ_CLUSTER_PARTITIONS="16")
    other.launch()
    assert other.wait() == 2
    assert re.search(r"partitions: 16 is configured.*made with 64", other.log)


def test_a_port_in_use_is_refused(shards: ShardFactory) -> None:
    first = shards("a")
    second = shards("b", port=first.port)
    first.start()
    second.launch()
    assert second.wait() == 1
    assert f"{first.address} is in use by another process; --listen chooses another port" in second.log


def test_a_shard_without_a_shared_store_is_refused() -> None:
    done = ended("shard.main")
    assert done.returncode == 2
    assert "needs the store that all nodes share" in done.stderr


def test_the_version_is_told() -> None:
    done = ended("shard.main", "--version")
    assert (done.returncode, done.stdout) == (0, f"sharq-shard {__version__}\n")


async def test_a_router_s_link_carries_calls_and_hears_that_its_shard_stops(shards: ShardFactory) -> None:
    shard = shards("a", SHARQ_CLUSTER_SECRET="s3cret")
    shard.start()
    views: list[View] = []
    link = ShardLink(shard.address, "s3cret", on_view=views.append, on_down=lambda _: None, timeout_s=2.0)
    await link.start()
    try:
        await until(lambda: link.is_up)
        await link.call(Enqueue([job("sms", "q", "j")]))
        (leased,) = (await link.call(Dequeue("sms", 1, LEASE_US))).jobs
        assert leased.job_id == "j"
        assert [member.address for member in views[-1].members] == [shard.address]
        shard.signal(signal.SIGTERM)
        await until(lambda: link.is_draining)
        assert [member.is_draining for member in views[-1].members] == [True]
        await link.call(Enqueue([job("sms", "q", "late")]))
        await until(lambda: not link.is_up)
    finally:
        await link.close()
    assert shard.wait() == 0


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"GET /healthz\xff HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_what_is_not_http_is_refused_and_leaves_one_line(shards: ShardFactory, sent: bytes) -> None:
    shard = shards("a")
    shard.start()
    host, port = shard.address.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
        connection.sendall(sent)
        assert connection.recv(100).split()[1] == b"400"
    wait_until(lambda: "WARNING request_malformed peer=127.0.0.1 reason=" in shard.log)
    assert "Traceback" not in shard.log
    assert shard.gauge("sharq_shard_members") == 1


def test_a_stop_takes_no_longer_than_its_timeout_though_the_store_hangs(
    shards: ShardFactory, server: StoreServer, stopwatch: Stopwatch
) -> None:
    shard = shards("a", SHARQ_SERVER_SHUTDOWN_TIMEOUT="1000", SHARQ_REDIS_TIMEOUT="30000")
    shard.start()
    server.pause()
    try:
        stopwatch.start()
        shard.signal(signal.SIGTERM)
        wait_until(lambda: not shard.is_running)
        stopwatch.assert_within(1.0 + MARGIN_S + 0.5)
    finally:
        server.resume()


def test_a_shard_outlives_the_signals_of_other_peoples_scripts(shards: ShardFactory) -> None:
    shard = shards("a")
    shard.start()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        shard.signal(number)
        wait_until(lambda number=number: f"signal_without_effect signal={number.name}" in shard.log)  # type: ignore[misc]
    shard.signal(signal.SIGHUP)
    wait_until(lambda: "reloaded done='[log] format and level'" in shard.log)
    assert shard.status("/readyz") == 200
