"""The link between router and shard, both ends real wherever they can be: calls, breaks, strangers, silence, bounds."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from router.link_calls import MAX_CALLS
from shard import link_server
from shard.node import NodeSettings
from sharq_core import frames, messages
from sharq_core.errors import OutcomeUnknown, Overloaded, SharqError, Unavailable
from sharq_core.frames import Answer, Failed, Request
from sharq_core.messages import Call, CheckStore, Dequeued, Enqueue, Failure, GetJob, Peek
from sharq_core.models import (
    DeadPage,
    DeadRef,
    DeletedQueue,
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeaseOutcome,
    LeaseStatus,
    QueueKey,
    QueuePage,
    RedriveStatus,
    ReleaseJob,
    TopOrder,
)
from sharq_core.partitions import partition_of
from tests.cluster.links import (
    NODE_ID,
    VIEW,
    Gate,
    RawShard,
    Router,
    dequeue,
    raw_router,
    router_end,
    serving,
    shard_end,
    shard_process,
)
from tests.cluster.nodes import Parts, job, running_node, until
from tests.conftest import StoreFactory
from tests.stores import free_port

KIND = "sms"
KEY = QueueKey(KIND, "q")
FAR_US = 2**62


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store_url, NodeSettings(key_prefix=prefix)) as running:
        yield running


@pytest.fixture
async def router(parts: Parts) -> AsyncIterator[Router]:
    """A router's end that is linked to the node."""
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        yield end


async def test_every_call_is_answered_over_the_link(router: Router) -> None:
    used: set[type] = set()

    async def ask(call: Call[Any]) -> Any:
        used.add(type(call))
        return await router.link.call(call)

    partition = partition_of(KIND, "q", 64)
    queued = Enqueued(EnqueueStatus.QUEUED, 0)
    done = [LeaseOutcome(LeaseStatus.DONE)]
    assert await ask(CheckStore()) is None
    assert (await ask(messages.DescribeStore())).is_reachable
    assert await ask(messages.Cover([partition])) is None
    assert await ask(Peek(KIND)) is None
    assert await ask(Enqueue([job(KIND, "q", "j", requeue_limit=0)])) == [queued]
    assert await ask(Peek(KIND)) <= 0
    assert (await ask(GetJob(KEY, "j"))).state is JobState.QUEUED
    assert (await ask(messages.GetQueue(KEY))).queued == 1
    assert await ask(messages.ListQueues(KIND, partition, 0, 10)) == QueuePage(["q"], 0)
    top = await ask(messages.GetTop(KIND, [partition], TopOrder.DEPTH, 10))
    assert [(one.queue_id, one.depth) for one in top.queues] == [("q", 1)]
    assert (await ask(messages.GetCounts([partition]))).queue_types == [KIND]
    (leased,) = (await ask(dequeue(KIND))).jobs
    (extended,) = await ask(messages.Extend([ExtendJob(KIND, "q", "j", leased.lease, 90_000_000)]))
    assert extended.leased_until_us > leased.leased_until_us
    assert await ask(messages.Release([ReleaseJob(KIND, "q", "j", leased.lease, 0, True)])) == done
    (leased,) = (await ask(dequeue(KIND))).jobs
    assert await ask(messages.Finish([FinishJob(KIND, "q", "j", leased.lease)])) == done
    assert await ask(messages.SetRate(KEY, 5_000_000, 1, True)) is True
    assert await ask(messages.SetPaused(KEY, True)) is True
    assert await ask(messages.ListDead(KIND, partition, "", 10)) == DeadPage([], "")
    assert await ask(messages.Redrive([DeadRef(KIND, "q", "j")])) == [RedriveStatus.NOT_FOUND]
    assert await ask(messages.DropDead(KIND, partition, 10)) == 0
    assert await ask(messages.DeleteQueue(KEY)) == DeletedQueue(0)
    assert used == set(Call.__subclasses__())


async def test_an_error_keeps_its_class_and_message_over_the_link(router: Router) -> None:
    with pytest.raises(SharqError, match="cursor: not a cursor") as raised:
        await router.link.call(messages.ListDead(KIND, 3, "nonsense", 10))
    assert raised.value.code == "invalid_request"


async def test_a_call_that_fails_in_the_shard_is_logged_there_and_harms_no_other(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SharqError, match="the call failed") as raised:
        await router.link.call(messages.GetCounts([]))
    assert raised.value.perhaps_done
    assert "call_failed call=GetCounts" in caplog.text
    assert await router.link.call(Peek(KIND)) is None


