"""The ledgers of caps as a node asks them: what one of them refuses holds up no other, and is made up for."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from time import monotonic

import pytest

from shard.caps.grants import SlotTerms
from shard.caps.rounds import Taken
from sharq_core.caps import CapDefinition, CapSlot, Permit
from sharq_core.errors import SharqError, StoreAway
from sharq_core.limits import CapHold, Limit, LimitUnit
from sharq_core.models import ExtendJob, LeaseStatus
from sharq_core.partitions import partition_of
from sharq_core.scheduler.function_call import FunctionCall
from tests.cluster.caps.test_named_caps import KIND, counts, put_cap, read_cap
from tests.support.nodes.parts import LEASE_US, Parts, enqueued, job
from tests.support.waits import until, until_answer


async def leased_of(parts: Parts, name: str) -> int:
    """Return the number of permits that a ledger counts."""
    return (await read_cap(parts, name)).leased


async def take_permit(parts: Parts, name: str) -> Permit:
    """Define a cap with one lease at a time, and take its permit."""
    home, calls = partition_of("cap", name, parts.node.settings.partitions), parts.node.parts.calls.caps
    await parts.node.parts.pipeline.value(calls.put_cap(home, name, CapDefinition([], 1)))
    reply = await parts.node.parts.pipeline.value(calls.cap_take(home, name, "n", 1, lease_us=LEASE_US))
    return name, reply.slots[0].serial


def _is_none(leased: int) -> bool:
    return leased == 0


async def test_permits_come_back_while_the_ledger_of_another_cap_is_away(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = parts.node.parts.calls.caps
    settle, asked = calls.cap_settle, list[str]()

    def late_for_one(
        partition: int, name: str, serials: list[int], *, not_after_us: int | None
    ) -> FunctionCall[int]:
        asked.append(name)
        return settle(partition, name, serials, not_after_us=1 if name == "away" else not_after_us)

    monkeypatch.setattr(calls, "cap_settle", late_for_one)
    names = ["first", "away", "last"]
    parts.node.parts.caps.ledgers.settle([await take_permit(parts, name) for name in names])
    for name in ("first", "last"):
        assert await until_answer(partial(leased_of, parts, name), _is_none) == 0
    assert await leased_of(parts, "away") == 1
    monkeypatch.undo()
    assert await until_answer(partial(leased_of, parts, "away"), _is_none) == 0
    assert asked.count("away") < 10, "it is asked about once a second"


async def test_leases_are_extended_while_the_ledger_of_another_cap_is_away(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, names = parts.node.parts.calls.caps, ["first", "away", "last"]
    renew, one_partition = (
        calls.cap_renew,
        [
            next(
                q
                for q in (f"{name}{n}" for n in itertools.count())
                if partition_of(KIND, q, parts.node.settings.partitions) == 0
            )
            for name in names
        ],
    )

    def refused_for_one(
        partition: int, name: str, serials: list[int], lease_us: int, *, not_after_us: int | None
    ) -> FunctionCall[list[bool]]:
        if name == "away":
            raise StoreAway("it is away")
        return renew(partition, name, serials, lease_us, not_after_us=not_after_us)

    for name in names:
        await put_cap(parts.node, name, 1_000, max_leased=5)
    await enqueued(
        parts,
        *(
            job(KIND, queue_id, name, caps=(name,))
            for queue_id, name in zip(one_partition, names, strict=True)
        ),
    )
    leased = [one for _ in names for one in await parts.dequeue(KIND, wait_us=10_000_000)]
    monkeypatch.setattr(calls, "cap_renew", refused_for_one)
    extends = [ExtendJob(KIND, one.queue_id, one.job_id, one.lease, 2 * LEASE_US) for one in leased]
    answers = dict(zip([one.job_id for one in leased], await parts.dispatch.extend(extends), strict=True))
    assert isinstance(answers.pop("away"), SharqError)
    statuses = {name: getattr(answer, "status", answer) for name, answer in answers.items()}
    assert statuses == {"first": LeaseStatus.DONE, "last": LeaseStatus.DONE}


async def test_the_permit_of_a_slot_that_cannot_be_returned_comes_back_later(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise last as long as the lease that never began."""
    calls = parts.node.parts.calls.caps
    give_back, returned = calls.cap_return, list[CapSlot]()

    def late(
        partition: int, name: str, slots: list[CapSlot], *, units: int, not_after_us: int | None
    ) -> FunctionCall[int]:
        returned.extend(slots)
        return give_back(partition, name, slots, units=units, not_after_us=1)

    monkeypatch.setattr(calls, "cap_return", late)
    await put_cap(parts.node, "acct", 60_000_000, max_leased=5)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(3)))
    assert len(await parts.dequeue(KIND, wait_us=10_000_000)) == 1
    assert await parts.dequeue(KIND, wait_us=200_000) == []
    await until(lambda: returned, what="the slot of the next minute goes back")
    assert await until_answer(lambda: leased_of(parts, "acct"), lambda leased: leased == 1) == 1


async def test_a_slot_that_is_being_reserved_when_its_cap_is_held_is_not_used(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_cap(parts.node, "acct", 1_000_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(3)))
    assert len(await parts.dequeue(KIND, wait_us=10_000_000)) == 1
    ledgers = parts.node.parts.caps.ledgers
    take, is_taken, is_held = ledgers.take, asyncio.Event(), asyncio.Event()

    async def slow(name: str, want: int, terms: SlotTerms, *, within_us: int, after_us: int = 0) -> Taken:
        taken = await take(name, want, terms, within_us=within_us, after_us=after_us)
        if taken.grants:
            is_taken.set()
            await is_held.wait()
        return taken

    monkeypatch.setattr(ledgers, "take", slow)
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=2_500_000))
    await is_taken.wait()
    await ledgers.hold(CapHold("acct", 60_000_000))
    is_held.set()
    assert await poll == []
    assert counts(parts)["used"] == 1


async def test_a_limit_that_leases_at_one_time_counts_the_leases_that_began_under_it(parts: Parts) -> None:
    """A lease that began before has no permit (docs/limits.md)."""
    await put_cap(parts.node, "acct", 1_000, 10)
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(3)))
    assert len(await parts.dequeue(KIND, wait_us=10_000_000)) == 1
    home = partition_of("cap", "acct", parts.node.settings.partitions)
    definition = CapDefinition([Limit(LimitUnit.JOB, 1_000, 10)], 1)
    await parts.node.parts.pipeline.value(parts.node.parts.calls.caps.put_cap(home, "acct", definition))
    assert len(await until_answer(lambda: parts.dequeue(KIND, wait_us=100_000), bool)) == 1
    assert await parts.dequeue(KIND, wait_us=300_000) == []
    assert await leased_of(parts, "acct") == 1


async def test_many_caps_that_give_nothing_are_asked_so_often_together_and_not_each(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shard.caps.ledgers.VAIN_EVERY_US", 50_000)
    caps = 200
    await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=(f"nobody{n}",)) for n in range(caps)))
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=60_000_000))
    await until(lambda: counts(parts)["asks"] > caps, what="each of them was asked")
    began, asks = monotonic(), counts(parts)["asks"]
    await asyncio.sleep(3)
    assert 0 < counts(parts)["asks"] - asks <= (monotonic() - began) / 0.05 + 2
    poll.cancel()
