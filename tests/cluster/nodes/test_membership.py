"""Nodes that join, drain, leave, fall silent and come back: who owns what, and that nothing is called empty unread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from shard.cluster import ownership
from shard.cluster.membership import NotAMember
from sharq_core.models import JobState
from tests.support.nodes.members import INTERVAL_S, PARTITIONS, TTL_S, Nodes, agree, job_in, running_nodes
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreFactory
from tests.support.waits import DEADLINE_S, until

SLACK_S = 2.0
"""Time that a busy machine may add."""

LONG_GRACE_S = 300.0
"""Longer than a test takes on a busy machine."""

LOOK_S = 0.5
"""A node looks at all partitions twice and more in this time."""


@pytest.fixture
async def nodes(store_url: str, prefix: str) -> AsyncIterator[Nodes]:
    async with running_nodes(store_url, prefix) as running:
        yield running


async def test_nodes_that_join_share_all_partitions_without_overlap(nodes: Nodes) -> None:
    a, b, c = await nodes.join("a", "b", "c")
    await until(lambda: agree(a, b, c))
    assert [node.known for node in (a, b, c)] == [["a", "b", "c"]] * 3
    assert all(node.owned for node in (a, b, c))


async def test_a_view_is_told_once_for_each_change(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    await asyncio.sleep(3 * INTERVAL_S)
    assert [len(view.members) for view in a.views] == [1, 2]
    assert a.views[0].version < a.views[1].version


async def test_a_draining_node_owns_nothing_and_then_leaves(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await b.membership.drain()
    assert b.owned == []
    await until(lambda: agree(a, b))
    assert a.known == ["a", "b"]
    assert [member.is_draining for member in a.membership.view.members] == [False, True]
    await b.membership.leave()
    await until(lambda: a.known == ["a"])


async def test_a_node_that_left_does_not_come_back_by_itself(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await b.membership.leave()
    await until(lambda: a.known == ["a"])
    assert b.beating is not None
    await b.beating
    assert a.known == ["a"]


async def test_a_silent_node_loses_its_partitions_after_the_ttl_and_gets_them_back(
    nodes: Nodes, stopwatch: Stopwatch
) -> None:
    stopwatch.start()
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    before = a.node.ring.owners
    silent_since = time.monotonic()
    b.fall_silent()
    await until(lambda: a.known == ["a"])
    silent_s = time.monotonic() - silent_since
    # The last heartbeat was perhaps late, too.
    assert TTL_S - INTERVAL_S - stopwatch.waited_s <= silent_s <= TTL_S + SLACK_S + stopwatch.waited_s
    assert len(a.owned) == PARTITIONS
    b.beat()
    await until(lambda: agree(a, b))
    assert a.node.ring.owners == before


async def test_the_heir_of_a_dead_node_ends_the_leases_of_its_partitions(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    await b.enqueue(*(job_in(partition, f"j{partition}") for partition in b.owned[:5]))
    leased = await b.dequeue(count=5, lease_us=200_000)
    assert len(leased) == 5
    await b.stop()
    returned: list[str] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(returned) < 5:
        assert time.monotonic() < deadline
        returned += await a.dequeue(count=5)
        await asyncio.sleep(0.02)
    assert sorted(returned) == sorted(leased)


async def test_a_node_that_takes_over_reads_before_it_says_nothing(nodes: Nodes) -> None:
    (a,) = await nodes.join("a")
    await a.enqueue(*(job_in(partition, f"j{partition}") for partition in range(PARTITIONS)))
    (b,) = await nodes.join("b")
    assert 0 < len(b.owned) < PARTITIONS
    found = await b.dequeue(count=100)
    assert sorted(found) == sorted(f"j{partition}" for partition in b.owned)


async def test_a_peek_right_after_a_takeover_sees_what_is_due(nodes: Nodes) -> None:
    (a,) = await nodes.join("a")
    await a.enqueue(*(job_in(partition, f"j{partition}") for partition in range(PARTITIONS)))
    (b,) = await nodes.join("b")
    due_in_us = await b.peek()
    assert due_in_us is not None and due_in_us <= 0


async def test_the_former_owner_does_not_miss_what_the_new_owner_gets(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6 while routers differ: one that still asks the former owner gets the job, at once and every time."""
    monkeypatch.setattr(ownership, "GRACE_S", LONG_GRACE_S)
    (a,) = await nodes.join("a")
    (b,) = await nodes.join("b")
    await until(lambda: agree(a, b))
    for number in range(50):
        assert await a.dequeue() == []
        await b.enqueue(job_in(b.owned[number % len(b.owned)], f"j{number}"))
        due_in_us = await a.peek()
        assert due_in_us is not None and due_in_us <= 0
        assert await a.dequeue() == [f"j{number}"]