async def test_the_router_learns_who_the_shard_is_and_each_new_view(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        assert end.link.node_id == NODE_ID
        assert end.views == [VIEW]
        newer = messages.View(8, 64, ())
        shard.server.push_view(newer)
        shard.server.push_draining()
        await until(lambda: end.link.is_draining)
        assert end.views == [VIEW, newer]


async def test_the_calls_of_one_tick_leave_as_one_frame() -> None:
    async def answer(shard: RawShard) -> None:
        requests = [entry for entry in (await shard.read()).entries if isinstance(entry, Request)]
        await shard.say(*(Answer(request.number, request.number) for request in requests))
        await shard.read()

    raw = RawShard(answer)
    async with serving(raw.handle) as address, router_end(address) as end:
        replies = await asyncio.gather(*(end.link.call(Peek(KIND)) for _ in range(500)))
    assert sorted(reply or 0 for reply in replies) == list(range(1, 501))
    assert [len(frame.entries) for frame in raw.frames] == [500]


async def test_the_answers_of_one_tick_leave_as_one_frame(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        await raw.say(*(Request(number, FAR_US, Peek(KIND)) for number in range(500)))
        frame = await raw.read()
    assert [entry.number for entry in frame.entries if isinstance(entry, Answer)] == list(range(500))


async def test_a_bulk_travels_in_frames_of_a_mebibyte_and_keeps_its_order(parts: Parts) -> None:
    """I3; and one job that is larger by itself."""
    payload = b'"' + b"x" * 60_000 + b'"'
    jobs = [job(KIND, "q", f"j{n:04}", payload=payload) for n in range(100)]
    jobs[50] = job(KIND, "q", "j0050", payload=b'"' + b"x" * 3_000_000 + b'"')
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        outcomes = await end.link.call(Enqueue(jobs))
        order: list[str] = []
        while len(order) < 100:
            order += [one.job_id for one in (await end.link.call(dequeue(KIND, 100))).jobs]
    assert outcomes == [Enqueued(EnqueueStatus.QUEUED, n) for n in range(100)]
    assert order == [one.job_id for one in jobs]


async def test_only_a_job_that_is_larger_makes_a_larger_frame() -> None:
    async def answer(shard: RawShard) -> None:
        for _ in range(4):
            await shard.read()
            request = shard.requests()[-1]
            assert isinstance(request.call, Enqueue)
            await shard.say(Answer(request.number, [queued] * len(request.call.jobs)))

    queued = Enqueued(EnqueueStatus.QUEUED, 0)
    raw = RawShard(answer)
    jobs = [
        job(KIND, "q", f"j{n}", payload=b"x" * size) for n, size in enumerate([500_000] * 6 + [3_000_000])
    ]
    async with serving(raw.handle) as address, router_end(address) as end:
        assert await end.link.call(Enqueue(jobs)) == [queued] * 7
    assert [size > frames.MAX_FRAME_BYTES for size in raw.sizes] == [False, False, False, True]


async def test_a_bulk_that_fails_on_its_way_says_of_each_job_whether_it_happened() -> None:
    """I9: the first part was done, the second perhaps, the third was never sent."""

    async def answer_one(shard: RawShard) -> None:
        await shard.read()
        await shard.say(Answer(shard.requests()[0].number, [queued, queued]))
        await shard.read()
        shard.abort()

    queued = Enqueued(EnqueueStatus.QUEUED, 0)
    raw = RawShard(answer_one)
    jobs = [job(KIND, "q", f"j{n}", payload=b"x" * 500_000) for n in range(6)]
    async with serving(raw.handle) as address, router_end(address) as end:
        outcomes = await end.link.call(Enqueue(jobs))
    assert outcomes[:2] == [queued, queued]
    codes = [outcome.code for outcome in outcomes[2:] if isinstance(outcome, Failure)]
    assert codes == ["outcome_unknown", "outcome_unknown", "unavailable", "unavailable"]


async def test_a_break_says_perhaps_of_what_was_sent_and_no_of_the_rest() -> None:
    """I9: the shard stops reading, so some calls never leave the router."""

    async def read_nothing(shard: RawShard) -> None:
        assert shard.transport is not None
        shard.transport.pause_reading()
        await until(lambda: is_breaking)
        shard.abort()

    is_breaking = False
    raw = RawShard(read_nothing)
    async with serving(raw.handle) as address, router_end(address) as end:
        calls = [
            asyncio.create_task(end.link.call(Enqueue([job(KIND, "q", f"{n}", payload=b"x" * 900_000)])))
            for n in range(60)
        ]
        read = asyncio.create_task(end.link.call(Peek(KIND)))
        await until(lambda: end.link.in_flight == 61)
        is_breaking = True
        results = await asyncio.gather(*calls, read, return_exceptions=True)
        kinds = [type(result) for result in results]
        sent = kinds.count(OutcomeUnknown)
        assert 0 < sent < 60
        assert kinds == [OutcomeUnknown] * sent + [Unavailable] * (61 - sent)
        assert (end.downs, end.link.in_flight, end.link.is_suspect) == (1, 0, True)
        with pytest.raises(Unavailable, match="cannot be reached"):
            await end.link.call(Peek(KIND))


async def test_a_read_that_was_sent_and_not_answered_was_not_done() -> None:
    async def leave(shard: RawShard) -> None:
        await shard.read()
        shard.abort()

    raw = RawShard(leave)
    async with serving(raw.handle) as address, router_end(address) as end:
        calls = (end.link.call(Peek(KIND)), end.link.call(dequeue(KIND)))
        read, write = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(read, Unavailable)
    assert isinstance(write, OutcomeUnknown)


async def test_a_link_comes_back_with_its_watches(parts: Parts) -> None:
    port = free_port()
    heard: list[int | None] = []
    async with shard_end(parts.node, port=port) as shard, router_end(shard.address) as end:
        end.link.watch(KIND, heard.append)
        await until(lambda: heard == [None])
        await parts.node.call(Enqueue([job(KIND, "q", "j")]))
        await until(lambda: len(heard) == 2)
        assert heard[1] is not None
        await shard.server.close()
        await until(lambda: not end.link.is_up)
        assert heard[2:] == [None]
        async with shard_end(parts.node) as elsewhere:
            end.link.address = elsewhere.address
            await until(lambda: len(heard) == 4)
            assert heard[3] is not None
            assert heard[3] <= 0


async def test_each_watcher_of_a_type_is_told_until_it_stops(parts: Parts) -> None:
    first: list[int | None] = []
    second: list[int | None] = []
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        end.link.watch(KIND, first.append)
        await until(lambda: first == [None])
        end.link.watch(KIND, second.append)
        await until(lambda: second == [None])
        end.link.unwatch(KIND, first.append)
        end.link.unwatch(KIND, first.append)
        told = len(first)
        await parts.node.call(Enqueue([job(KIND, "q", "j")]))
        await until(lambda: len(second) == 2)
        assert len(first) == told
        end.link.unwatch(KIND, second.append)
        await end.link.call(Peek(KIND))
        await parts.node.call(Enqueue([job(KIND, "r", "j", delay_us=0)]))
        await end.link.call(Peek(KIND))
        assert len(second) == 2


async def test_a_watch_on_a_link_that_is_down_hears_of_nothing() -> None:
    heard: list[int | None] = []
    async with router_end(f"127.0.0.1:{free_port()}", comes_up=False) as end:
        end.link.watch(KIND, heard.append)
        assert heard == []
        await until(lambda: heard == [None])


async def test_a_secret_that_both_know_opens_the_link(parts: Parts) -> None:
    async with shard_end(parts.node, "key") as shard, router_end(shard.address, "key") as end:
        assert await end.link.call(Peek(KIND)) is None


@pytest.mark.parametrize(
    ("of_shard", "of_router", "said"),
    [
        ("hush-a", "hush-b", "the router has another link secret"),
        ("hush-a", None, "the router has no link secret and this end has one"),
        (None, "hush-b", "the router has a link secret and this end has none"),
    ],
)
async def test_a_wrong_secret_is_said_on_both_sides_without_the_secret(
    parts: Parts, caplog: pytest.LogCaptureFixture, of_shard: str | None, of_router: str | None, said: str
) -> None:
    caplog.set_level("INFO")
    async with (
        shard_end(parts.node, of_shard) as shard,
        router_end(shard.address, of_router, comes_up=False) as end,
    ):
        await until(lambda: "link_down" in caplog.text and caplog.text.count("link_refused") > 1)
        assert not end.link.is_up
        assert end.views == []
        assert len(shard.server) == 0
        with pytest.raises(Unavailable, match=said):
            await end.link.call(Peek(KIND))
    told = [record.getMessage() for record in caplog.records]
    assert [line.startswith("link_down") for line in told if "link_down" in line] == [True]
    assert all(said in line for line in told if line.startswith(("link_down", "link_refused")))
    assert "hush" not in caplog.text


async def test_a_shard_that_cannot_prove_the_secret_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    async def wait_for_the_end(shard: RawShard) -> None:
        await shard.socket.receive(timeout=10)

    raw = RawShard(wait_for_the_end)
    async with serving(raw.handle) as address, router_end(address, "key", comes_up=False) as end:
        await until(lambda: "the shard has no link secret" in caplog.text)
        assert end.views == []


async def test_a_shard_of_another_version_is_not_linked(caplog: pytest.LogCaptureFixture) -> None:
    async def wait_for_the_end(shard: RawShard) -> None:
        await shard.socket.receive(timeout=10)

    raw = RawShard(wait_for_the_end, version=9)
    async with serving(raw.handle) as address, router_end(address, comes_up=False) as end:
        await until(lambda: "speaks version 9 of the link, this one version 1" in caplog.text)
        assert not end.link.is_up


async def test_a_router_of_another_version_is_told_so(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address, is_greeted=False) as raw:
        await raw.say_hello(version=9)
        assert "speaks version 9 of the link, this one version 1" in await raw.closed()


@pytest.mark.parametrize("is_greeted", [True, False], ids=["after its hello", "before its hello"])
@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"GET / HTTP/1.1", "not a frame of the link"),
        (frames.pack(0, [frames.encode([99, "x"])], 1), "not a frame of the link"),
        (bytes(frames.MAX_MESSAGE_BYTES), "exceeds limit"),
        ("text", "a text message"),
    ],
    ids=["malformed", "unknown entry", "too large", "text"],
)
async def test_what_is_no_frame_closes_that_link_only_and_is_logged(
    parts: Parts, caplog: pytest.LogCaptureFixture, message: bytes | str, said: str, is_greeted: bool
) -> None:
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        async with raw_router(shard.address, is_greeted=is_greeted) as stranger:
            with suppress(ConnectionError):
                await stranger.say_anything(message)
            await until(lambda: "link_refused" in caplog.text)
        assert said in next(line for line in caplog.messages if "link_refused" in line)
        assert await end.link.call(Peek(KIND)) is None
        assert end.downs == 0


