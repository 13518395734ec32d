"""Bounds of a link, and its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from router.shards.pending_calls import MAX_CALLS
from shard.link import router_link
from sharq_core.errors import OutcomeUnknown, Overloaded, Unavailable
from sharq_core.http_port.body_pace import PACED_SHARE
from sharq_core.link import messages
from sharq_core.link.frames import CallFrame, ErrorFrame, ReplyFrame
from sharq_core.link.messages import Dequeued, Enqueue, GetJob, Peek
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
)
from tests.support.http.unwanted_bodies import BODY_S, dropping_s, exhaust
from tests.support.nodes.links import (
    FAR_US,
    KEY,
    KIND,
    Gate,
    RawShard,
    dequeue,
    raw_router,
    router_end,
    serving,
    shard_end,
    shard_port,
)
from tests.support.nodes.parts import Parts, job
from tests.support.ports import free_port
from tests.support.waits import DEADLINE_S, until


async def test_more_calls_than_a_link_may_hold_are_refused_at_once(parts: Parts) -> None:
    """I11, at the router."""
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address, timeout_s=30) as end:
        calls = [asyncio.create_task(end.link.call(dequeue(KIND))) for _ in range(MAX_CALLS)]
        await until(lambda: end.link.in_flight == MAX_CALLS)
        with pytest.raises(Overloaded):
            await end.link.call(dequeue(KIND))
        gate.opened.set()
        assert await asyncio.gather(*calls) == [Dequeued([], None)] * MAX_CALLS


async def test_more_bytes_than_a_link_may_hold_are_refused_at_once() -> None:
    """I11, at the router."""

    async def read_nothing(shard: RawShard) -> None:
        await until(lambda: is_refused)
        shard.abort()

    is_refused = False
    raw = RawShard(read_nothing)
    large = [Enqueue([job(KIND, "q", f"{n}", payload=bytes(15_000_000))]) for n in range(5)]
    async with serving(raw.handle) as address, router_end(address) as end:
        calls = [asyncio.create_task(end.link.call(call)) for call in large]
        with pytest.raises(Overloaded):
            await calls[4]
        is_refused = True
        outcomes = await asyncio.gather(*calls[:4], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {OutcomeUnknown, Unavailable}


async def test_more_calls_than_a_shard_takes_of_one_link_are_refused_at_once(parts: Parts) -> None:
    """I11, at the shard."""
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, raw_router(shard.address) as raw:
        count = router_link.MAX_CALLS + 5
        await raw.say(*(CallFrame(number, FAR_US, Peek(KIND)) for number in range(count)))
        refused = (await raw.read()).entries
        assert [entry.code for entry in refused if isinstance(entry, ErrorFrame)] == ["overloaded"] * 5
        gate.opened.set()
        answered = 0
        while answered < router_link.MAX_CALLS:
            answered += sum(isinstance(entry, ReplyFrame) for entry in (await raw.read()).entries)


async def test_a_router_that_does_not_read_loses_its_link(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I11: its answers gather at the shard, up to a bound."""
    monkeypatch.setattr(router_link, "MAX_UNREAD", 20)
    await parts.node.call(Enqueue([job(KIND, "q", "j", payload=b'"' + b"x" * 900_000 + b'"')]))
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        await until(lambda: len(shard.server) == 1)
        numbers = iter(range(10_000))
        async with asyncio.timeout(DEADLINE_S):
            while len(shard.server) == 1:
                with suppress(ConnectionError):
                    await raw.say(*(CallFrame(next(numbers), FAR_US, GetJob(KEY, "j")) for _ in range(5)))
                await asyncio.sleep(0.02)
        assert "unsent: the router does not read" in caplog.text
        await raw.abort()


async def test_a_shard_that_closes_answers_what_is_under_way_and_refuses_the_rest(parts: Parts) -> None:
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address) as end:
        call = asyncio.create_task(end.link.call(Enqueue([job(KIND, "q", "j")])))
        await until(lambda: gate.inside == 1)
        closing = asyncio.create_task(shard.server.close())
        await until(lambda: shard.server.is_closing)
        with pytest.raises(Unavailable, match="is stopping"):
            await end.link.call(Peek(KIND))
        gate.opened.set()
        assert await call == [Enqueued(EnqueueStatus.QUEUED, 0)]
        await closing
        await until(lambda: not end.link.is_up)


async def test_a_link_that_ends_leaves_no_watch_behind(parts: Parts) -> None:
    class Counting(Gate):
        watches = 0

        def watch(self, queue_type: str, on_due: messages.OnDue) -> None:
            self.watches += 1
            super().watch(queue_type, on_due)

        def unwatch(self, queue_type: str, on_due: messages.OnDue) -> None:
            self.watches -= 1
            super().unwatch(queue_type, on_due)

    counting = Counting(parts.node)
    async with shard_end(counting) as shard:
        async with router_end(shard.address) as end:
            for kind in ("a", "b", "a"):
                end.link.watch(kind, lambda in_us: None)
            await until(lambda: counting.watches == 2)
        await until(lambda: counting.watches == 0)


async def test_a_shard_that_is_away_is_reached_once_it_is_there(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with router_end(f"127.0.0.1:{port}", comes_up=False) as end:
        await until(lambda: "link_down" in caplog.text)
        async with shard_end(parts.node, port=port):
            await until(lambda: end.link.is_up)
            assert await end.link.call(dequeue(KIND)) == Dequeued([], None)
    assert caplog.text.count("link_down") == 2


@pytest.mark.parametrize(
    ("line", "status"), [("POST /nowhere", 404), ("PUT /healthz", 405), ("GET /readyz", 200)]
)
async def test_a_shard_drops_unwanted_bodies_slowly_after_many(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, line: str, status: int
) -> None:
    async with shard_port(parts.node) as shard:
        exhaust(shard.port.dropping, monkeypatch)
        taken_s = await dropping_s(f"http://{shard.address}", line, "", status)
        assert taken_s >= BODY_S / PACED_SHARE - 0.01
