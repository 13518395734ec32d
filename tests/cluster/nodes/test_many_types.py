"""Many types in one partition: none counts as gone because a page does not name it, whoever changed what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis
from prometheus_client import CollectorRegistry

from router.shards.walks.unread import Unread
from shard import reaper
from shard.index import refresher, set_aside, surveyor
from shard.node import NodeSettings
from sharq_core.errors import SharqError
from sharq_core.link.messages import DeleteQueue, Member, View
from sharq_core.models import Enqueued, LeasedJob, QueueKey
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from tests.support.extent import is_full
from tests.support.nodes.parts import LEASE_US, PATIENT_S, Parts, job, running_node
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreFactory
from tests.support.waits import until

PARTITIONS = 4
MANY = 2_500
FEW_A_PAGE = 20
SOON_S = 1.5
"""A second, and what a busy machine adds."""


OWNED_BY_ONE = View(2, PARTITIONS, (Member("owner", "1", "owner:1"),))


def settings(prefix: str, **more: object) -> NodeSettings:
    return NodeSettings(key_prefix=prefix, partitions=PARTITIONS, **more)  # type: ignore[arg-type]


def types_of_partition(partition: int, count: int) -> list[str]:
    """Types whose queue `q` is in a partition."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        number += 1
        if partition_of(f"type-{number}", "q", PARTITIONS) == partition:
            found.append(f"type-{number}")
    return found


async def enqueue(parts: Parts, types: list[str]) -> None:
    for at in range(0, len(types), 500):
        outcomes = await parts.dispatch.enqueue([job(name, "q", "1") for name in types[at : at + 500]])
        assert all(isinstance(outcome, Enqueued) for outcome in outcomes)


async def dequeue_all(parts: Parts, types: list[str], lease_us: int = LEASE_US) -> list[LeasedJob]:
    """The job of each type; fails when one is not found."""
    found: list[LeasedJob] = []
    for at in range(0, len(types), 200):
        calls = [parts.dequeue(name, lease_us=lease_us) for name in types[at : at + 200]]
        for jobs in await asyncio.gather(*calls):
            assert len(jobs) == 1
            found += jobs
    return found