async def test_an_answer_that_is_none_ends_the_link_and_the_router_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer_nonsense(shard: RawShard) -> None:
        (request,) = [entry for entry in (await shard.read()).entries if isinstance(entry, Request)]
        await shard.say(Answer(request.number, "not a number"))
        await shard.socket.receive(timeout=10)

    raw = RawShard(answer_nonsense)
    async with serving(raw.handle) as address, router_end(address) as end:
        with pytest.raises(Unavailable):
            await end.link.call(Peek(KIND))
        await until(lambda: end.link.is_up)
        assert end.downs == 1
    assert "not a frame of the link" in caplog.text


async def test_a_call_that_is_read_too_late_is_not_done(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        call = Enqueue([job(KIND, "q", "j")])
        await raw.say(Request(1, raw.clock_us, call), Request(2, raw.clock_us + 5_000_000, Peek(KIND)))
        entries = [await raw.next_entry(), await raw.next_entry()]
    late, peek = entries
    assert isinstance(late, Failed)
    assert (late.number, late.code) == (1, "unavailable")
    assert isinstance(peek, Answer)
    assert peek.number == 2
    assert await parts.node.call(GetJob(KEY, "j")) is None


async def test_deadlines_are_by_the_clock_of_the_shard() -> None:
    """Nobody's clock is compared with another's: this shard's is an hour ahead."""
    hour_us = 3_600_000_000

    def clock_us() -> int:
        return int(time.monotonic() * 1e6) + hour_us

    async def answer(shard: RawShard) -> None:
        for _ in range(2):
            (request,) = [entry for entry in (await shard.read()).entries if isinstance(entry, Request)]
            left_us.append(request.deadline_us - clock_us())
            await shard.say(Answer(request.number, None))
        await shard.socket.receive(timeout=10)

    left_us: list[int] = []
    raw = RawShard(answer, clock_us=clock_us)
    async with serving(raw.handle) as address, router_end(address, timeout_s=4.0) as end:
        await end.link.call(Peek(KIND))
        await end.link.call(Peek(KIND))
    assert len(left_us) == 2
    assert all(3_000_000 < left <= 4_000_000 for left in left_us)


async def test_a_call_without_an_answer_ends_at_its_deadline(parts: Parts) -> None:
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address, timeout_s=0.3) as end:
        started = time.monotonic()
        calls = (
            end.link.call(Peek(KIND)),
            end.link.call(Enqueue([job(KIND, "q", "j")])),
        )
        read, write = await asyncio.gather(*calls, return_exceptions=True)
        assert 0.25 < time.monotonic() - started < 2
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


