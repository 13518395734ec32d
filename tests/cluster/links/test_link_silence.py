"""Calls that are late, ends that are silent or paused: deadlines and suspicion on the link."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from sharq_core.errors import OutcomeUnknown, Unavailable
from sharq_core.link.frames import Away, CallFrame, ErrorFrame, ReplyFrame
from sharq_core.link.messages import CheckStore, Enqueue, GetJob, Peek
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
)
from tests.support.nodes.links import (
    KEY,
    KIND,
    NODE_ID,
    Gate,
    RawShard,
    raw_router,
    router_end,
    serving,
    shard_end,
    shard_process,
)
from tests.support.nodes.parts import Parts, job
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreFactory
from tests.support.waits import until

SOON_S = 6.0
"""Much less than the deadline of a call that would wait for it."""


async def test_a_call_that_is_read_too_late_is_not_done(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        call = Enqueue([job(KIND, "q", "j")])
        await raw.say(CallFrame(1, raw.clock_us, call), CallFrame(2, raw.clock_us + 5_000_000, Peek(KIND)))
        entries = [await raw.next_entry(), await raw.next_entry()]
    late, peek = entries
    assert isinstance(late, ErrorFrame)
    assert (late.number, late.code) == (1, "unavailable")
    assert isinstance(peek, ReplyFrame)
    assert peek.number == 2
    assert await parts.node.call(GetJob(KEY, "j")) is None


async def test_deadlines_are_by_the_clock_of_the_shard() -> None:
    """Nobody's clock is compared with another's: this shard's is an hour ahead."""
    hour_us = 3_600_000_000

    def clock_us() -> int:
        return int(time.monotonic() * 1e6) + hour_us

    async def answer(shard: RawShard) -> None:
        for _ in range(2):
            (request,) = [entry for entry in (await shard.read()).entries if isinstance(entry, CallFrame)]
            left_us.append(request.deadline_us - clock_us())
            await shard.say(ReplyFrame(request.number, None))
        await shard.socket.receive(timeout=10)

    left_us: list[int] = []
    raw = RawShard(answer, clock_us=clock_us)
    async with serving(raw.handle) as address, router_end(address, timeout_s=4.0) as end:
        await end.link.call(Peek(KIND))
        await end.link.call(Peek(KIND))
    assert len(left_us) == 2
    assert all(3_000_000 < left <= 4_000_000 for left in left_us)


async def test_a_call_without_an_answer_ends_at_its_deadline(parts: Parts, stopwatch: Stopwatch) -> None:
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address, timeout_s=0.3) as end:
        stopwatch.start()
        calls = (
            end.link.call(Peek(KIND)),
            end.link.call(Enqueue([job(KIND, "q", "j")])),
        )
        read, write = await asyncio.gather(*calls, return_exceptions=True)
        assert stopwatch.elapsed_s > 0.25
        stopwatch.assert_within(SOON_S)
        assert isinstance(read, Unavailable)
        assert isinstance(write, OutcomeUnknown)
        assert (end.link.in_flight, end.link.is_up) == (0, True)
        gate.opened.set()


async def test_a_shard_that_waits_for_its_store_is_not_suspect(parts: Parts) -> None:
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address) as end:
        call = asyncio.create_task(end.link.call(Peek(KIND)))
        started = time.monotonic()
        while time.monotonic() - started < 1.2:
            assert not end.link.is_suspect
            await asyncio.sleep(0.02)
        gate.opened.set()
        assert await call is None


async def test_a_silent_shard_is_suspect_in_half_a_second(
    own_store: StoreFactory, prefix: str, stopwatch: Stopwatch
) -> None:
    """A paused process: reads are given up at once, and all is well when it goes on."""
    async with (
        shard_process(own_store().url, prefix) as (address, process),
        router_end(address, timeout_s=30.0) as end,
    ):
        await end.link.call(CheckStore())
        process.send_signal(signal.SIGSTOP)
        stopwatch.start()
        read = asyncio.create_task(end.link.call(Peek(KIND)))
        write = asyncio.create_task(end.link.call(Enqueue([job(KIND, "q", "j")])))
        await until(lambda: end.link.is_suspect)
        assert stopwatch.elapsed_s > 0.4
        stopwatch.assert_within(SOON_S)
        with pytest.raises(Unavailable, match="no sign of life"):
            await read
        stopwatch.assert_within(SOON_S)
        process.send_signal(signal.SIGCONT)
        assert await write == [Enqueued(EnqueueStatus.QUEUED, 0)]
        assert not end.link.is_suspect
        assert end.downs == 0


async def test_a_paused_shard_does_not_do_late_what_nobody_waits_for(
    own_store: StoreFactory, prefix: str
) -> None:
    """The calls that it finds in its socket when it wakes up are past their deadline."""
    async with (
        shard_process(own_store().url, prefix) as (address, process),
        router_end(address, timeout_s=0.8) as end,
    ):
        await end.link.call(CheckStore())
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(OutcomeUnknown):
            await end.link.call(Enqueue([job(KIND, "q", "late")]))
        await until(lambda: end.link.is_suspect)
        assert end.link.in_flight == 0
        process.send_signal(signal.SIGCONT)
        await until(lambda: not end.link.is_suspect)
        assert await end.link.call(GetJob(KEY, "late")) is None


async def test_a_router_that_stood_still_takes_the_answers_that_came_meanwhile(
    own_store: StoreFactory, prefix: str
) -> None:
    """Its own pause is neither the shard's silence nor a missing answer."""
    async with (
        shard_process(own_store().url, prefix) as (address, _),
        router_end(address, timeout_s=0.5) as end,
    ):
        await end.link.call(CheckStore())
        call = asyncio.create_task(end.link.call(CheckStore()))
        for _ in range(3):
            await asyncio.sleep(0)
        assert end.link.in_flight == 1
        time.sleep(0.8)  # noqa: ASYNC251 - the event loop is meant to stand still
        await call
        assert not end.link.is_suspect


async def test_the_log_names_a_shard_that_does_not_reach_its_store(caplog: pytest.LogCaptureFixture) -> None:
    """By its node, too: an address does not tell an operator which one it is."""

    async def leave_and_take_back(shard: RawShard) -> None:
        await shard.say(Away([1, 2]))
        await shard.say(Away([]))
        await shard.socket.receive(timeout=10)

    caplog.set_level("INFO")
    async with serving(RawShard(leave_and_take_back).handle) as address, router_end(address):
        back = f"shard_back shard={address} node={NODE_ID}: it reaches its store again"
        await until(lambda: back in caplog.messages)
    away = f"shard_away shard={address} node={NODE_ID} partitions=2: it does not reach its store"
    assert away in caplog.messages
