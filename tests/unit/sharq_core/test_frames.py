"""The wire of the link: what is written is read again, and nothing else is taken for a frame."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.campaigns.schedules import ScheduleRule
from sharq_core.caps import CapDefinition
from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.job_life import DeadRef
from sharq_core.limits import Limit, LimitUnit, QueueSettings, Quota, TypeSettings
from sharq_core.link import (
    cap_calls,
    catalogue,
    control_calls,
    frames,
    job_calls,
    load_calls,
    messages,
)
from sharq_core.link.campaigns import batch_calls, schedule_calls, window_calls
from sharq_core.link.frames import FrameError
from sharq_core.link.job_watches import JobKey
from sharq_core.link.messages import Call, Dequeued, Member, View
from sharq_core.models import ExtendJob, FinishJob, JobState, LeasedJob, NewJob, QueueKey, ReleaseJob
from sharq_core.top_queues import TopOrder

KEY = QueueKey("sms", "q")
JOB = JobKey("sms", "q", "j")
VIEW = View(3, 64, (Member("a", "i1", "10.0.0.1:8090"), Member("b", "i2", "10.0.0.2:8090", True)))
NONCE = bytes(range(32))

CALLS: list[Call[Any]] = [
    messages.Enqueue([NewJob("sms", "q", "j", b'{"a": 1}', -1, 1000, 2, 5, None, True)]),
    messages.Dequeue("sms", 10, 60_000_000),
    messages.Peek("sms"),
    messages.Finish([FinishJob("sms", "q", "j", None), FinishJob("sms", "q", "k", "ab", result=b'{"a": 1}')]),
    messages.Extend([ExtendJob("sms", "q", "j", "ab", 5, b"50")]),
    messages.Release([ReleaseJob("sms", "q", "j", "ab", 0, True)]),
    messages.SetRate(KEY, 1000, None, True),
    messages.SetPaused(KEY, True),
    messages.DeleteQueue(KEY, True),
    messages.GetQueue(KEY),
    messages.GetJob(KEY, "j"),
    messages.ListQueues("sms", 3, 0, 100),
    messages.GetTop("sms", [1, 2, 3], TopOrder.AGE, 20),
    messages.GetCounts([1, 2, 3]),
    load_calls.DescribeLoad(1000),
    job_calls.ListDead("sms", 3, "5:x", 100),
    job_calls.Cancel([CancelJob("sms", "globex", "1", True)]),
    job_calls.CancelMatching(KEY, "campaign7-", "124:3:9"),
    job_calls.ChangeJob(KEY, "1", JobChange(payload=b"2", expires_us=None)),
    job_calls.ListJobs(KEY, JobState.LEASED, 100, "campaign7-", ""),
    job_calls.DropDeadLetter(KEY, "1"),
    job_calls.Redrive([DeadRef("sms", "q", "j")]),
    job_calls.DropLetters([DeadRef("sms", "q", "j")]),
    job_calls.DropDead("sms", 3, 100),
    messages.Cover([1, 2, 3]),
    messages.Yield([0, 63]),
    messages.DescribeStore(),
    messages.CheckStore(),
    control_calls.HoldQueue(KEY, 1000),
    control_calls.SetQueue(KEY, QueueSettings(interval_us=None, burst=1.1, max_leased=3)),
    control_calls.GetQueueLimits(KEY),
    control_calls.ListQueueStats("sms", 3, 0, 100),
    control_calls.Explain("sms"),
    control_calls.ExplainTypes(["sms", "mail"]),
    control_calls.PeekTypes(["sms", "mail"]),
    control_calls.SetType("sms~a", 3, TypeSettings([Limit(LimitUnit.COST, 1000, 1.5)], max_leased=None)),
    control_calls.SetType("sms~a", 3, TypeSettings(quotas=[Quota(5, PeriodLength.DAY, "Asia/Kolkata")])),
    control_calls.GetTypeStats("sms~a", 3),
    control_calls.PauseType("sms", 3, True),
    control_calls.PauseAll("", 3, False),
    control_calls.ListTypes([1, 2], "sms", 100),
    batch_calls.GetBatch("sms", 3, "campaign7"),
    batch_calls.CancelBatch("sms", 3, "campaign7", "0.1.0.0.q"),
    schedule_calls.ClaimSchedule("", 3, "daily", 0, 5, None),
    schedule_calls.SettleSchedule("", 3, "daily", 7, None),
    schedule_calls.PutSchedule(
        "",
        5,
        "daily",
        7,
        False,
        ScheduleRule("0 8 * * *", 0, "Asia/Kolkata"),
        NewJob("sms", "q", "", b"1", 0, None),
        b"{}",
    ),
    schedule_calls.PauseSchedule("", 5, "daily", 7, True),
    schedule_calls.DropSchedule("", 5, "daily", 7),
    schedule_calls.GetSchedule("", 5, "daily"),
    schedule_calls.ListSchedules("", 5, 0, 100),
    window_calls.PutWindow("", 3, "w", b'{"tz": "UTC"}', 7),
    window_calls.GetWindow("", 3, "w"),
    window_calls.GetWindows("", 3, 0, 100),
    window_calls.DropWindow("", 3, "w"),
    cap_calls.PutCap("", 3, "c", CapDefinition([Limit(LimitUnit.COST, 25_000, 1.5)], 7), 0),
    cap_calls.GetCap("", 3, "c"),
    cap_calls.DropCap("", 3, "c"),
    cap_calls.HoldCap("", 3, "c", 1_000_000),
    cap_calls.ListCaps("", 3, 0, 100),
    cap_calls.GetCapUses("", 3, "c"),
]


def packed(*entries: msgspec.Struct, clock_us: int = 5) -> bytes:
    return frames.pack(clock_us, [frames.encode(entry) for entry in entries], len(entries))


def test_the_list_of_calls_here_is_whole() -> None:
    assert {type(call) for call in CALLS} == set(catalogue.CALLS)


def test_every_call_is_read_as_it_was_written() -> None:
    for call in CALLS:
        request = frames.CallFrame(7, -5, call)
        frame = frames.decode_from_router(packed(request, clock_us=2**50))
        assert frame == frames.Frame(2**50, [request])


def test_every_entry_of_a_shard_is_read_as_it_was_written() -> None:
    entries = [
        frames.Hello(1, "a", NONCE),
        frames.Welcome(b"", VIEW),
        frames.ErrorFrame(4, "queue_full", "Max queue length reached", 9),
        frames.Due("sms", None),
        frames.Due("sms", -7),
        frames.NewView(VIEW),
        frames.Draining(),
        frames.JobEnded(JOB),
    ]
    assert frames.decode_from_shard(packed(*entries)).entries == entries


def test_every_entry_of_a_router_is_read_as_it_was_written() -> None:
    entries = [
        frames.Subscribe("sms"),
        frames.Unsubscribe("sms"),
        frames.SubscribeJob(JOB),
        frames.UnsubscribeJob(JOB),
    ]
    assert frames.decode_from_router(packed(*entries)).entries == entries


def test_a_result_is_read_by_the_type_of_its_call() -> None:
    job = LeasedJob("sms", "q", "j", b"{}", "ab", 1, 2, 3, -1, 0)
    (answer,) = frames.decode_from_shard(packed(frames.ReplyFrame(9, Dequeued([job], -3)))).entries
    assert isinstance(answer, frames.ReplyFrame)
    assert frames.decode_reply(messages.Dequeue, answer.result) == Dequeued([job], -3)
    with pytest.raises(FrameError):
        frames.decode_reply(messages.Peek, answer.result)


def test_a_frame_may_be_empty() -> None:
    assert frames.decode_from_router(packed()) == frames.Frame(5, [])


def test_fields_that_a_later_version_adds_are_passed_over() -> None:
    later = msgspec.msgpack.encode([5, [[8, "sms", 3, "more"]], "and more"])
    assert frames.decode_from_shard(later).entries == [frames.Due("sms", 3)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1",
        packed(frames.Subscribe("sms"))[:-1],
        packed(frames.Subscribe("sms")) + b"\x00",
        msgspec.msgpack.encode([5, [[99, "sms"]]]),
        msgspec.msgpack.encode([5, [[3, 1, 2, ["NoSuchCall", "sms"]]]]),
        msgspec.msgpack.encode([5, [[3, 1, 2, ["Peek"]]]]),
        msgspec.msgpack.encode({"clock_us": 5}),
        b"\x92\x05\x91\x92\x06\xa2\xff\xfe",
        b"\x92\x05\xdd\xff\xff\xff\xff",
        b"\x92\x05" + b"\x91" * 100_000,
        packed(frames.Due("sms", 3)),
    ],
    ids=[
        "nothing",
        "text",
        "cut",
        "too long",
        "unknown entry",
        "unknown call",
        "missing field",
        "no array",
        "bad text",
        "a count without its entries",
        "nested deeply",
        "what a shard says",
    ],
)
def test_what_is_no_frame_of_a_router_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decode_from_router(data)


def test_what_is_no_frame_of_a_shard_is_refused_however_deep_its_result() -> None:
    with pytest.raises(FrameError):
        frames.decode_from_shard(b"\x92\x05\x91\x93\x04\x01" + b"\x91" * 100_000)


@given(data=st.binary(max_size=200))
def test_random_bytes_raise_the_one_error_or_are_a_frame(data: bytes) -> None:
    read_both(data)


@given(
    start=st.sampled_from([packed(frames.CallFrame(1, 2, call)) for call in CALLS]),
    at=st.integers(0, 200),
    patch=st.binary(min_size=1, max_size=4),
)
def test_a_frame_with_some_bytes_changed_raises_the_one_error_or_is_a_frame(
    start: bytes, at: int, patch: bytes
) -> None:
    at %= len(start)
    read_both(start[:at] + patch + start[at + len(patch) :])


def read_both(data: bytes) -> None:
    for read in (frames.decode_from_router, frames.decode_from_shard):
        try:
            frame = read(data)
        except FrameError:
            continue
        assert isinstance(frame, frames.Frame)


def test_a_proof_holds_for_one_end_one_connection_and_one_secret() -> None:
    theirs = bytes(32)
    proof = frames.prove("s", frames.ROUTER, NONCE, theirs)
    frames.check_proof("s", frames.ROUTER, NONCE, theirs, proof)
    frames.check_proof(None, frames.ROUTER, NONCE, theirs, b"")
    for secret, who, nonce in [
        ("s", frames.SHARD, NONCE),
        ("s", frames.ROUTER, bytes(32)),
        ("t", frames.ROUTER, NONCE),
    ]:
        with pytest.raises(FrameError, match="a different link secret"):
            frames.check_proof(secret, who, nonce, theirs, proof)


def test_one_end_without_a_secret_is_told_from_one_with_another() -> None:
    with pytest.raises(FrameError, match="the shard has no link secret"):
        frames.check_proof("s", frames.SHARD, NONCE, NONCE, b"")
    with pytest.raises(FrameError, match="the shard has a link secret and this end has none"):
        frames.check_proof(None, frames.SHARD, NONCE, NONCE, b"x" * 32)


def test_an_older_end_passes_over_traces() -> None:
    """So a job with a trace is as good as one without, and a call with a trace as ever, on both sides of an upgrade."""
    fields = list(takewhile(lambda field: field.name != "trace", msgspec.structs.fields(NewJob)))
    older = msgspec.defstruct(
        "OlderJob",
        [(field.name, field.type, msgspec.field(default=None)) for field in fields],
        array_like=True,
        frozen=True,
    )
    job = NewJob("sms", "q", "j", b"1", -1, 1000, trace=bytes(25))
    found = msgspec.msgpack.decode(frames.encode(job), type=older)
    assert [getattr(found, field.name) for field in fields] == [getattr(job, field.name) for field in fields]
    bare = msgspec.msgpack.decode(frames.encode(found), type=NewJob)
    assert bare == msgspec.structs.replace(job, trace=b"")
    call = frames.CallFrame(1, 2, messages.Peek("sms"), "id", bytes(25))
    written = msgspec.msgpack.decode(frames.encode(call))
    assert written[-2:] == ["id", bytes(25)] and len(written) == 6
    data = frames.pack(7, [msgspec.msgpack.encode(written[:5])], 1)
    (read,) = frames.decode_from_router(data).entries
    assert isinstance(read, frames.CallFrame) and read.trace == b""


def test_the_trace_of_a_job_counts_when_a_bulk_is_split() -> None:
    jobs = [NewJob("sms", "q", str(n), b"1", -1, 1000, trace=bytes(537)) for n in range(1000)]
    parts = frames.split_jobs(messages.Enqueue(jobs))
    assert len(parts) > 1 and [job for part in parts for job in part.jobs] == jobs
    assert all(len(frames.encode(part)) <= frames.MAX_FRAME_BYTES for part in parts)


@given(sizes=st.lists(st.integers(0, 2 << 20) | st.integers(0, 100_000), max_size=20))
def test_a_bulk_is_split_in_order_into_what_fits_into_a_frame(sizes: list[int]) -> None:
    blob = bytes(2 << 20)
    jobs = [NewJob("sms", "q", f"{n}", blob[:size], -1, 0) for n, size in enumerate(sizes)]
    parts = frames.split_jobs(messages.Enqueue(jobs))
    assert [job for part in parts for job in part.jobs] == jobs
    for part in parts:
        size = len(frames.encode(frames.CallFrame(1, 2, part)))
        assert len(part.jobs) == 1 or size <= frames.MAX_FRAME_BYTES


def test_results_are_split_into_frames_as_payloads_are() -> None:
    jobs = [FinishJob("sms", "q", f"{n}", "ab", result=bytes(16_384)) for n in range(200)]
    parts = frames.split_jobs(messages.Finish(jobs))
    assert [job for part in parts for job in part.jobs] == jobs
    assert len(parts) == 4
    assert all(isinstance(part, messages.Finish) for part in parts)
    assert len(frames.split_jobs(messages.Finish([FinishJob("sms", "q", f"{n}") for n in range(1000)]))) == 1
