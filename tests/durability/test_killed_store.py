"""Kills a store whose disk is slow: what it loses depends on the policy of its append-only file (docs/store.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.stopwatch import Stopwatch
from tests.support.stores.groups import SERVICE, Pair, running_pair, running_sentinel_group
from tests.support.stores.server import AOF, KINDS, WRITTEN_AOF, StoreFactory, StoreServer
from tests.support.stores.slow_disk import SlowDisk
from tests.support.waits import wait_until

HELD_BACK_S = 2.0
"""The longest time for which a store holds its writes back; then it writes although the sync has not ended."""

SYNC_S = 1.8
"""So long may a test take from the first write that is held back, which comes when a sync begins, to the kill."""

SLACK_S = 0.5
DEADLINE_S = 20.0
PAUSE_S = 0.005

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    """A disk that is fast until the test slows it, and when the servers stop."""
    disk = SlowDisk(tmp_path)
    yield disk
    disk.set(0)


def on_disk(server: StoreServer, disk: SlowDisk) -> StoreServer:
    """Start a server anew on a disk."""
    server.stop()
    server.environ = disk.environ
    server.start()
    return server


def holds_back(client: redis.Redis) -> bool:
    """Return True if the store has answered a write that is not in its file yet."""
    return bool(client.info("persistence")["aof_buffer_length"])


def write_until(
    server: StoreServer, is_enough: Callable[[redis.Redis], object], *, is_replicated: bool = False
) -> list[float]:
    """Write 1, 2, 3, ... and return the time of each answer; the replica has it by then if it is replicated."""
    answered_s: list[float] = []
    deadline_s = time.monotonic() + DEADLINE_S
    with server.client(timeout_s=DEADLINE_S) as client:
        while not is_enough(client):
            assert time.monotonic() < deadline_s
            client.set("newest", len(answered_s) + 1)
            assert not is_replicated or client.wait(1, int(DEADLINE_S * 1000)) == 1
            answered_s.append(time.monotonic())
            time.sleep(PAUSE_S)
    return answered_s


def kept(server: StoreServer) -> int:
    """Kill the server, start it again, and return the newest number that it has."""
    server.kill()
    server.start()
    with server.client() as client:
        return int(client.get("newest") or 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [WRITTEN_AOF, ALWAYS], ids=["no", "always"])
def test_a_store_that_writes_before_it_answers_loses_nothing_when_it_is_killed(
    own_store: StoreFactory, disk: SlowDisk, kind: str, policy: tuple[str, ...]
) -> None:
    server = on_disk(own_store(*policy, kind=kind), disk)
    disk.set(0.01 if policy is ALWAYS else SYNC_S)
    enough_s = time.monotonic() + 3.0
    answered_s = write_until(server, lambda client: holds_back(client) or time.monotonic() > enough_s)
    assert kept(server) == len(answered_s)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_syncs_every_second_loses_what_it_held_back_when_it_is_killed(
    own_store: StoreFactory, disk: SlowDisk, kind: str
) -> None:
    server = on_disk(own_store(*AOF, kind=kind), disk)
    disk.set(SYNC_S)
    answered_s = write_until(server, holds_back)
    assert 0 < kept(server) < len(answered_s)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_syncs_every_second_holds_nothing_back_for_more_than_two_seconds(
    own_store: StoreFactory, disk: SlowDisk, kind: str, stopwatch: Stopwatch
) -> None:
    server = on_disk(own_store(*AOF, kind=kind), disk)
    disk.set(4 * HELD_BACK_S)
    stopwatch.start()
    write_until(server, holds_back)
    enough_s = time.monotonic() + 1.5 * HELD_BACK_S
    answered_s = write_until(server, lambda _: time.monotonic() > enough_s)
    killed_s = time.monotonic()
    most_s = HELD_BACK_S + SLACK_S + stopwatch.waited_s
    first_lost_s = answered_s[kept(server)]
    assert killed_s - first_lost_s < most_s


@pytest.fixture
def pair(request: pytest.FixtureRequest, disk: SlowDisk) -> Iterator[Pair]:
    """A primary on that disk and its replica."""
    with running_pair("valkey", *request.param) as found:
        on_disk(found.primary, disk)
        wait_until_linked(found)
        yield found


def wait_until_linked(pair: Pair) -> None:
    wait_until(lambda: b"state=online" in pair.primary.ask("INFO", "replication"))
    wait_until(lambda: b"master_link_status:up" in pair.replica.ask("INFO", "replication"))


@pytest.mark.parametrize(
    ("pair", "is_lost"), [(AOF, True), (WRITTEN_AOF, False)], indirect=["pair"], ids=["everysec", "no"]
)
def test_a_primary_that_is_killed_and_started_at_once_forgets_on_its_replica_what_it_held_back(
    pair: Pair, disk: SlowDisk, is_lost: bool
) -> None:
    disk.set(SYNC_S)
    enough_s = time.monotonic() + 3.0
    answered_s = write_until(
        pair.primary, lambda client: holds_back(client) or time.monotonic() > enough_s, is_replicated=True
    )
    newest = kept(pair.primary)
    assert (newest < len(answered_s)) == is_lost
    wait_until(lambda: pair.replica.ask("GET", "newest") == b"%d" % newest)


@pytest.mark.slow
def test_a_primary_that_comes_back_as_a_replica_of_nobody_gives_its_replica_no_older_copy(
    disk: SlowDisk,
) -> None:
    """Sentinel then promotes the replica: docs/store.md, What a killed server loses."""
    with running_sentinel_group(replicas=1, arguments=AOF, environs=[disk.environ]) as group:
        primary, replica = group.servers
        for sentinel in group.sentinels:
            sentinel.ask("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 5000)
        disk.set(SYNC_S)
        enough_s = time.monotonic() + 3.0
        answered_s = write_until(
            primary, lambda client: holds_back(client) or time.monotonic() > enough_s, is_replicated=True
        )
        primary.kill()
        disk.set(0)
        primary.add_arguments("--replicaof", "127.0.0.1", "1")
        primary.start()
        assert int(primary.ask("GET", "newest")) < len(answered_s), "it has lost what it held back"
        wait_until(lambda: group.primary() is replica and group.is_whole(), 120.0)
        wait_until(lambda: primary.ask("GET", "newest") == replica.ask("GET", "newest"))
        assert int(replica.ask("GET", "newest")) == len(answered_s)
