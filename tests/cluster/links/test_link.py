"""The link between router and shard, both ends real wherever they can be: calls, frames, breaks and watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec
import pytest

from sharq_core.campaigns.batches import BatchCounts, BatchStep
from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.campaigns.schedules import ScheduleChange, ScheduleRule, ScheduleStatus, home_of
from sharq_core.campaigns.windows import DropStatus, PutStatus
from sharq_core.caps import CapDefinition, CapUses
from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.job_changes import CancelJob, CancelOutcome, CancelPage, CancelStatus, ChangeStatus, JobChange
from sharq_core.job_life import DeadPage, DeadRef, RedriveStatus
from sharq_core.limits import BlockedBy, Limit, LimitUnit, PauseStatus, QueueSettings, Quota, TypeSettings
from sharq_core.link import (
    cap_calls,
    control_calls,
    frames,
    job_calls,
    messages,
)
from sharq_core.link.campaigns import batch_calls, schedule_calls, window_calls
from sharq_core.link.catalogue import CALLS
from sharq_core.link.frames import CallFrame, ReplyFrame
from sharq_core.link.load_calls import DescribeLoad
from sharq_core.link.messages import Call, CheckStore, Enqueue, Failure, GetJob, Peek
from sharq_core.models import (
    DeletedQueue,
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeaseOutcome,
    LeaseStatus,
    QueuePage,
    ReleaseJob,
)
from sharq_core.partitions import partition_of
from sharq_core.top_queues import TopOrder
from tests.support.nodes.links import (
    FAR_US,
    KEY,
    KIND,
    NODE_ID,
    VIEW,
    RawShard,
    Router,
    dequeue,
    raw_router,
    router_end,
    serving,
    shard_end,
)
from tests.support.nodes.parts import Parts, job
from tests.support.ports import free_port
from tests.support.waits import until


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
    page = await ask(job_calls.ListDead(KIND, partition, "", 10))
    assert page == DeadPage([], "", page.now_us)
    assert page.now_us > 0
    assert await ask(job_calls.Redrive([DeadRef(KIND, "q", "j")])) == [RedriveStatus.NOT_FOUND]
    assert await ask(job_calls.DropDead(KIND, partition, 10)) == 0
    assert await ask(job_calls.DropDeadLetter(KEY, "j")) is False
    assert await ask(job_calls.DropLetters([DeadRef(KIND, "q", "j")])) == [False]
    assert await ask(Enqueue([job(KIND, "q", "k1"), job(KIND, "q", "k2")])) == [
        queued,
        Enqueued(EnqueueStatus.QUEUED, 1),
    ]
    changed = await ask(job_calls.ChangeJob(KEY, "k1", JobChange(payload=b"7")))
    assert (changed.status, changed.job.payload) == (ChangeStatus.DONE, b"7")
    listed = await ask(job_calls.ListJobs(KEY, JobState.QUEUED, 10, "k", ""))
    assert [row.job_id for row in listed.jobs] == ["k1", "k2"]
    cancelled = CancelOutcome(CancelStatus.DONE, JobState.QUEUED)
    assert await ask(job_calls.Cancel([CancelJob(KIND, "q", "k1")])) == [cancelled]
    assert await ask(job_calls.CancelMatching(KEY, "k", "")) == CancelPage(1, "")
    assert await ask(messages.DeleteQueue(KEY)) == DeletedQueue(0)
    assert await ask(messages.Yield([partition])) is None
    stats = await ask(control_calls.SetQueue(KEY, QueueSettings(burst=1.1, max_leased=3)))
    assert (stats.burst, stats.max_leased) == (1.1, 3)
    assert (await ask(control_calls.GetQueueLimits(KEY))).burst == 1.1
    assert (await ask(messages.GetQueue(KEY))).burst == 1, "a router of format 1 reads whole bursts only"
    assert await ask(control_calls.HoldQueue(KEY, 1000)) is PauseStatus.DONE
    page = await ask(control_calls.ListQueueStats(KIND, partition, 0, 10))
    assert [queue_id for queue_id, _ in page.queues] == ["q"]
    assert await ask(control_calls.PauseType(KIND, partition, True)) is None
    assert (await ask(control_calls.Explain(KIND))).blocked_by is BlockedBy.TYPE_PAUSED
    both = await ask(control_calls.ExplainTypes([KIND, "other"]))
    assert both.blocked_by is BlockedBy.TYPE_PAUSED
    told, unknown = await ask(control_calls.PeekTypes([KIND, "other"]))
    assert (told, unknown) == (await ask(Peek(KIND)), None)
    assert [row.queue_type for row in await ask(control_calls.ListTypes([partition], "", 10))] == [KIND]
    assert await ask(control_calls.PauseAll("", partition, False)) is None
    gathered = ("sms~carrier", partition_of("sms~carrier", "", 64))
    quota = Quota(5, PeriodLength.HOUR, "Asia/Kolkata", LimitUnit.COST)
    set_type = control_calls.SetType(*gathered, TypeSettings(max_leased=2, quotas=[quota]))
    assert (await ask(set_type)).max_leased == 2
    assert [(use.quota, use.used) for use in (await ask(control_calls.GetTypeStats(*gathered))).quotas] == [
        (quota, 0)
    ]
    assert (await ask(control_calls.GetTypeStats(*gathered))).max_leased == 2
    assert (await ask(DescribeLoad(10))).types_total >= 1
    await use_batch_calls(ask)
    await use_schedule_calls(ask)
    await use_window_calls(ask)
    await use_cap_calls(ask)
    assert used == set(CALLS)


async def use_batch_calls(ask: Callable[[Call[Any]], Awaitable[Any]]) -> None:
    """Make every call about batches."""
    partition = partition_of(KIND, "q", 64)
    await ask(Enqueue([msgspec.structs.replace(job(KIND, "q", "b1"), batch="campaign7")]))
    get = batch_calls.GetBatch(KIND, partition, "campaign7")
    assert await ask(get) == BatchCounts(queued=1)
    step = await ask(batch_calls.CancelBatch(KIND, partition, "campaign7", ""))
    assert (step.cancelled, bool(step.scan)) == (0, True)
    cancel = batch_calls.CancelBatch(KIND, partition, "campaign7", step.scan)
    assert await ask(cancel) == BatchStep(1, "")
    assert await ask(get) == BatchCounts(cancelled=1, is_cancelled=True)


async def use_schedule_calls(ask: Callable[[Call[Any]], Awaitable[Any]]) -> None:
    """Make every call about schedules."""
    home, target = home_of("daily", 64), partition_of(KIND, "q", 64)
    claim = await ask(schedule_calls.ClaimSchedule("", home, "daily", 0, target, None))
    assert (claim.is_known, claim.partitions) == (False, [target])
    rule, version = ScheduleRule("0 8 * * *", tz="Asia/Kolkata"), claim.version
    put = schedule_calls.PutSchedule(
        "", target, "daily", version, False, rule, job(KIND, "q", ""), b'{"a":1}'
    )
    done = ScheduleChange(ScheduleStatus.DONE, version)
    assert (await ask(put)).schedule.queue_id == "q"
    assert await ask(schedule_calls.SettleSchedule("", home, "daily", version, target)) is True
    view = await ask(schedule_calls.GetSchedule("", target, "daily"))
    assert (view.schedule.rule, view.entry, view.payload) == (rule, b'{"a":1}', b"{}")
    assert await ask(schedule_calls.PauseSchedule("", target, "daily", version, True)) == done
    (schedule,) = (await ask(schedule_calls.ListSchedules("", target, 0, 10))).schedules
    assert schedule.is_paused
    assert await ask(schedule_calls.DropSchedule("", target, "daily", version)) == done


async def use_cap_calls(ask: Callable[[Call[Any]], Awaitable[Any]]) -> None:
    """A cap that is defined, shown, held, listed and dropped."""
    definition = CapDefinition([Limit(LimitUnit.JOB, 25_000, 2)], 5)
    cap = await ask(cap_calls.PutCap("", 3, "c", definition))
    assert (cap.name, cap.definition, cap.held_until_us, cap.leased) == ("c", definition, None, 0)
    assert await ask(cap_calls.HoldCap("", 3, "c", 3_600_000_000)) is True
    held = await ask(cap_calls.GetCap("", 3, "c"))
    assert held.blocked_by is BlockedBy.HOLD and held.held_until_us is not None
    assert [cap.name for cap in (await ask(cap_calls.ListCaps("", 3, 0, 10))).caps] == ["c"]
    assert (await ask(cap_calls.PutCap("", 3, "c", definition, 0))).held_until_us is None
    assert await ask(cap_calls.GetCapUses("", 3, "c")) == CapUses(0, 0)
    assert await ask(cap_calls.DropCap("", 3, "c")) is True
    assert await ask(cap_calls.GetCap("", 3, "c")) is None


async def use_window_calls(ask: Callable[[Call[Any]], Awaitable[Any]]) -> None:
    """Make every call about windows."""
    definition = b'{"tz":"UTC","open":[{"days":"daily","from":"00:00","to":"24:00"}]}'
    put = await ask(window_calls.PutWindow("", 3, "w", definition, 0))
    assert put.status is PutStatus.DONE
    window = await ask(window_calls.GetWindow("", 3, "w"))
    assert (window.version, window.definition, window.is_open) == (put.version, definition, True)
    page = await ask(window_calls.GetWindows("", 3, 0, 10))
    assert ([row.name for row in page.windows], page.scan) == (["w"], 0)
    assert await ask(window_calls.DropWindow("", 3, "w")) is DropStatus.DONE
    assert await ask(window_calls.GetWindow("", 3, "w")) is None


async def test_an_error_keeps_its_class_and_message_over_the_link(router: Router) -> None:
    with pytest.raises(SharqError, match="cursor: not a cursor") as raised:
        await router.link.call(job_calls.ListDead(KIND, 3, "nonsense", 10))
    assert raised.value.code == "invalid_request"


async def test_a_call_that_fails_in_the_shard_is_logged_there_and_harms_no_other(
    router: Router, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("shard.call_handlers.count_types", fail)
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
        requests = [entry for entry in (await shard.read()).entries if isinstance(entry, CallFrame)]
        await shard.say(*(ReplyFrame(request.number, request.number) for request in requests))
        await shard.read()

    raw = RawShard(answer)
    async with serving(raw.handle) as address, router_end(address) as end:
        replies = await asyncio.gather(*(end.link.call(Peek(KIND)) for _ in range(500)))
    assert sorted(reply or 0 for reply in replies) == list(range(1, 501))
    assert [len(frame.entries) for frame in raw.frames] == [500]


async def test_the_answers_of_one_tick_leave_as_one_frame(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address) as raw:
        await raw.say(*(CallFrame(number, FAR_US, Peek(KIND)) for number in range(500)))
        frame = await raw.read()
    assert [entry.number for entry in frame.entries if isinstance(entry, ReplyFrame)] == list(range(500))


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
            await shard.say(ReplyFrame(request.number, [queued] * len(request.call.jobs)))

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
        await shard.say(ReplyFrame(shard.requests()[0].number, [queued, queued]))
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