async def test_a_silent_shard_is_suspect_in_half_a_second(own_store: StoreFactory, prefix: str) -> None:
    """A paused process: reads are given up at once, and all is well when it goes on."""
    async with (
        shard_process(own_store().url, prefix) as (address, process),
        router_end(address, timeout_s=3.0) as end,
    ):
        await end.link.call(CheckStore())
        process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        read = asyncio.create_task(end.link.call(Peek(KIND)))
        write = asyncio.create_task(end.link.call(Enqueue([job(KIND, "q", "j")])))
        await until(lambda: end.link.is_suspect)
        assert 0.4 < time.monotonic() - started < 1.4
        with pytest.raises(Unavailable, match="no sign of life"):
            await read
        assert time.monotonic() - started < 2
        process.send_signal(signal.SIGCONT)
        assert await write == [Enqueued(EnqueueStatus.QUEUED, 0)]
        assert not end.link.is_suspect
        assert end.downs == 0


async def test_a_paused_shard_does_not_do_late_what_nobody_waits_for(
    own_store: StoreFactory, prefix: str
) -> None:
    """What it finds in its socket when it wakes up is past its deadline."""
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


async def attempt_of_the_next(parts: Parts) -> int:
    """How often the job was delivered, when it comes again."""
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
            await raw.say(*(Request(number, FAR_US, dequeue(KIND)) for number in range(24)))
            await until_leased(parts, 24)
            await raw.abort()
        await until(lambda: len(shard.server) == 0)
        attempts = Counter([(await parts.dequeue(KIND, wait_us=5_000_000))[0].attempt for _ in range(5)])
    assert attempts == {1: 5}


