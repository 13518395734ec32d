"""The dequeue of queues with caps: how many jobs, of which cost, in which order, and until when it may run."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from msgspec.structs import replace

from sharq_core.limits import CapCorrection, Limit, LimitUnit, TypeSettings
from sharq_core.models import FinishJob, LeasedJob, LeaseOutcome, LeaseStatus, ReleaseJob
from sharq_core.scheduler.arguments import own_deadline
from sharq_core.scheduler.caps.capped_calls import CappedReply
from sharq_core.scheduler.function_call import FunctionCall
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import LEASE_US, RANDOM, SECOND_US, START_US
from tests.scheduler.stored.records import assert_keys_agree


@pytest.fixture
def gathered(client: redis.Redis, prefix: str) -> CappedDriver:
    """A gathered type whose queues have caps."""
    return CappedDriver(client, prefix, queue_type="sms~a")


def call_of(
    caps: CappedDriver, *, clock_number: int | None = None, not_after_us: int | None = None
) -> FunctionCall[CappedReply]:
    """A dequeue of the cap `a`."""
    return caps.functions.capped.dequeue_capped(
        0,
        caps.queue_type,
        ("a",),
        1,
        1,
        LEASE_US,
        RANDOM,
        clock_number=clock_number,
        not_after_us=not_after_us,
        now_us=caps.now_us,
    )


def test_no_more_jobs_leave_than_there_are_slots(caps: CappedDriver) -> None:
    caps.enqueue(*(capped(str(n), "a", queue_id=f"q{n}") for n in range(5)))
    reply = caps.capped_reply("a", count=2)
    assert [job.job_id for job in reply.dequeue.jobs] == ["0", "1"]
    assert (reply.dequeue.due_before, reply.dequeue.due_after, reply.due_us) == (5, 3, START_US)
    assert caps.capped_ids("a") == ["2", "3", "4"]
    assert_keys_agree(caps)


def test_the_reply_counts_the_queues_that_are_due_afterwards_and_tells_the_first(caps: CappedDriver) -> None:
    """Queues beyond those that the call read, such as it served, and such as wait for their rate."""
    caps.enqueue(*(capped(f"{n}", "a", queue_id="slow", interval_us=SECOND_US) for n in range(2)))
    caps.enqueue(*(capped(f"{n}", "a", queue_id="free") for n in range(2)))
    caps.advance(1)
    reply = caps.capped_reply("a", count=1)
    assert (reply.dequeue.due_before, reply.dequeue.due_after, reply.due_us) == (2, 2, START_US)
    caps.advance(1)
    reply = caps.capped_reply("a", count=1)
    assert [(job.queue_id, job.job_id) for job in reply.dequeue.jobs] == [("slow", "0")]
    assert (reply.dequeue.due_before, reply.dequeue.due_after, reply.due_us) == (2, 1, START_US + 1)
    reply = caps.capped_reply("a")
    assert [job.queue_id for job in reply.dequeue.jobs] == ["free"]
    due_us = START_US + 2 + SECOND_US
    assert (reply.dequeue.due_before, reply.dequeue.due_after, reply.due_us) == (1, 0, due_us)
    assert caps.parked_sets() == {("a",): (due_us, 0)}
    reply = caps.capped_reply("a")
    assert (reply.dequeue.due_before, reply.dequeue.due_after, reply.due_us) == (0, 0, due_us)
    caps.advance(SECOND_US)
    assert (caps.capped_ids("a"), caps.capped_reply("a").due_us) == (["1"], None)
    assert_keys_agree(caps)


def test_queues_take_turns_and_the_longest_due_comes_first(caps: CappedDriver) -> None:
    for n, queue_id in enumerate("cab"):
        caps.advance(n)
        caps.enqueue(*(capped(f"{queue_id}{job}", "a", queue_id=queue_id) for job in range(3)))
    assert caps.capped_ids("a", count=4) == ["c0", "a0", "b0", "c1"]
    caps.advance(1)
    assert caps.capped_ids("a") == ["a1", "b1", "c2", "a2", "b2"]


def test_a_job_that_costs_more_is_left_with_its_queue_and_the_others_go(caps: CappedDriver) -> None:
    caps.enqueue(capped("large", "a", queue_id="one", cost=5), capped("behind", "a", queue_id="one"))
    caps.enqueue(capped("larger", "a", queue_id="three", cost=6))
    caps.advance(1)
    caps.enqueue(capped("small", "a", queue_id="two"))
    reply = caps.capped_reply("a", units=4)
    assert [job.job_id for job in reply.dequeue.jobs] == ["small"]
    assert (reply.left_cost, reply.due_us, reply.dequeue.due_after) == (5, START_US, 2)
    assert_keys_agree(caps)
    reply = caps.capped_reply("a", units=5, count=2)
    assert [(job.job_id, job.cost) for job in reply.dequeue.jobs] == [("large", 5), ("behind", 1)]
    assert reply.left_cost == 6
    assert_keys_agree(caps)


def test_a_late_call_does_nothing(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    deadline_us = own_deadline(caps.now_us, 10_000)
    caps.advance(10_001)
    assert caps.reply(call_of(caps, not_after_us=deadline_us)).is_expired
    caps.advance(-5_000)
    assert not caps.reply(call_of(caps, not_after_us=deadline_us)).is_expired


def test_a_call_of_another_shift_does_nothing_and_leaves_the_shift_to_be_read(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    number = caps.parked().clock_number
    caps.advance(-SECOND_US)
    call = call_of(caps, clock_number=number, not_after_us=own_deadline(START_US, 10_000))
    assert caps.reply(call).is_expired
    page = caps.parked()
    assert page.clock_number == number + 1
    assert [found.due_queues for found in page.sets] == [1]
    call = call_of(caps, clock_number=number + 1, not_after_us=own_deadline(START_US, 10_000))
    assert not caps.reply(call).is_expired
    assert_keys_agree(caps)


def test_the_limits_of_a_gathered_type_hold_for_its_queues_with_caps(gathered: CappedDriver) -> None:
    settings = TypeSettings(limits=[Limit(LimitUnit.JOB, SECOND_US)])
    gathered.value(gathered.types.set_type(0, "sms~a", settings, now_us=gathered.now_us))
    gathered.enqueue(*(capped(str(n), "a", queue_type="sms~a") for n in range(3)))
    reply = gathered.capped_reply("a")
    assert [job.job_id for job in reply.dequeue.jobs] == ["0"]
    assert reply.dequeue.parked is not None
    assert reply.dequeue.parked.type_ready_us == START_US + SECOND_US
    assert gathered.parked().type_ready_us == START_US + SECOND_US
    assert gathered.capped_ids("a") == []
    gathered.advance(SECOND_US)
    assert gathered.capped_ids("a") == ["1"]
    assert_keys_agree(gathered)


def test_a_full_type_says_nothing_until_a_lease_ends_which_gives_a_hint(gathered: CappedDriver) -> None:
    settings = TypeSettings(max_leased=1)
    gathered.value(gathered.types.set_type(0, "sms~a", settings, now_us=gathered.now_us))
    gathered.enqueue(*(capped(str(n), "a", queue_type="sms~a") for n in range(2)))
    (job,) = gathered.capped_reply("a").dequeue.jobs
    assert gathered.parked().type_ready_us is None
    assert gathered.dequeue_reply().head_us is None
    gathered.advance(LEASE_US)
    call = gathered.functions.reap(0, "sms~a", now_us=gathered.now_us)
    assert gathered.reply(call).hint.ready_us == gathered.now_us
    assert gathered.parked().type_ready_us == 0
    assert gathered.capped_ids("a") == [job.job_id]
    assert_keys_agree(gathered)


def test_the_resume_of_a_type_with_nothing_but_parked_queues_gives_a_hint(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    types = caps.types
    caps.reply(types.pause_type(0, caps.queue_type, is_paused=True, now_us=caps.now_us))
    assert caps.capped_ids("a") == []
    assert caps.parked().type_ready_us is None
    caps.advance(SECOND_US)
    call = types.pause_type(0, caps.queue_type, is_paused=False, now_us=caps.now_us)
    assert caps.reply(call).hint.ready_us == caps.now_us
    assert caps.capped_ids("a") == ["1"]


def test_what_is_paused_as_a_whole_is_looked_at_again(caps: CappedDriver) -> None:
    caps.put_capped("1", "a")
    caps.dequeue()
    caps.reply(caps.types.pause_all(0, is_paused=True, now_us=caps.now_us))
    assert caps.capped_ids("a") == []
    row, _ = caps.value(caps.surveys.get_type(0, caps.queue_type, now_us=caps.now_us))
    assert row is not None
    assert row.ready_us == caps.now_us


def leased_at(caps: CappedDriver, *costs: int) -> list[LeasedJob]:
    """Leases of the cap `a`, and one of a queue without caps, which comes last."""
    caps.enqueue(*(capped(str(n), "a", "b", cost=cost) for n, cost in enumerate(costs)))
    caps.enqueue(capped("free", queue_id="free"))
    return [*caps.capped_reply("a", "b", units=100).dequeue.jobs, *caps.dequeue()]


def outcomes(caps: CappedDriver, jobs: list[LeasedJob], **fields: Any) -> list[LeaseOutcome]:
    """Finish the jobs at an actual cost of 3."""
    finishes = [
        FinishJob(caps.queue_type, job.queue_id, job.job_id, job.lease, cost=3, **fields) for job in jobs
    ]
    return caps.value(caps.functions.finish(0, caps.queue_type, finishes, now_us=caps.now_us))


@pytest.mark.parametrize("result", [b"", b"{}"])
def test_a_finish_tells_the_corrections_of_jobs_whose_queues_have_caps(
    caps: CappedDriver, result: bytes
) -> None:
    jobs = leased_at(caps, 1, 3, 10)
    found = outcomes(caps, jobs, result=result)
    corrected = [outcome.corrected for outcome in found]
    assert corrected == [CapCorrection(("a", "b"), 2), None, CapCorrection(("a", "b"), -7), None]
    assert {outcome.status for outcome in found} == {LeaseStatus.DONE}
    assert_keys_agree(caps)


@pytest.mark.parametrize("result", [b"", b"{}"])
def test_a_job_that_stands_twice_in_a_finish_is_corrected_once(caps: CappedDriver, result: bytes) -> None:
    job, _ = leased_at(caps, 1)
    stranger = replace(job, lease=f"{1:032x}")
    corrected = [outcome.corrected for outcome in outcomes(caps, [stranger, job, job], result=result)]
    assert corrected == [None, CapCorrection(("a", "b"), 2), None]


def test_a_job_that_stands_twice_in_a_release_is_corrected_once(caps: CappedDriver) -> None:
    job, _ = leased_at(caps, 4)
    release = ReleaseJob(caps.queue_type, job.queue_id, job.job_id, job.lease, cost=1)
    found = caps.value(caps.functions.release(0, caps.queue_type, [release] * 2, now_us=caps.now_us))
    assert [outcome.corrected for outcome in found] == [CapCorrection(("a", "b"), -3), None]


def test_a_release_tells_its_correction_once(caps: CappedDriver) -> None:
    job, _ = leased_at(caps, 4)
    release = ReleaseJob(caps.queue_type, job.queue_id, job.job_id, job.lease, cost=1)
    found = [
        caps.value(caps.functions.release(0, caps.queue_type, [release], now_us=caps.now_us))[0]
        for _ in range(2)
    ]
    assert found == [
        LeaseOutcome(LeaseStatus.DONE, corrected=CapCorrection(("a", "b"), -3)),
        LeaseOutcome(LeaseStatus.DONE),
    ]