@pytest.fixture
def slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small and so seldom that what is not named by one is not named for long."""
    monkeypatch.setattr(surveyor, "PAGE_TYPES", FEW_A_PAGE)
    monkeypatch.setattr(refresher, "TYPES_A_SECOND", FEW_A_PAGE)
    monkeypatch.setattr(refresher, "READ_ON_S", 0.2)
    monkeypatch.setattr(refresher, "FIRST_READ_S", 0.0)


async def test_a_type_is_served_however_many_there_are_beside_it(store_url: str, prefix: str) -> None:
    types = types_of_partition(0, MANY)
    async with running_node(store_url, settings(prefix, reap_every_s=0.1), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types)
        await asyncio.sleep(0.5)
        assert len(await dequeue_all(parts, types)) == MANY


async def test_a_type_is_served_at_once_by_a_node_that_has_not_read_it_yet(
    store_url: str, prefix: str, slow_pages: None
) -> None:
    types = types_of_partition(0, MANY)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        sample = types[:: MANY // 50]
        assert len(await dequeue_all(parts, sample)) == len(sample)
        assert await parts.dequeue(sample[0]) == []


async def test_the_job_of_an_ended_lease_is_there_for_a_node_that_has_not_read_it_yet(
    store_url: str, prefix: str, slow_pages: None
) -> None:
    types = types_of_partition(0, 500)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types)
        await dequeue_all(parts, types, lease_us=100_000)
    await asyncio.sleep(0.2)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        assert len(await dequeue_all(parts, types[::25])) == 20


async def test_leases_of_many_types_end_on_time_after_a_restart(
    store_url: str, prefix: str, stopwatch: Stopwatch
) -> None:
    types = types_of_partition(0, MANY)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types)
        leased = await dequeue_all(parts, types, lease_us=8_000_000)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        stopwatch.start()
        begun_us = int(time.time() * 1e6)
        polls = [asyncio.create_task(parts.dequeue(name, wait_us=20_000_000)) for name in types[::50]]
        found = await asyncio.gather(*polls)
        assert all(len(jobs) == 1 and jobs[0].attempt == 2 for jobs in found)
        ended_us = {one.queue_type: one.leased_until_us for one in leased}
        leased_us = {one.queue_type: one.leased_until_us - LEASE_US for (one,) in found}
        assert all(at_us >= ended_us[name] for name, at_us in leased_us.items())
        # On a busy machine some have ended before the second node began.
        late_us = [at_us - max(ended_us[name], begun_us) for name, at_us in leased_us.items()]
        assert max(late_us) / 1e6 < SOON_S + stopwatch.waited_s


async def test_the_timers_of_a_type_that_is_awaited_do_not_wait_behind_those_of_many(
    store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch
) -> None:
    monkeypatch.setattr(reaper, "PAIRS_AT_ONCE", 4)
    monkeypatch.setattr(reaper, "FIRST_SHARE", 3)
    types = types_of_partition(0, MANY)
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, [*types, "victim"])
        lease_us = 4_000_000
        began_s = time.monotonic()
        await dequeue_all(parts, types, lease_us=lease_us)
        left_us = lease_us - int((time.monotonic() - began_s) * 1e6)
        await dequeue_all(parts, ["victim"], lease_us=max(left_us, 1_000_000))
        stopwatch.start()
        (leased,) = await parts.dequeue("victim", wait_us=20_000_000)
        assert leased.attempt == 2
        stopwatch.assert_within(max(left_us, 1_000_000) / 1e6 + SOON_S)


@asynccontextmanager
async def two_nodes(store_url: str, prefix: str) -> AsyncIterator[tuple[Parts, Parts]]:
    """An owner of every partition, and a node that knows it for their owner and owns none."""
    async with (
        running_node(store_url, settings(prefix, node_id="owner"), timeout_s=PATIENT_S) as owner,
        running_node(store_url, settings(prefix, node_id="other"), timeout_s=PATIENT_S) as other,
    ):
        for parts in (owner, other):
            parts.node.follow(OWNED_BY_ONE)
        await until(lambda: not owner.node.parts.ownership.unread)
        yield owner, other


async def test_a_waiting_poll_hears_within_a_second_of_what_another_node_enqueued(
    store_url: str, prefix: str, slow_pages: None, stopwatch: Stopwatch
) -> None:
    async with two_nodes(store_url, prefix) as (owner, other):
        await enqueue(owner, types_of_partition(0, MANY))
        poll = asyncio.create_task(owner.dequeue("late", wait_us=10_000_000))
        await asyncio.sleep(0.1)
        stopwatch.start()
        await other.dispatch.enqueue([job("late", "q", "1")])
        assert len(await poll) == 1
        stopwatch.assert_within(SOON_S)


async def test_what_a_node_changed_before_it_gave_a_partition_up_is_read_by_the_next_owner(
    store_url: str, prefix: str, stopwatch: Stopwatch
) -> None:
    async with (
        running_node(store_url, settings(prefix, node_id="late"), timeout_s=PATIENT_S) as late,
        running_node(store_url, settings(prefix, node_id="owner"), timeout_s=PATIENT_S) as owner,
    ):
        owner.node.follow(OWNED_BY_ONE)
        await enqueue(owner, types_of_partition(partition_of("late", "q", PARTITIONS), MANY))
        await until(lambda: not owner.node.parts.ownership.unread)
        poll = asyncio.create_task(owner.dequeue("late", wait_us=10_000_000))
        await asyncio.sleep(0.1)
        stopwatch.start()
        await late.dispatch.enqueue([job("late", "q", "1")])
        late.node.follow(OWNED_BY_ONE)
        assert len(await poll) == 1
        stopwatch.assert_within(2 * SOON_S)


async def test_types_that_another_node_emptied_are_forgotten_after_a_whole_round(
    store_url: str, prefix: str
) -> None:
    async with running_node(store_url, settings(prefix, reap_every_s=0.1), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types_of_partition(0, 50))
        index = parts.node.parts.index
        await until(lambda: len(index.types_in(0)) == 50)
        with redis.Redis.from_url(store_url) as client:
            client.delete(Keys(prefix, PARTITIONS).of(0, "", ("counters",)).names[0])
        await until(lambda: not index.types_in(0))


async def test_a_scan_that_a_restart_of_the_store_cut_in_two_counts_for_nothing(
    own_store: StoreFactory, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor means nothing to a server that was started anew: what such a scan did not meet may be there."""
    monkeypatch.setattr(surveyor, "PAGE_TYPES", 50)
    monkeypatch.setattr(refresher, "READ_ON_S", 0.05)
    monkeypatch.setattr(refresher, "FIRST_READ_S", 0.0)
    server = own_store("--appendonly", "yes")
    types = types_of_partition(0, MANY)
    async with running_node(server.url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types)
    async with running_node(server.url, settings(prefix), timeout_s=PATIENT_S) as parts:
        index = parts.node.parts.index
        await until(lambda: len(index.types_in(0)) > 300)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        monkeypatch.setattr(surveyor, "PAGE_TYPES", 500)
        monkeypatch.setattr(refresher, "READ_ON_S", 0.0)
        await until(lambda: not parts.node.parts.ownership.unread)
        assert set(index.types_in(0)) == set(types)


