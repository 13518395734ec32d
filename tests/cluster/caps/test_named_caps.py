"""Named caps on nodes with a real store: the bound is kept, the rate is delivered, and nobody asks in vain."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import Any

import msgspec
import pytest
import redis

from shard.node import ShardNode
from sharq_core.caps import MIN_GRACE_US, CapDefinition, CapState
from sharq_core.limits import CapHold, Limit, LimitUnit
from sharq_core.link.messages import Dequeue
from sharq_core.models import ExtendJob, FinishJob, LeasedJob, LeaseOutcome, LeaseStatus
from sharq_core.partitions import partition_of
from sharq_core.scheduler.function_call import FunctionCall
from tests.support.nodes.parts import LEASE_US, Parts, enqueued, job
from tests.support.stopwatch import Stopwatch
from tests.support.waits import until, until_answer

KIND = "sms"


async def put_cap(
    node: ShardNode,
    name: str,
    interval_us: int,
    burst: float = 1,
    max_leased: int | None = None,
    unit: LimitUnit = LimitUnit.JOB,
) -> None:
    """Define a cap."""
    partition = partition_of("cap", name, node.settings.partitions)
    definition = CapDefinition([Limit(unit, interval_us, burst)], max_leased)
    await node.parts.pipeline.value(node.parts.calls.caps.put_cap(partition, name, definition))


async def work(parts: Parts, count: int, queue_type: str = KIND, pollers: int = 4) -> list[LeasedJob]:
    """Lease jobs by polls that wait, until there are `count` of them."""
    leased: list[LeasedJob] = []

    async def poll() -> None:
        while len(leased) < count:
            leased.extend(await parts.dequeue(queue_type, wait_us=1_000_000))

    await asyncio.gather(*(poll() for _ in range(pollers)))
    return leased


def lease_times(leased: list[LeasedJob]) -> list[int]:
    """The times of the leases by the store's clock, in order."""
    return sorted(one.leased_until_us - LEASE_US for one in leased)


def worst_excess(times: list[int], interval_us: int, burst: float) -> float:
    """By how many leases the bound was passed at worst; not more than 0 if it was kept."""
    worst = float("-inf")
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            most = burst + (times[last] - begin + MIN_GRACE_US) / interval_us
            worst = max(worst, last - first + 1 - most)
    return worst


def counts(parts: Parts) -> dict[str, float]:
    """The fate of the slots of a node, by outcome, and the number of questions for them."""
    found = {
        outcome: parts.registry.get_sample_value("sharq_cap_grants_total", {"outcome": outcome}) or 0
        for outcome in ("taken", "used", "returned", "lost")
    }
    return {**found, "asks": parts.registry.get_sample_value("sharq_cap_asks_total") or 0}


async def test_a_cap_over_queues_of_one_type_is_kept_and_delivered(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 25_000, 1.8)
    jobs = [job(KIND, f"q{n % 10}", f"j{n}", caps=("acct",)) for n in range(80)]
    await enqueued(parts, *jobs)
    times = lease_times(await work(parts, 60))
    assert worst_excess(times, 25_000, 1.8) <= 0
    done = counts(parts)
    assert done["used"] == len(times)
    assert done["taken"] >= done["used"] + done["returned"] + done["lost"]


async def read_cap(parts: Parts, name: str) -> CapState:
    node = parts.node
    partition = partition_of("cap", name, node.settings.partitions)
    state = await node.parts.pipeline.value(node.parts.calls.caps.get_cap(partition, name))
    assert state is not None
    return state


async def test_a_dequeue_that_does_not_wait_gets_the_slot_that_is_due(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 3_600_000_000, 2)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(5)))
    leased = [one for _ in range(6) for one in await parts.dequeue(KIND)]
    # The cap has two slots, of which a busy machine may lose one. What was reserved ahead comes back.
    await until(lambda: counts(parts)["taken"] == counts(parts)["returned"] + 2)
    done = counts(parts)
    assert (done["used"], done["used"] + done["lost"]) == (len(leased), 2)
    asks = counts(parts)["asks"]
    for _ in range(20):
        assert await parts.dequeue(KIND) == []
    assert counts(parts)["asks"] <= asks + 1, "the ledger has said when the next slot is due"


async def test_a_dequeue_that_does_not_wait_reserves_about_what_it_uses(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 3_600_000_000, 1_000)
    dequeues = 0
    while dequeues < 20 or counts(parts)["used"] < 5:  # a busy machine loses some
        await enqueued(parts, job(KIND, "q", f"j{dequeues}", caps=("acct",)))
        await parts.dequeue(KIND, 100)
        dequeues += 1
    assert counts(parts)["taken"] - counts(parts)["returned"] <= 5 * dequeues