async def test_a_call_for_a_partition_of_another_node_is_done_and_remembered(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    for number in range(50):
        await b.enqueue(job_in(a.owned[number % len(a.owned)], f"j{number}"))
        assert await b.dequeue() == [f"j{number}"]


async def test_the_owner_soon_hears_of_a_job_that_another_node_took_in(nodes: Nodes) -> None:
    a, b = await nodes.join("a", "b")
    await until(lambda: agree(a, b))
    told: list[int | None] = []
    a.node.watch("sms", told.append)
    await b.enqueue(job_in(a.owned[0], "j"))
    await until(lambda: any(due_in_us is not None and due_in_us <= 0 for due_in_us in told))


async def test_a_partition_that_was_given_up_is_forgotten_after_a_while(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "GRACE_S", LONG_GRACE_S)
    (a,) = await nodes.join("a")
    (b,) = await nodes.join("b")
    await until(lambda: agree(a, b))
    theirs = b.owned[0]
    await b.enqueue(*(job_in(theirs, f"b{n}", interval_us=60_000_000) for n in range(2)))
    await a.enqueue(*(job_in(a.owned[0], f"a{n}", interval_us=90_000_000) for n in range(2)))
    assert (await b.dequeue(), await a.dequeue()) == (["b0"], ["a0"])
    due_in_us = await a.peek()
    assert due_in_us is not None
    assert due_in_us <= 60_000_000
    loop = asyncio.get_running_loop()
    later = SimpleNamespace(time=lambda: loop.time() + LONG_GRACE_S)
    monkeypatch.setattr(a.node.parts.ownership, "_loop", later)
    async with asyncio.timeout(DEADLINE_S):
        while (await a.peek() or 0) <= 60_000_000:
            await asyncio.sleep(0.02)
    await b.enqueue(job_in(b.owned[1], "later"))
    assert await a.dequeue() == []
    assert await b.dequeue() == ["later"]


async def test_nodes_share_the_limit_of_dead_letters(nodes: Nodes) -> None:
    """With three letters in each partition and a limit of two for each, two nodes keep two."""
    a, b = await nodes.join("a", "b", dead_limit=2 * PARTITIONS)
    await until(lambda: agree(a, b))
    jobs = [job_in(n % PARTITIONS, f"j{n}", requeue_limit=0) for n in range(3 * PARTITIONS)]
    await a.enqueue(*jobs)
    async with asyncio.timeout(DEADLINE_S):
        while any([await a.state_of(job) is JobState.QUEUED for job in jobs]):
            await asyncio.gather(*(node.dequeue(count=100, lease_us=100_000) for node in (a, b)))
        while any([await a.state_of(job) is JobState.LEASED for job in jobs]):
            await asyncio.sleep(0.02)
        for node in (a, b):
            while await node.count_dead() > 2 * len(node.owned):
                await asyncio.sleep(0.02)
            assert await node.count_dead() == 2 * len(node.owned)


async def test_a_node_that_gives_up_partitions_in_the_middle_of_a_look_drops_none_of_their_dead_letters(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still counts them then, although its share of the limit is small already."""
    a, b = await nodes.join("a", "b", dead_limit=2 * PARTITIONS)
    await until(lambda: agree(a, b))
    jobs = [job_in(n % PARTITIONS, f"j{n}", requeue_limit=0) for n in range(2 * PARTITIONS)]
    await a.enqueue(*jobs)
    async with asyncio.timeout(DEADLINE_S):
        while await a.count_dead() + await b.count_dead() < len(jobs):
            await asyncio.gather(*(node.dequeue(count=100, lease_us=100_000) for node in (a, b)))
    theirs, drained = b.owned, asyncio.Event()
    refresher = b.node.parts.refresher
    turn = refresher._turn

    async def turn_and_drain() -> None:
        await turn()
        if not drained.is_set():
            await b.membership.drain()
            drained.set()

    await asyncio.sleep(LOOK_S)
    monkeypatch.setattr(refresher, "_turn", turn_and_drain)
    await asyncio.wait_for(drained.wait(), DEADLINE_S)
    await until(lambda: agree(a, b))
    await asyncio.sleep(LOOK_S)
    assert set(theirs) < set(a.owned)
    assert await a.count_dead() == len(jobs)


async def test_an_outage_of_the_store_changes_no_view(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    async with running_nodes(server.url, prefix, timeout_s=1.0) as nodes:
        a, b, c = await nodes.join("a", "b", "c")
        await until(lambda: agree(a, b, c))
        views = [list(node.views) for node in (a, b, c)]
        server.pause()
        await asyncio.sleep(3 * TTL_S)
        assert all(node.owned for node in (a, b, c))
        server.resume()
        await until(lambda: all(node.node.store.is_reachable for node in (a, b, c)))
        await asyncio.sleep(1.5 * TTL_S)
        assert [node.views for node in (a, b, c)] == views


async def test_nodes_come_together_again_on_a_store_that_lost_everything(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_nodes(server.url, prefix, continues_on_data_loss=True) as nodes:
        a, b = await nodes.join("a", "b")
        await until(lambda: agree(a, b))
        version = a.membership.view.version
        server.kill()
        server.start()
        await until(lambda: a.membership.view.version > version and agree(a, b) and a.known == ["a", "b"])


async def test_a_second_process_with_the_same_id_waits_its_time_and_says_who_holds_it(
    nodes: Nodes, stopwatch: Stopwatch
) -> None:
    (first,) = await nodes.join("a")
    second = nodes.make("a", address="10.0.0.2:8090")
    stopwatch.start()
    with pytest.raises(NotAMember, match="node_id a is held by another process, at a:8090"):
        await second.join()
    assert stopwatch.elapsed_s >= TTL_S
    stopwatch.assert_within(TTL_S + SLACK_S)
    assert len(first.owned) == PARTITIONS
    assert len(first.views) == 1


async def test_a_node_that_starts_again_after_a_crash_takes_its_id_back_within_a_ttl(
    nodes: Nodes, stopwatch: Stopwatch
) -> None:
    (first,) = await nodes.join("a")
    await first.stop()
    again = nodes.make("a", address="a:9999")
    stopwatch.start()
    await again.join()
    stopwatch.assert_within(TTL_S + SLACK_S)
    assert len(again.owned) == PARTITIONS


async def test_a_node_waits_for_its_predecessor_whose_ttl_began_anew_after_a_silence(
    nodes: Nodes, stopwatch: Stopwatch
) -> None:
    """All were killed at once, and the first to come back gives all of them another TTL: perhaps the store was away."""
    old, other = await nodes.join("a", "b")
    await asyncio.gather(old.stop(), other.stop())
    again = nodes.make("a", address="a:9999")
    joining = asyncio.create_task(again.join())
    silence_s = 0.75 * TTL_S  # longer than members.SILENCE, and no predecessor is out yet
    await asyncio.sleep(silence_s)
    await nodes.join("c")
    stopwatch.start()
    await joining
    stopwatch.assert_within(2 * TTL_S + SLACK_S)
    assert "a" in again.known


async def test_a_node_whose_id_was_taken_while_it_was_silent_stays_out(nodes: Nodes) -> None:
    (first,) = await nodes.join("a")
    first.fall_silent()
    second = nodes.make("a", address="elsewhere:8090")
    await second.join()
    first.beat()
    assert first.beating is not None
    with pytest.raises(NotAMember, match="held by another process, at elsewhere:8090"):
        await first.beating
    await first.membership.drain()
    await first.membership.leave()
    assert len(second.owned) == PARTITIONS
    await asyncio.sleep(3 * INTERVAL_S)
    assert second.known == ["a"]
