"""Leases whose answer nobody reads: they go to someone else, or back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sharq_core.errors import OutcomeUnknown, SharqError
from sharq_core.link import frames, messages
from sharq_core.link.frames import CallFrame
from sharq_core.link.messages import Enqueue
from sharq_core.models import (
    QueueKey,
)
from tests.support.nodes.links import FAR_US, KIND, Gate, dequeue, raw_router, router_end, shard_end
from tests.support.nodes.parts import Parts, job
from tests.support.waits import DEADLINE_S, until


async def attempt_of_the_next(parts: Parts) -> int:
    """Wait for the job's next delivery and return its attempt."""
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    return leased.attempt


async def test_a_lease_whose_link_broke_before_its_answer_left_is_void(parts: Parts) -> None:
    await parts.node.call(Enqueue([job(KIND, "q", "j", requeue_limit=0)]))
    gate = Gate(parts.node)
    async with shard_end(gate) as shard:
        async with router_end(shard.address) as end:
            lost = asyncio.create_task(end.link.call(dequeue(KIND)))
            await until(lambda: gate.inside == 1)
        with pytest.raises(OutcomeUnknown):
            await lost
        await until(lambda: len(shard.server) == 0)
        gate.opened.set()
        assert await attempt_of_the_next(parts) == 1


async def test_a_lease_in_an_answer_that_the_router_never_read_is_void(parts: Parts) -> None:
    """The router stops reading: what fills the socket may have been seen, and the rest comes back uncounted."""
    payload = b'"' + b"x" * 900_000 + b'"'
    await parts.node.call(Enqueue([job(KIND, f"q{n}", "j", payload=payload) for n in range(24)]))
    async with shard_end(parts.node) as shard:
        async with raw_router(shard.address) as raw:
            await raw.say(*(CallFrame(number, FAR_US, dequeue(KIND)) for number in range(24)))
            await until_leased(parts, 24)
            await raw.abort()
        await until(lambda: len(shard.server) == 0)
        attempts = Counter([(await parts.dequeue(KIND, wait_us=5_000_000))[0].attempt for _ in range(5)])
    assert attempts == {1: 5}


async def until_leased(parts: Parts, count: int) -> None:
    """Wait until this many queues have a leased job."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            stats = [await parts.node.call(messages.GetQueue(QueueKey(KIND, f"q{n}"))) for n in range(count)]
            if sum(one.leased for one in stats) == count:
                return
            await asyncio.sleep(0.01)


async def test_a_lease_in_an_answer_that_is_too_large_for_a_link_is_void(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.node.call(Enqueue([job(KIND, "q", "j", payload=b'"' + b"x" * 5000 + b'"')]))
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        monkeypatch.setattr(frames, "MAX_ENTRY_BYTES", 5000)
        with pytest.raises(SharqError, match="too large for a link"):
            await end.link.call(dequeue(KIND))
        assert end.downs == 0
        assert await attempt_of_the_next(parts) == 1


async def test_a_lease_that_comes_after_its_deadline_goes_back_uncounted(parts: Parts) -> None:
    await parts.node.call(Enqueue([job(KIND, "q", "j", requeue_limit=0)]))
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address, timeout_s=0.2) as end:
        with pytest.raises(OutcomeUnknown):
            await end.link.call(dequeue(KIND))
        gate.opened.set()
        assert await attempt_of_the_next(parts) == 1


async def test_a_lease_that_comes_for_a_caller_who_has_gone_goes_back_uncounted(parts: Parts) -> None:
    await parts.node.call(Enqueue([job(KIND, "q", "j", requeue_limit=0)]))
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address) as end:
        gone = asyncio.create_task(end.link.call(dequeue(KIND)))
        await until(lambda: gate.inside == 1)
        gone.cancel()
        gate.opened.set()
        assert await attempt_of_the_next(parts) == 1


async def test_an_enqueue_under_way_is_done_though_its_link_has_gone(parts: Parts) -> None:
    async with shard_end(parts.node) as shard:
        async with raw_router(shard.address) as raw:
            await raw.say(CallFrame(1, FAR_US, Enqueue([job(KIND, "q", "j")])))
        await until(lambda: len(shard.server) == 0)
        (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
        assert leased.job_id == "j"