async def until_leased(parts: Parts, count: int) -> None:
    """Wait until this many queues have a leased job."""
    async with asyncio.timeout(10):
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
            await raw.say(Request(1, FAR_US, Enqueue([job(KIND, "q", "j")])))
        await until(lambda: len(shard.server) == 0)
        (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
        assert leased.job_id == "j"


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
        count = link_server.MAX_CALLS + 5
        await raw.say(*(Request(number, FAR_US, Peek(KIND)) for number in range(count)))
        refused = (await raw.read()).entries
        assert [entry.code for entry in refused if isinstance(entry, Failed)] == ["overloaded"] * 5
        gate.opened.set()
        answered = 0
        while answered < link_server.MAX_CALLS:
            answered += sum(isinstance(entry, Answer) for entry in (await raw.read()).entries)


async def test_a_router_that_does_not_read_loses_its_link(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I11: its answers gather at the shard, up to a bound."""
    monkeypatch.setattr(link_server, "MAX_UNREAD", 20)
    await parts.node.call(Enqueue([job(KIND, "q", "j", payload=b'"' + b"x" * 900_000 + b'"')]))
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        await until(lambda: len(shard.server) == 1)
        numbers = iter(range(10_000))
        async with asyncio.timeout(10):
            while len(shard.server) == 1:
                with suppress(ConnectionError):
                    await raw.say(*(Request(next(numbers), FAR_US, GetJob(KEY, "j")) for _ in range(5)))
                await asyncio.sleep(0.02)
        assert "the router does not read them" in caplog.text
        await raw.abort()


async def test_a_shard_that_closes_answers_what_is_under_way_and_refuses_the_rest(parts: Parts) -> None:
    gate = Gate(parts.node)
    async with shard_end(gate) as shard, router_end(shard.address) as end:
        call = asyncio.create_task(end.link.call(Enqueue([job(KIND, "q", "j")])))
        await until(lambda: gate.inside == 1)
        closing = asyncio.create_task(shard.server.close())
        await until(lambda: shard.server.is_closing)
        with pytest.raises(Unavailable, match="has stopped"):
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
