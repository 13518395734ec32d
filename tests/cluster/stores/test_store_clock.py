"""A node on a real store whose clock is set, and on a failover to a server with another clock, judged in real time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client import generate_latest

from shard.cluster import partition_clocks
from shard.node import NodeSettings
from sharq_core.errors import SharqError
from sharq_core.link.messages import Call, Dequeue, GetJob
from sharq_core.models import Enqueued, EnqueueStatus, FinishJob, JobState, NewJob, QueueKey, ReleaseJob
from tests.durability.test_failover import is_primary
from tests.scheduler.drivers.driver import execute
from tests.support.extent import is_full
from tests.support.nodes.parts import Parts, job, running_node
from tests.support.stores.groups import SERVICE, Member, running_sentinel_group
from tests.support.stores.server import StoreServer
from tests.support.stores.shifted_clock import ShiftedClock
from tests.support.waits import until

ReplyT = TypeVar("ReplyT")

KIND = "sms"
HOUR_S, DAY_S = 3600.0, 86400.0
INTERVAL_S = 0.5
SLACK_S = 8.0
"""Time that a busy machine may add to a wait. A wait that followed the clock would last 20 s longer, or an hour."""


@pytest.fixture
async def parts(shifted_store: StoreServer, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(shifted_store.url, NodeSettings(key_prefix=prefix)) as running:
        yield running


async def enqueue(parts: Parts, *jobs: NewJob) -> list[EnqueueStatus]:
    """Queue jobs, again where a step of the clock has just been met (nothing was done)."""
    statuses: list[EnqueueStatus] = []
    for one in jobs:
        async with asyncio.timeout(10):
            while not isinstance(outcome := (await parts.dispatch.enqueue([one]))[0], Enqueued):
                await asyncio.sleep(0.02)
        statuses.append(outcome.status)
    return statuses


async def wait_for_job(parts: Parts, kind: str, lease_us: int = 60_000_000) -> tuple[str, str, float]:
    """The next job of a type, its lease, and when it came (time.monotonic)."""
    async with asyncio.timeout(30):
        while True:
            try:
                leased = await parts.dequeue(kind, wait_us=5_000_000, lease_us=lease_us)
            except SharqError:  # refused while the partition's time is being mended
                await asyncio.sleep(0.02)
                continue
            if leased:
                return leased[0].job_id, leased[0].lease, time.monotonic()


class PacedLeases:
    """Leases the jobs of one queue, and knows the time (time.monotonic) before and after each lease began.

    A busy machine puts these times apart, and the judgement stays right: the leases of two jobs may be further apart
    than the times at which the jobs came here, if the first of them was long on its way.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asked_s = 0.0
        self._times_s: list[tuple[float, float]] = []
        self._call = parts.node.call
        parts.node.call = self._note_and_call  # type: ignore[method-assign]

    def _note_and_call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        if isinstance(call, Dequeue):
            self._asked_s = time.monotonic()
        return self._call(call)

    async def lease(self, count: int) -> None:
        """Lease so many jobs, one after the other."""
        for _ in range(count):
            _, _, came_s = await wait_for_job(self._parts, KIND)
            self._times_s.append((self._asked_s, came_s))

    def check(self) -> None:
        """No two leases were too close, and none was late."""
        for (asked_s, came_s), (_, next_came_s) in itertools.pairwise(self._times_s):
            assert next_came_s - asked_s >= INTERVAL_S - 0.1, self._times_s
            assert next_came_s - came_s <= INTERVAL_S + SLACK_S, self._times_s


async def until_noticed(parts: Parts) -> None:
    """Wait until the node says that the clock stepped."""
    await until(lambda: parts.node.store.inspector.counts()["clock"] == 1)


@pytest.mark.parametrize("step_s", [-HOUR_S, -20.0, HOUR_S, 3 * DAY_S])
async def test_a_queue_keeps_its_pace_when_the_clock_steps(
    parts: Parts, clock: ShiftedClock, step_s: float
) -> None:
    await enqueue(parts, *(job(KIND, "q", f"j{n}", interval_us=500_000) for n in range(8)))
    pace = PacedLeases(parts)
    for ahead_s in (0, step_s, 0):
        clock.set(ahead_s)
        await pace.lease(2)
    pace.check()


@pytest.mark.parametrize("step_s", [-HOUR_S, -20.0, HOUR_S, 3 * DAY_S])
async def test_leases_and_delays_end_in_real_time_when_the_clock_steps(
    parts: Parts, clock: ShiftedClock, step_s: float
) -> None:
    await enqueue(parts, job("leased", "q", "dead worker"), job("late", "q", "delayed", delay_us=2_000_000))
    began = time.monotonic()
    await wait_for_job(parts, "leased", lease_us=2_000_000)
    clock.set(step_s)
    (_, _, leased_at), (_, _, late_at) = await asyncio.gather(
        wait_for_job(parts, "leased"), wait_for_job(parts, "late")
    )
    for came in (leased_at - began, late_at - began):
        assert 1.9 <= came <= 2.0 + SLACK_S