async def test_queues_of_several_types_share_a_cap(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 10_000, 2)
    kinds = ("sms", "voice", "mail")
    await enqueued(parts, *(job(kind, "q", f"j{n}", caps=("acct",)) for kind in kinds for n in range(60)))
    working = [asyncio.create_task(work(parts, 25, kind, pollers=1)) for kind in kinds]
    leased = [one for found in await asyncio.gather(*working) for one in found]
    assert worst_excess(lease_times(leased), 10_000, 2) <= 0
    # Until the first of them has all its jobs, the types take turns.
    firsts = sorted(leased, key=lambda one: one.leased_until_us)[:45]
    found = Counter(one.queue_type for one in firsts)
    assert min(found.values()) >= 8, found


async def test_a_slot_is_told_to_the_type_that_comes_first_and_to_others_only_once_it_is_left(
    parts: Parts,
) -> None:
    """Nobody uses the slots here, so that each of them is left in the end."""
    await put_cap(parts.node, "acct", 300_000)
    kinds = ("sms", "voice")
    for kind in kinds:
        await enqueued(parts, *(job(kind, "q", f"j{number}", caps=("acct",)) for number in range(9)))
        await parts.dequeue(kind)  # shows to the node that its queue waits for the cap
    told: dict[str, list[int | None]] = {kind: [] for kind in kinds}
    watches = {kind: told[kind].append for kind in kinds}
    for kind in kinds:
        parts.node.watch(kind, watches[kind])
    await until(lambda: sum(in_us is not None and in_us <= 0 for in_us in told["voice"]) >= 3)
    assert any(in_us is not None and in_us > 0 for in_us in told["sms"])
    assert all(in_us is None or in_us <= 0 for in_us in told["voice"])
    parts.node.unwatch("sms", watches["sms"])
    await until(lambda: any(in_us is not None and in_us > 0 for in_us in told["voice"]))
    parts.node.unwatch("voice", watches["voice"])


