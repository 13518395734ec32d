"""Schedules on real nodes: changes at once and half done, owners that die or change, missed slots, and clock steps."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from prometheus_client import generate_latest

from router.shards.campaigns.schedules import ScheduleRouting
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from shard.node import NodeSettings, ShardNode
from sharq_core.campaigns.schedules import Schedule, ScheduleRule, home_of
from sharq_core.errors import NotFound, OutcomeUnknown, Unavailable
from sharq_core.link.campaigns.schedule_calls import ClaimSchedule, DropSchedule, GetSchedule, PutSchedule
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import Call, Member, OnDue, ShardPort, View
from sharq_core.models import EnqueueStatus, LeasedJob, NewJob
from sharq_core.partitions import partition_of
from sharq_core.scheduler.campaigns.schedule_calls import Fired, FireStatus, ScheduleCalls
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys
from tests.cluster.campaigns.slots import SECOND_MS, assert_in_a_row, assert_in_time
from tests.support.nodes.members import agree, running_nodes
from tests.support.nodes.parts import PATIENT_S, Parts, job, running_node
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreServer
from tests.support.stores.shifted_clock import ShiftedClock
from tests.support.waits import until, until_answer

ReplyT = TypeVar("ReplyT")

KIND, NAME = "sms", "daily"
PARTITIONS = 64
EVERY_SECOND = ScheduleRule(every_us=1_000_000)
DAILY = ScheduleRule(cron="0 9 * * *", tz="Asia/Kolkata")
DAY_S = 86_400.0
SOON_S = 3.0
"""A slot, a second for the word to the owner, and what a busy machine adds."""


def routing(node: ShardPort, partitions: int = PARTITIONS) -> ScheduleRouting:
    return ScheduleRouting(Dispatch(OneShard(node, partitions)))


def queue_of_partition(partition: int) -> str:
    """A queue of a partition."""
    names = (f"q{number}" for number in itertools.count())
    return next(name for name in names if partition_of(KIND, name, PARTITIONS) == partition)


def job_of(queue_id: str = "q") -> NewJob:
    return job(KIND, queue_id, "")


async def records(node: ShardPort) -> dict[int, Schedule]:
    """Partition → the schedule NAME there."""
    found: dict[int, Schedule] = {}
    for partition in range(PARTITIONS):
        view = await node.call(GetSchedule("", partition, NAME))
        if view.schedule is not None:
            found[partition] = view.schedule
    return found


async def lease(parts: Parts, wait_s: float = 10.0) -> LeasedJob:
    """The next job."""
    (leased,) = await parts.dequeue(KIND, wait_us=int(wait_s * 1e6))
    return leased


def slot_ms(leased: LeasedJob) -> int:
    name, _, slot = leased.job_id.rpartition("@")
    assert name == NAME
    return int(slot)


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as running:
        yield running


# Changes.


async def test_puts_at_once_for_different_queues_leave_one_record(parts: Parts) -> None:
    schedules = routing(parts.node)
    for _ in range(5):
        puts = [schedules.put(NAME, DAILY, job_of(queue_of_partition(n)), b"{}") for n in range(10)]
        await asyncio.gather(*puts)
        ((partition, schedule),) = (await records(parts.node)).items()
        assert partition_of(KIND, schedule.queue_id, PARTITIONS) == partition
        home = await parts.node.call(GetSchedule("", home_of(NAME, PARTITIONS), NAME))
        assert home.home is not None
        assert partition in home.home.partitions


async def test_pauses_and_puts_at_once_agree_in_the_end(parts: Parts) -> None:
    schedules = routing(parts.node)
    await schedules.put(NAME, DAILY, job_of(), b"{}")
    for is_paused in (True, False, True):
        changes: list[Awaitable[object]] = [
            schedules.put(NAME, DAILY, job_of(queue_of_partition(n)), b"{}") for n in range(8)
        ]
        await asyncio.gather(*changes, schedules.set_paused(NAME, is_paused=is_paused))
        (schedule,) = (await records(parts.node)).values()
        assert schedule.is_paused is is_paused


async def test_a_put_that_stopped_half_way_is_mended_by_the_next_change(parts: Parts) -> None:
    """A router died after it had put the record, and another one before."""
    schedules = routing(parts.node)
    await schedules.put(NAME, DAILY, job_of(queue_of_partition(1)), b"{}")
    home = home_of(NAME, PARTITIONS)
    for partition in (2, 3):
        claim = await parts.node.call(ClaimSchedule("", home, NAME, 0, partition, None))
    put = PutSchedule("", 3, NAME, claim.version, False, DAILY, job_of(queue_of_partition(3)), b"{}")
    await parts.node.call(put)
    assert (await records(parts.node)).keys() == {1, 3}
    await schedules.set_paused(NAME, is_paused=True)
    assert all(schedule.is_paused for schedule in (await records(parts.node)).values())
    await schedules.put(NAME, DAILY, job_of(queue_of_partition(5)), b"{}")
    assert (await records(parts.node)).keys() == {5}
    await parts.node.call(put)
    assert (await records(parts.node)).keys() == {5}, "it came late"
    await schedules.delete(NAME)
    assert await records(parts.node) == {}
    with pytest.raises(NotFound):
        await schedules.get(NAME)


async def test_versions_of_a_clock_that_was_ahead_do_not_lock_a_schedule(parts: Parts) -> None:
    schedules = routing(parts.node)
    far_version = int((time.time() + DAY_S) * 1e6)
    for partition in (1, 2):
        await parts.node.call(DropSchedule("", partition, NAME, far_version + partition))
    await schedules.put(NAME, DAILY, job_of(queue_of_partition(1)), b"{}")
    await schedules.put(NAME, DAILY, job_of(queue_of_partition(2)), b"{}")
    assert (await records(parts.node)).keys() == {2}
    await schedules.set_paused(NAME, is_paused=True)
    await schedules.delete(NAME)
    assert await records(parts.node) == {}


class Refusing:
    """A shard that refuses calls of one type; all others go to a real one."""

    def __init__(self, shard: ShardPort, refused: type[Call[Any]]) -> None:
        self._shard = shard
        self._refused = refused

    async def call(self, call: Call[ReplyT]) -> ReplyT:
        if isinstance(call, self._refused):
            raise Unavailable("it is away")
        return await self._shard.call(call)

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        self._shard.watch(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        self._shard.unwatch(queue_type, on_due)

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._shard.watch_job(job, on_end)

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._shard.unwatch_job(job, on_end)


async def test_a_move_that_fails_after_the_drop_does_not_say_that_nothing_was_done(parts: Parts) -> None:
    await routing(parts.node).put(NAME, DAILY, job_of(queue_of_partition(1)), b"{}")
    failing = routing(Refusing(parts.node, PutSchedule))
    with pytest.raises(Unavailable):
        await failing.put("new", DAILY, job_of(), b"{}")
    with pytest.raises(OutcomeUnknown, match="repeat the call: it is away"):
        await failing.put(NAME, DAILY, job_of(queue_of_partition(2)), b"{}")
    await routing(parts.node).put(NAME, DAILY, job_of(queue_of_partition(2)), b"{}")
    assert (await records(parts.node)).keys() == {2}


# Firings.


async def test_slots_that_were_missed_while_all_was_down_are_fired_once(
    store_url: str, prefix: str, stopwatch: Stopwatch
) -> None:
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(store_url, settings, PATIENT_S) as first:
        stopwatch.start()
        put = await routing(first.node).put(NAME, EVERY_SECOND, job_of(), b"{}")
        assert_in_time(slot_ms(await lease(first)), (put.slot_us or 0) / 1000, stopwatch)
    await asyncio.sleep(3.5)
    stopwatch.start()
    began_ms = int(time.time() * 1000)
    async with running_node(store_url, settings, PATIENT_S) as second:
        missed, following = await lease(second), await lease(second)
    late_ms = 1000 * stopwatch.waited_s
    assert began_ms - SECOND_MS - 100 < slot_ms(missed) < began_ms + 1500 + late_ms
    assert_in_a_row([slot_ms(missed), slot_ms(following)], stopwatch)
    assert slot_ms(missed) * 1000 >= (put.slot_us or 0) + 3_000_000


async def test_two_nodes_that_both_believe_to_own_the_partition_fire_each_slot_once(
    store_url: str, prefix: str, stopwatch: Stopwatch
) -> None:
    stopwatch.start()
    settings = [NodeSettings(key_prefix=prefix, node_id=node_id) for node_id in ("a", "b")]
    async with running_node(store_url, settings[0], PATIENT_S) as a:
        await routing(a.node).put(NAME, EVERY_SECOND, job_of(), b"{}")
        async with running_node(store_url, settings[1], PATIENT_S) as b:
            slots = [slot_ms(await lease(a)) for _ in range(5)]
            await routing(a.node).set_paused(NAME, is_paused=True)
            state, _, _ = await routing(a.node).get(NAME)
            while len(slots) < state.fired:  # the node has yet to hear of what the other one has enqueued
                slots.append(slot_ms(await lease(a)))
            assert await a.dequeue(KIND, 100) == []
            await until(lambda: _fired(a) + _fired(b) >= state.fired)
            fired = [_fired(each) for each in (a, b)]
    assert_in_a_row(slots, stopwatch)
    assert sum(fired) == state.fired == len(slots)


def _fired(parts: Parts) -> int:
    """The number of jobs that a node says it has enqueued for schedules."""
    lines = generate_latest(parts.registry).decode().splitlines()
    (line,) = (line for line in lines if line.startswith('sharq_schedule_firings_total{outcome="queued"}'))
    return int(float(line.split()[-1]))


async def test_the_heir_of_a_dead_node_fires_its_schedules(store_url: str, prefix: str) -> None:
    async with running_nodes(store_url, prefix) as nodes:
        a, b = await nodes.join("a", "b")
        await until(lambda: agree(a, b))
        queue_id = queue_of_partition(b.owned[0])
        put = await routing(b.node).put(NAME, EVERY_SECOND, job_of(queue_id), b"{}")
        await b.stop()
        found = await until_answer(lambda: a.dequeue(100))
        assert int(found[0].rpartition("@")[2]) * 1000 >= (put.slot_us or 0)


async def test_a_node_that_gave_a_partition_up_fires_its_schedules_no_more(
    store_url: str, prefix: str
) -> None:
    async with running_nodes(store_url, prefix) as nodes:
        (a,) = await nodes.join("a")
        schedules = routing(a.node)
        for partition in range(PARTITIONS):
            await schedules.put(f"s{partition}", DAILY, job_of(queue_of_partition(partition)), b"{}")
        assert len(a.node.parts.calendar.schedules) == PARTITIONS
        (b,) = await nodes.join("b")
        await until(lambda: agree(a, b))
        assert len(a.node.parts.calendar.schedules) == len(a.owned)
        await until(lambda: len(b.node.parts.calendar.schedules) == len(b.owned))


OWNED_BY_ONE = View(2, PARTITIONS, (Member("owner", "1", "owner:1"),))


@asynccontextmanager
async def two_nodes(store_url: str, prefix: str) -> AsyncIterator[tuple[Parts, Parts]]:
    """An owner of every partition, and a node that knows it for their owner and owns none."""
    async with (
        running_node(store_url, NodeSettings(key_prefix=prefix, node_id="owner"), PATIENT_S) as owner,
        running_node(store_url, NodeSettings(key_prefix=prefix, node_id="other"), PATIENT_S) as other,
    ):
        for each in (owner, other):
            each.node.follow(OWNED_BY_ONE)
        await until(lambda: not owner.node.parts.ownership.unread)
        yield owner, other


async def test_the_owner_soon_fires_what_another_node_has_put_and_resumed(
    store_url: str, prefix: str, stopwatch: Stopwatch
) -> None:
    async with two_nodes(store_url, prefix) as (owner, other):
        await asyncio.sleep(0.5)
        schedules = routing(other.node)
        stopwatch.start()
        await schedules.put(NAME, EVERY_SECOND, job_of(), b"{}")
        await lease(owner, PATIENT_S)
        stopwatch.assert_within(SOON_S)
        await schedules.set_paused(NAME, is_paused=True)
        await until(lambda: _is_paused(owner.node))
        while await owner.dequeue(KIND):
            pass
        assert await owner.dequeue(KIND, wait_us=1_500_000) == []
        stopwatch.start()
        await schedules.set_paused(NAME, is_paused=False)
        await lease(owner, PATIENT_S)
        stopwatch.assert_within(SOON_S)
        assert len(other.node.parts.calendar.schedules) == 0


def _is_paused(node: ShardNode) -> bool:
    known = node.parts.calendar.schedules._known.get(partition_of(KIND, "q", PARTITIONS), {})
    return NAME in known and known[NAME].is_paused


async def test_a_node_whose_knowledge_is_ahead_of_the_store_reads_it_again(parts: Parts, prefix: str) -> None:
    """As after a failover to a replica that had not heard of the latest firing."""
    put = await routing(parts.node).put(NAME, EVERY_SECOND, job_of(), b"{}")
    await lease(parts)
    keys = Keys(prefix, PARTITIONS)
    calls = ScheduleCalls(keys, Functions(keys, Retention()))
    before, _, _ = await routing(parts.node).get(NAME)
    assert put.slot_us is not None
    undone = calls.move_schedule(partition_of(KIND, "q", PARTITIONS), before, put.slot_us + 1_000)
    assert await parts.node.parts.pipeline.value(undone)
    again = slot_ms(await lease(parts))
    assert (again * 1000 - put.slot_us) % 1_000_000 == 1_000


async def test_a_change_during_a_firing_is_awaited_and_not_the_slot_that_was_fired(
    parts: Parts, stopwatch: Stopwatch
) -> None:
    """The firing ends after the change, with the answer that its slot has not come, as after a step of the clock."""
    schedules, kept = routing(parts.node), parts.node.parts.calendar.schedules
    partition = partition_of(KIND, "q", PARTITIONS)
    await schedules.put(NAME, DAILY, job_of(), b"{}")
    stopwatch.start()
    old = kept._known[partition][NAME]
    new = await schedules.put(NAME, EVERY_SECOND, job_of(), b"{}")
    kept._note_fired(partition, old, old.slot_us or 0, None, Fired(FireStatus.EARLY, EnqueueStatus.QUEUED))
    assert_in_time(slot_ms(await lease(parts)), (new.slot_us or 0) / 1000, stopwatch)


async def test_thousands_of_schedules_are_kept_and_fire_nothing_before_their_time(parts: Parts) -> None:
    schedules = routing(parts.node)
    for at in range(0, 2000, 100):
        await asyncio.gather(
            *(schedules.put(f"s{n}", DAILY, job_of(f"q{n}"), b"{}") for n in range(at, at + 100))
        )
    assert len(parts.node.parts.calendar.schedules) == 2000
    kept = parts.node.parts.calendar.schedules
    for _ in range(3):
        kept.look_soon()
        await asyncio.sleep(0.7)
    assert len(kept) == 2000
    # An entry comes twice if the store's clock was known late, from an answer that was slow.
    assert len(kept._slots._heap) < 2 * 2000, "a reading adds nothing to what is awaited"
    for number in range(4):
        await asyncio.gather(
            *(schedules.put(f"s{n}", DAILY, job_of(f"q{n + number}"), b"{}") for n in range(500))
        )
    assert len(kept) == 2000
    assert len(kept._slots) == 2000
    assert len(kept._slots._heap) <= 2 * 2000 + 1000
    assert await parts.dequeue(KIND) == []


# The clock of the store.


@pytest.mark.parametrize("step_s", [DAY_S, 400 * DAY_S])
async def test_slots_go_on_when_the_clock_of_the_store_steps_ahead_and_back(
    shifted_store: StoreServer, clock: ShiftedClock, prefix: str, step_s: float, stopwatch: Stopwatch
) -> None:
    """One of the many slots that a step ahead has passed is fired, and a step back does not stop the schedule."""
    async with running_node(shifted_store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await routing(parts.node).put(NAME, EVERY_SECOND, job_of(), b"{}")
        stopwatch.start()
        slots = [slot_ms(await lease(parts))]
        clock.set(step_s)
        slots += [slot_ms(await _lease_patiently(parts)) for _ in range(4)]
        clock.set(0)
        back = [slot_ms(await _lease_patiently(parts)) for _ in range(3)]
    ahead = [slot for slot in slots if slot > slots[0] + step_s * 1000 / 2]
    assert len(ahead) >= 3
    assert_in_a_row(ahead, stopwatch)
    assert back[-1] < ahead[0]
    assert abs(back[-1] / 1000 - time.time()) < 10 + stopwatch.waited_s


async def _lease_patiently(parts: Parts) -> LeasedJob:
    """The next job; dequeues are refused while the partition's time is being mended."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                found = await parts.dequeue(KIND, wait_us=2_000_000)
            except Unavailable:
                await asyncio.sleep(0.02)
                continue
            if found:
                return found[0]