@pytest.mark.parametrize("step_s", [-20.0, -HOUR_S])
async def test_no_slot_comes_early_when_the_clock_steps_back_and_ahead_at_once(
    parts: Parts, clock: ShiftedClock, step_s: float
) -> None:
    """Calls come between the two steps, and the node does not always read the partition between them."""
    wait_us = 15_000_000
    await enqueue(parts, *(job(KIND, "q", f"j{n}", interval_us=wait_us) for n in range(2)))
    began = time.monotonic()
    await wait_for_job(parts, KIND)
    number = 0
    while time.monotonic() - began < 10:
        clock.set(step_s)
        await enqueue(parts, job(KIND, "other", f"a{number}", delay_us=wait_us))
        clock.set(0)
        await enqueue(parts, job(KIND, "other", f"b{number}", delay_us=wait_us))
        await asyncio.sleep(0.13 * (number % 3))
        assert await parts.dequeue(KIND, wait_us=100_000) == []
        number += 1


async def test_days_ahead_for_seconds_drop_and_end_nothing(parts: Parts, clock: ShiftedClock) -> None:
    """Things kept for days stay, an hour's lease lasts, and an hour's slot is not used twice."""
    await enqueue(
        parts,
        job("dead", "q", "letter", requeue_limit=0),
        job("done", "q", "finished"),
        *(job("slow", "q", f"j{n}", interval_us=3_600_000_000) for n in range(2)),
        job("late", "q", "delayed", delay_us=3_600_000_000),
    )
    _, lease, _ = await wait_for_job(parts, "dead")
    await parts.dispatch.release([ReleaseJob("dead", "q", "letter", lease)])
    _, lease, _ = await wait_for_job(parts, "done")
    await parts.dispatch.finish([FinishJob("done", "q", "finished", lease)])
    await wait_for_job(parts, "slow", lease_us=3_600_000_000)
    clock.set(30 * DAY_S)
    await until_noticed(parts)
    await asyncio.sleep(2.0)
    assert await parts.dequeue("slow") == []
    clock.set(0)
    await asyncio.sleep(2.0)
    assert await enqueue(parts, job("done", "q", "finished", repeat=True)) == [EnqueueStatus.DUPLICATE]
    assert await enqueue(parts, job("dead", "q", "letter", repeat=True)) == [EnqueueStatus.DUPLICATE]
    for kind, name, state in (("slow", "j0", JobState.LEASED), ("late", "delayed", JobState.DELAYED)):
        known = await parts.dispatch.route(GetJob(QueueKey(kind, "q"), name))
        assert known is not None
        assert known.state is state
    assert await parts.dequeue("slow") == []


async def test_a_step_is_said_in_the_log_a_notice_and_the_metrics(
    parts: Parts, clock: ShiftedClock, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(parts, job(KIND, "q", "j"), job("other", "r", "j"))
    clock.set(-HOUR_S)
    await until_noticed(parts)
    (line,) = [record.getMessage() for record in caplog.records if "store_clock_stepped" in record.message]
    assert "direction=back by_s=3600" in line or "direction=back by_s=3599" in line
    assert "its clock stepped back by 3" in "".join(parts.node.store.inspector.notices)
    metrics = generate_latest(parts.registry).decode()
    assert 'sharq_store_notices{check="clock"} 1.0' in metrics
    rows = [row for row in metrics.splitlines() if row.startswith("sharq_store_clock_steps_total{")]
    assert sorted(row.split()[-1] for row in rows) == ["0.0", "1.0"]


async def test_a_store_that_refuses_writes_is_still_read(
    parts: Parts, shifted_store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marking a partition as seen is a write; the index must know of its queues all the same."""
    monkeypatch.setattr(partition_clocks, "MARK_AFTER_US", 0)
    await enqueue(parts, job("late", "q", "j", delay_us=500_000))
    with shifted_store.client() as client:
        execute(client, "CONFIG", "SET", "min-replicas-to-write", 1)
    await asyncio.sleep(1.0)
    await parts.node.parts.surveyor.read(parts.node.parts.ownership.owned, 500)


@pytest.mark.slow
@pytest.mark.parametrize("ahead_s", [-30.0, 30.0] if is_full() else [-30.0])
async def test_a_failover_to_a_server_with_another_clock_keeps_spacing_and_leases(
    tmp_path: Path, prefix: str, ahead_s: float
) -> None:
    clock = ShiftedClock(tmp_path, ahead_s)
    with running_sentinel_group(environs=[None, clock.environ, clock.environ]) as group:
        async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
            await enqueue(parts, *(job("slow", "q", f"j{n}", interval_us=12_000_000) for n in range(2)))
            await enqueue(parts, job("held", "q", "job"), job("short", "q", "job"))
            await enqueue(parts, *(job(KIND, "q", f"j{n}", interval_us=500_000) for n in range(60)))
            await wait_for_job(parts, "held", lease_us=25_000_000)
            _, _, short_at = await wait_for_job(parts, "short", lease_us=12_000_000)
            _, _, slow_at = await wait_for_job(parts, "slow")
            group.servers[0].ask("WAIT", 2, 1000)
            group.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
            await until_primary_among(group.servers[1:])
            (_, _, slow_again_at), (_, _, short_again_at) = await asyncio.gather(
                wait_for_job(parts, "slow"), wait_for_job(parts, "short")
            )
            for waited_s in (slow_again_at - slow_at, short_again_at - short_at):
                assert 11.9 <= waited_s <= 12.0 + SLACK_S
            pace = PacedLeases(parts)
            await pace.lease(5)
            pace.check()
            known = await parts.dispatch.route(GetJob(QueueKey("held", "q"), "job"))
            assert known is not None
            assert known.state is JobState.LEASED
            await until_noticed(parts)


async def until_primary_among(servers: list[Member]) -> None:
    async with asyncio.timeout(60):
        while not any(is_primary(server) for server in servers):
            await asyncio.sleep(0.02)