async def test_a_broken_partition_is_set_aside_and_the_others_are_served(
    store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside, "ASIDE_S", 0.1)
    queues = {partition_of("sms", f"q{n}", PARTITIONS): f"q{n}" for n in range(100)}
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        await parts.dispatch.enqueue([job("sms", queues[0], "broken")])
        with redis.Redis.from_url(store_url) as client:
            client.set(Keys(prefix, PARTITIONS).of(0, "sms", ("ready",)).names[0], "planted")
        outcomes: list[object] = []
        for number in range(50):
            await parts.dispatch.enqueue([job("sms", queues[1], f"{number}")])
            try:
                outcomes += await parts.dequeue("sms", wait_us=2_000_000)
            except SharqError as error:
                outcomes.append(error)
            await asyncio.sleep(0.01)
        failures = [outcome for outcome in outcomes if isinstance(outcome, SharqError)]
        assert len(failures) <= 1
        assert len(outcomes) == 50
        assert parts.registry.get_sample_value("sharq_partitions_set_aside") == 1
        (notice,) = parts.node.notices.all()
        assert notice.startswith("the data of 1 partition (0) cannot be read, and lists are without it")


async def test_a_node_opens_and_serves_though_a_partition_cannot_be_read(store_url: str, prefix: str) -> None:
    with redis.Redis.from_url(store_url) as client:
        client.set(Keys(prefix, PARTITIONS).of(3, "", ("counters",)).names[0], "planted")
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        assert parts.node.is_ready
        assert await parts.dequeue("sms") == []
        queue = next(f"q{n}" for n in range(100) if partition_of("sms", f"q{n}", PARTITIONS) == 0)
        await parts.dispatch.enqueue([job("sms", queue, "1")])
        assert len(await parts.dequeue("sms")) == 1
        broken = next(f"q{n}" for n in range(100) if partition_of("sms", f"q{n}", PARTITIONS) == 3)
        (outcome,) = await parts.dispatch.enqueue([job("sms", broken, "1")])
        assert isinstance(outcome, SharqError)
        assert outcome.message.startswith("partition 3: the store failed")


def sums(registry: CollectorRegistry, name: str) -> tuple[int, float]:
    """Return the number of types that a metric names, and the sum over them."""
    samples = [sample for metric in registry.collect() for sample in metric.samples if sample.name == name]
    return len({sample.labels["queue_type"] for sample in samples}), sum(one.value for one in samples)