async def test_queues_of_a_partition_use_the_slots_of_one_call(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call for several jobs costs the store much less than a call for each, and no queue gives two of them."""
    places: dict[int, list[str]] = {}
    for name in (f"q{n}" for n in range(2_000)):
        places.setdefault(partition_of(KIND, name, parts.node.settings.partitions), []).append(name)
    queues = [name for names in list(places.values())[:3] for name in names[:6]]
    await put_cap(parts.node, "acct", 3_600_000_000, 1_000)
    await enqueued(parts, *(job(KIND, queue, f"j{n}", caps=("acct",)) for n in range(9) for queue in queues))
    calls = parts.node.parts.calls.functions.capped
    make, asked = calls.dequeue_capped, list[tuple[int, int]]()

    def noted(
        partition: int, queue_type: str, names: tuple[str, ...], count: int, *rest: Any, **more: Any
    ) -> Any:
        asked.append((count, more["per_queue"]))
        return make(partition, queue_type, names, count, *rest, **more)

    monkeypatch.setattr(calls, "dequeue_capped", noted)
    # A dequeue takes the slots that are there at once, which are fewer at first, and if a busy machine loses some.
    leased = await until_answer(lambda: parts.dequeue(KIND, 6), lambda found: len(found) == 6 == asked[-1][0])
    assert asked[-1] == (6, 1)
    assert len({one.queue_id for one in leased}) == 6
    assert len({partition_of(KIND, one.queue_id, parts.node.settings.partitions) for one in leased}) == 1


async def test_a_dequeue_that_comes_early_for_its_slot_waits_for_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch
) -> None:
    """The routers are told early, because their way to the node would take of the time in which a slot may be used."""
    monkeypatch.setattr("shard.caps.node_caps.EARLY_US", 400_000)
    await put_cap(parts.node, "acct", 1_000_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(50)))
    told: list[tuple[float, int]] = []

    def on_due(in_us: int | None) -> None:
        if in_us is not None:
            told.append((monotonic(), in_us))

    parts.node.watch(KIND, on_due)
    await parts.dequeue(KIND, wait_us=5_000_000)

    async def waited() -> float:
        """Return for how long a dequeue waited that was sent as soon as the node said; 0 if it got no job."""
        told.clear()
        await until(lambda: told)
        at, in_us = told[-1]
        await asyncio.sleep(max(at + in_us / 1e6 - monotonic(), 0))
        began = monotonic()
        leased = await parts.node.call(Dequeue(KIND, 1, LEASE_US))
        return monotonic() - began if leased.jobs else 0.0

    # A busy machine may lose a slot, or send the dequeue late.
    stopwatch.start()
    wait_s = await until_answer(waited, lambda wait_s: wait_s > 0.3)
    assert wait_s < 0.9 + stopwatch.waited_s
    parts.node.unwatch(KIND, on_due)


async def test_a_dequeue_does_not_wait_for_a_slot_while_a_queue_without_caps_is_due(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shard.caps.node_caps.EARLY_US", 60_000_000)
    await put_cap(parts.node, "acct", 60_000_000)
    await enqueued(parts, *(job(KIND, "held", f"j{n}", caps=("acct",)) for n in range(5)))
    assert len(await parts.dequeue(KIND, wait_us=10_000_000)) == 1
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=60_000_000))
    await until(lambda: parts.node.parts.caps.early_s(KIND) > 1, what="the next slot is reserved")
    await enqueued(parts, job(KIND, "free", "j"))
    (leased,) = (await parts.node.call(Dequeue(KIND, 5, LEASE_US))).jobs
    assert leased.queue_id == "free"
    poll.cancel()


async def test_jobs_wait_for_all_caps_of_their_queue(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 10_000, 2)
    await put_cap(parts.node, "brand", 25_000)
    both = [job(KIND, f"both{n % 3}", f"j{n}", caps=("acct", "brand")) for n in range(40)]
    alone = [job(KIND, f"alone{n % 3}", f"j{n}", caps=("acct",)) for n in range(80)]
    await enqueued(parts, *both, *alone)
    leased = await work(parts, 80)
    assert worst_excess(lease_times(leased), 10_000, 2) <= 0
    under_both = [one for one in leased if one.queue_id.startswith("both")]
    assert worst_excess(lease_times(under_both), 25_000, 1) <= 0
    assert len(under_both) >= 2, "both caps have had slots that met"


async def test_a_cap_that_does_not_exist_blocks_its_queues_only(parts: Parts) -> None:
    await enqueued(parts, job(KIND, "held", "j", caps=("nobody",)), job(KIND, "free", "j"))
    (leased,) = await parts.dequeue(KIND, 5, wait_us=30_000_000)
    assert leased.queue_id == "free"
    assert await parts.dequeue(KIND, 5, wait_us=100_000) == []
    await put_cap(parts.node, "nobody", 1_000)
    (leased,) = await parts.dequeue(KIND, 5, wait_us=30_000_000)
    assert leased.queue_id == "held"


async def test_nobody_asks_while_no_worker_waits_and_unused_slots_come_back(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 1_000_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(5)))
    assert len(await parts.dequeue(KIND, wait_us=10_000_000)) == 1
    assert await parts.dequeue(KIND, wait_us=100_000) == []
    # The poll above has reserved the slot of the next second.
    await until(lambda: counts(parts)["returned"] > 0)
    asks = counts(parts)["asks"]
    await asyncio.sleep(0.5)
    assert counts(parts)["asks"] == asks
    assert (await read_cap(parts, "acct")).reserved == counts(parts)["used"] + counts(parts)["lost"]


async def test_a_hold_that_the_store_refused_as_late_is_sent_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_cap(parts.node, "acct", 1_000, 10)
    await enqueued(parts, job(KIND, "q", "j", caps=("acct",)))
    (leased,) = await work(parts, 1)
    deadlines: list[int | None] = []
    calls = parts.node.parts.calls.caps
    make = calls.cap_hold

    def late_at_first(
        partition: int, name: str, hold_us: int, *, not_after_us: int | None
    ) -> FunctionCall[bool]:
        deadlines.append(not_after_us)
        return make(partition, name, hold_us, not_after_us=1 if len(deadlines) == 1 else not_after_us)

    monkeypatch.setattr(calls, "cap_hold", late_at_first)
    hold = CapHold("acct", 60_000_000)
    await parts.dispatch.finish([FinishJob(KIND, "q", leased.job_id, leased.lease, hold_cap=hold)])
    assert (await read_cap(parts, "acct")).held_until_us is not None
    assert len(deadlines) == 2


async def test_a_finish_holds_a_cap_before_it_is_answered(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 1_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(5)))
    (first,) = await parts.dequeue(KIND, wait_us=10_000_000)
    wrong = FinishJob(KIND, "q", first.job_id, "00" * 16, hold_cap=CapHold("acct", 60_000_000))
    (refused,) = await parts.dispatch.finish([wrong])
    assert isinstance(refused, LeaseOutcome)
    assert refused.status is not LeaseStatus.DONE
    assert (await read_cap(parts, "acct")).held_until_us is None
    (done,) = await parts.dispatch.finish([msgspec.structs.replace(wrong, lease=first.lease)])
    assert isinstance(done, LeaseOutcome)
    assert done.status is LeaseStatus.DONE
    assert (await read_cap(parts, "acct")).held_until_us is not None
    assert await parts.dequeue(KIND, wait_us=300_000) == []


async def test_what_a_job_costs_more_in_the_end_is_paid_by_later_slots(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 100_000, unit=LimitUnit.COST)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(9)))
    (first,) = await parts.dequeue(KIND, wait_us=10_000_000)
    before_us = (await read_cap(parts, "acct")).next_slot_in_us
    (done,) = await parts.dispatch.finish([FinishJob(KIND, "q", first.job_id, first.lease, cost=600)])
    assert isinstance(done, LeaseOutcome)
    assert done.status is LeaseStatus.DONE
    after_us = (await read_cap(parts, "acct")).next_slot_in_us
    assert before_us is not None
    assert after_us is not None
    assert after_us > before_us + 599 * 100_000 - 5_000_000
    # Slots that were reserved before may still be used.
    later = [one for _ in range(4) for one in await parts.dequeue(KIND, wait_us=300_000)]
    assert len(later) <= 2


async def test_queues_with_caps_are_served_beside_a_backlog_of_others(parts: Parts) -> None:
    """Their workers always find a job, so that they never wait."""
    await put_cap(parts.node, "acct", 5_000, 5)
    free = [job(KIND, f"free{n % 4}", f"j{n}") for n in range(2000)]
    await enqueued(parts, *(job(KIND, "capped", f"j{n}", caps=("acct",)) for n in range(20)), *free)
    leased: list[LeasedJob] = []
    while len(leased) < 1000:
        leased += await parts.dequeue(KIND)
    assert sum(one.queue_id == "capped" for one in leased) >= 5


async def test_leases_of_a_cap_at_one_time_are_bounded_and_come_back_with_the_finish(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 1_000, max_leased=3)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(12)))
    held: list[LeasedJob] = []
    while len(held) < 3:
        held += await parts.dequeue(KIND, 5, wait_us=5_000_000)
    assert len(held) == 3
    assert await parts.dequeue(KIND, 5, wait_us=200_000) == []
    for left in range(9, 0, -1):
        done = held.pop()
        await parts.dispatch.finish([FinishJob(KIND, done.queue_id, done.job_id, done.lease)])
        held += await parts.dequeue(KIND, 5, wait_us=10_000_000)
        assert len(held) == 3, f"{left} jobs were left"
    assert (await read_cap(parts, "acct")).leased == 3


async def test_permits_last_as_long_as_the_leases_that_workers_ask_for(
    parts: Parts, store_url: str, prefix: str
) -> None:
    """A new primary gives none until the longest that it may lack has ended."""
    await put_cap(parts.node, "acct", 1_000, max_leased=3)
    waiting = asyncio.create_task(parts.dequeue(KIND, wait_us=20_000_000, lease_us=1_000_000))
    await until(lambda: KIND in parts.node.parts.index.subscribers)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(3)))
    (leased,) = await waiting
    with redis.Redis.from_url(store_url) as client:
        (key,) = client.scan_iter(match=f"*{prefix}*permits")
        ends_us = [end_us for _, end_us in client.zrange(key, 0, -1, withscores=True)]
    assert max(ends_us) < leased.leased_until_us + 20_000_000, "a margin of 15 s"


async def test_an_extended_lease_keeps_its_permit(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 1_000, max_leased=1)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(2)))
    (first,) = await parts.dequeue(KIND, wait_us=10_000_000, lease_us=2_000_000)
    extend = ExtendJob(KIND, first.queue_id, first.job_id, first.lease, by_us=60_000_000)
    (extended,) = await parts.dispatch.extend([extend])
    assert isinstance(extended, LeaseOutcome)
    assert extended.status is LeaseStatus.DONE
    assert extended.leased_until_us is not None
    assert extended.leased_until_us > first.leased_until_us + 50_000_000
    assert await parts.dequeue(KIND, wait_us=300_000) == []
    await parts.dispatch.finish([FinishJob(KIND, first.queue_id, first.job_id, first.lease)])
    (second,) = await parts.dequeue(KIND, wait_us=10_000_000)
    assert second.queue_id != first.queue_id


async def test_a_limit_of_cost_is_kept(parts: Parts) -> None:
    await put_cap(parts.node, "acct", 5_000, unit=LimitUnit.COST)
    costs = [1, 4, 2]
    await enqueued(
        parts, *(job(KIND, f"q{n % 5}", f"j{n}", caps=("acct",), cost=costs[n % 3]) for n in range(60))
    )
    leased = sorted(await work(parts, 30), key=lambda one: one.leased_until_us)
    assert {one.cost for one in leased} == {1, 4, 2}
    ready_us = 0
    for one in leased:
        at_us = one.leased_until_us - LEASE_US
        assert at_us >= ready_us - MIN_GRACE_US
        ready_us = max(ready_us, at_us - MIN_GRACE_US) + one.cost * 5_000