async def test_the_metrics_of_many_types_name_some_and_add_up_to_all(store_url: str, prefix: str) -> None:
    async with running_node(store_url, settings(prefix, reap_every_s=0.1), timeout_s=PATIENT_S) as parts:
        await enqueue(parts, types_of_partition(0, 300))
        await enqueue(parts, types_of_partition(1, 300))
        await until(lambda: sums(parts.registry, "sharq_jobs_enqueued_total")[1] == 600)
        assert sums(parts.registry, "sharq_jobs")[0] == 201
        await until(
            lambda: (
                (
                    parts.registry.get_sample_value(
                        "sharq_oldest_ready_age_seconds", {"queue_type": "_other"}
                    )
                    or 0.0
                )
                > 0
            )
        )
        counts = await parts.dispatch.counts(Unread(PARTITIONS))
        assert len({queue_type for part in counts for queue_type in part.queue_types}) == 600
        assert sum(count for part in counts for _, count in part.enqueue_counts) == 600


@pytest.mark.slow
async def test_a_dequeue_finds_the_one_job_behind_any_number_of_partitions_that_only_seem_due(
    store_url: str, prefix: str
) -> None:
    """Deleted queues leave times in the agenda that are early: a node that has just read them has to ask each."""
    partitions = 1024
    queues = {partition_of("sms", f"q{n}", partitions): f"q{n}" for n in range(6 * partitions)}
    chosen = NodeSettings(key_prefix=prefix, partitions=partitions)
    async with running_node(store_url, chosen, timeout_s=PATIENT_S) as parts:
        await parts.dispatch.enqueue([job("sms", queue, "1") for queue in queues.values()])
        gone, (kept, *_) = list(queues.values())[:-1], list(queues.values())[-1:]
        await asyncio.gather(
            *(parts.dispatch.route(DeleteQueue(QueueKey("sms", queue), False)) for queue in gone)
        )
    async with running_node(store_url, chosen, timeout_s=PATIENT_S) as parts:
        await until(lambda: not parts.node.parts.ownership.unread)
        assert [one.queue_id for one in await parts.dequeue("sms")] == [kept]


@pytest.mark.parametrize("partitions", [256, 1024, 4096] if is_full() else [1024])
async def test_jobs_of_all_partitions_are_found_whatever_their_number(
    store_url: str, prefix: str, partitions: int
) -> None:
    queues = {partition_of("sms", f"q{n}", partitions): f"q{n}" for n in range(3 * partitions)}
    async with running_node(
        store_url, NodeSettings(key_prefix=prefix, partitions=partitions), timeout_s=PATIENT_S
    ) as parts:
        for at in range(0, len(queues), 500):
            await parts.dispatch.enqueue(
                [job("sms", queue, "1") for queue in list(queues.values())[at : at + 500]]
            )
    async with running_node(
        store_url, NodeSettings(key_prefix=prefix, partitions=partitions), timeout_s=PATIENT_S
    ) as parts:
        await until(lambda: not parts.node.parts.ownership.unread)
        found: list[LeasedJob] = []
        while jobs := await parts.dequeue("sms", 1000):
            found += jobs
        assert len(found) == len(queues)


async def test_polls_on_very_many_types_are_counted_while_they_wait(store_url: str, prefix: str) -> None:
    """The count bounds them, so that each poll reads it: it is kept, not added up over all types."""
    names = [f"type-{number}" for number in range(2_000)]
    async with running_node(store_url, settings(prefix), timeout_s=PATIENT_S) as parts:
        polls = [asyncio.create_task(parts.dequeue(name, wait_us=500_000)) for name in names]
        await until(lambda: parts.polls.waiting == len(names))
        assert all(jobs == [] for jobs in await asyncio.gather(*polls))
        assert parts.polls.waiting == 0
