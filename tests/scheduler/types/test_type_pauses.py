"""Pauses and holds of a whole type or of everything, and how many jobs of a type may be leased at once."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_core.limits import BlockedBy, Explanation, TypeSettings
from sharq_core.models import FinishJob, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import FunctionCall
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, SECOND_US, TYPE, execute
from tests.scheduler.drivers.types import (
    GATHERED,
    TypeDriver,
    fill,
    job_limit,
    lease,
)

# How many at once.


def test_a_full_type_leases_again_as_soon_as_a_lease_ends(sms: TypeDriver) -> None:
    sms.limit(max_leased=2)
    fill(sms, "a", 3)
    fill(sms, "b", 3)
    first, _ = lease(sms)
    reply = sms.dequeue_reply()
    assert (reply.jobs, reply.head_us, reply.due_after) == ([], None, 0)
    finished = sms.reply(
        sms.functions.finish(
            0, GATHERED, [FinishJob(GATHERED, first.queue_id, first.job_id, first.lease)], now_us=sms.now_us
        )
    )
    assert finished.hint.ready_us is not None and finished.hint.ready_us <= sms.now_us
    assert len(lease(sms)) == 1


def test_a_full_type_leases_again_when_a_lease_runs_out(sms: TypeDriver) -> None:
    sms.limit(max_leased=1)
    fill(sms, "a", 2)
    sms.dequeue()
    sms.advance(LEASE_US)
    found = sms.reply(sms.functions.reap(0, GATHERED, now_us=sms.now_us))
    assert found.hint.ready_us is not None and found.hint.ready_us <= sms.now_us
    assert len(sms.dequeue()) == 1


def test_a_lower_limit_takes_nothing_away(sms: TypeDriver) -> None:
    fill(sms, "a", 5)
    held = lease(sms, 3)
    sms.limit(max_leased=2)
    assert sms.type_stats().leased == 3
    sms.finish(held[0].job_id, held[0].lease, "a")
    assert lease(sms) == []
    sms.finish(held[1].job_id, held[1].lease, "a")
    assert len(lease(sms)) == 1


def test_a_late_extend_of_a_full_type_is_lost(sms: TypeDriver) -> None:
    sms.limit(max_leased=1)
    fill(sms, "a", 1)
    late = sms.lease_one()
    fill(sms, "b", 1)
    sms.advance(LEASE_US)
    sms.reap()
    assert [leased.queue_id for leased in lease(sms)] == ["b"]
    assert sms.extend(late.job_id, late.lease, LEASE_US, "a") is LeaseStatus.LOST
    assert sms.type_stats().leased == 1


def test_an_ended_lease_extends_while_the_type_has_room(sms: TypeDriver) -> None:
    sms.limit(max_leased=1)
    fill(sms, "a", 1)
    held = sms.lease_one()
    sms.advance(LEASE_US)
    sms.reap()
    assert sms.extend(held.job_id, held.lease, LEASE_US, "a") is LeaseStatus.DONE
    assert sms.type_stats().leased == 1


# Hold.


def test_a_hold_of_a_type_ends_by_itself(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    sms.set_type(TypeSettings(hold_us=SECOND_US))
    reply = sms.dequeue_reply()
    assert (reply.jobs, reply.head_us) == ([], sms.now_us + SECOND_US)
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 2


@pytest.mark.parametrize("verb", ["finish", "release"])
def test_a_worker_holds_the_whole_type(sms: TypeDriver, verb: str) -> None:
    fill(sms, "a", 2)
    fill(sms, "b", 2)
    (held,) = lease(sms, 1)
    if verb == "finish":
        finish = FinishJob(GATHERED, held.queue_id, held.job_id, held.lease, hold_type_us=SECOND_US)
        sms.value(sms.functions.finish(0, GATHERED, [finish], now_us=sms.now_us))
    else:
        release = ReleaseJob(GATHERED, held.queue_id, held.job_id, held.lease, hold_type_us=SECOND_US)
        sms.value(sms.functions.release(0, GATHERED, [release], now_us=sms.now_us))
    assert lease(sms) == []
    assert sms.explain() == Explanation(BlockedBy.TYPE_HOLD, SECOND_US)
    sms.advance(SECOND_US)
    assert len(lease(sms)) >= 3


def test_a_refused_finish_does_not_hold_the_type(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    lease(sms, 1)
    late = FinishJob(GATHERED, "a", "0", "00" * 16, hold_type_us=SECOND_US)
    sms.value(sms.functions.finish(0, GATHERED, [late], now_us=sms.now_us))
    assert len(lease(sms)) == 1


def test_a_hold_only_grows_and_a_resume_ends_it(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    sms.set_type(TypeSettings(hold_us=MINUTE_US))
    assert sms.set_type(TypeSettings(hold_us=SECOND_US)).held_until_us == sms.now_us + MINUTE_US
    assert sms.set_type(TypeSettings(hold_us=0)).held_until_us == sms.now_us + MINUTE_US
    assert sms.pause_type(False) == sms.now_us
    assert len(lease(sms)) == 2


def test_a_hold_of_a_time_that_was_taken_back_ends_within_a_day(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    sms.advance(400 * DAY_US)
    sms.set_type(TypeSettings(hold_us=SECOND_US))
    clock, seen_us = sms.refresh().clock, sms.now_us
    sms.advance(-400 * DAY_US)
    sms.value(sms.functions.set_clock(0, clock.number, seen_us, 0, now_us=sms.now_us))
    assert sms.dequeue_reply().head_us == sms.now_us + DAY_US
    sms.advance(DAY_US)
    assert len(lease(sms)) == 2


# Pauses.


def test_a_paused_type_leases_nothing_from_any_queue(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    sms.pause_type()
    fill(sms, "later", 2)
    reply = sms.dequeue_reply()
    assert (reply.jobs, reply.head_us) == ([], None)
    assert sms.pause_type(False) == sms.now_us
    assert len(lease(sms)) == 4


def test_a_pause_of_a_type_is_kept_before_its_first_job_and_after_its_last(sms: TypeDriver) -> None:
    sms.pause_type()
    fill(sms, "a", 1)
    assert lease(sms) == []
    sms.delete_queue("a", purge=True)
    sms.advance(DAY_US)
    for _ in range(3):
        sms.reap()
    fill(sms, "a", 1)
    assert lease(sms) == []


def test_a_pause_of_everything_and_its_end_keep_the_pause_of_an_unused_type(sms: TypeDriver) -> None:
    plain = TypeDriver(sms.client, sms.keys.prefix, queue_type=TYPE)
    plain.enqueue(NewJob(TYPE, "q", "1", b"1", -1, 0))
    sms.pause_type()
    sms.pause_all()
    sms.pause_all(False)
    for by_us in (0, SECOND_US, HOUR_US):
        sms.advance(by_us)
        assert sms.dequeue_reply().head_us is None
    fill(sms, "a", 1)
    assert lease(sms) == []
    sms.pause_type(False)
    assert len(lease(sms)) == 1


def test_a_paused_type_lets_leases_go_on(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    held, other = lease(sms)
    sms.pause_type()
    assert sms.extend(held.job_id, held.lease, LEASE_US, "a") is LeaseStatus.DONE
    assert sms.finish(held.job_id, held.lease, "a") is LeaseStatus.DONE
    assert sms.release(other.job_id, other.lease, queue_id="a") is LeaseStatus.DONE
    assert lease(sms) == []


def test_pauses_of_one_type_leave_the_others_alone(sms: TypeDriver) -> None:
    sms.pause_type()
    other = TypeDriver(sms.client, sms.keys.prefix, queue_type="sms~other")
    other.enqueue(NewJob("sms~other", "q", "1", b"1", -1, 0))
    assert len(other.dequeue()) == 1


def test_a_pause_of_everything_stops_every_type(sms: TypeDriver) -> None:
    fill(sms, "a", 2)
    plain = TypeDriver(sms.client, sms.keys.prefix, queue_type=TYPE)
    plain.enqueue(NewJob(TYPE, "q", "1", b"1", -1, 0))
    sms.pause_all()
    assert (lease(sms), plain.dequeue()) == ([], [])
    assert sms.dequeue_reply().head_us is None
    sms.pause_all(False)
    assert (len(lease(sms)), len(plain.dequeue())) == (2, 1)


def test_a_pause_of_everything_holds_at_once_and_across_the_clock(sms: TypeDriver) -> None:
    fill(sms, "a", 5)
    assert len(lease(sms, 1)) == 1
    sms.pause_all()
    for by_us in (0, 1, 100_000, 300_000, -HOUR_US, DAY_US):
        sms.advance(by_us)
        assert lease(sms) == []
    clock = sms.value(sms.types.explain(0, GATHERED, now_us=sms.now_us))
    assert clock.blocked_by is BlockedBy.ALL_PAUSED


def test_a_pause_of_everything_survives_a_corrected_clock(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_all()
    found = sms.refresh().clock
    sms.advance(-HOUR_US)
    seen_us = sms.now_us + HOUR_US
    sms.value(sms.functions.set_clock(0, found.number, seen_us, HOUR_US, now_us=sms.now_us))
    assert lease(sms) == []


def test_a_pause_of_everything_holds_in_an_unused_partition(sms: TypeDriver) -> None:
    sms.pause_all()
    sms.pause_all()
    fill(sms, "a", 1)
    assert lease(sms) == []
    sms.pause_all(False)
    sms.pause_all(False)
    assert len(lease(sms)) == 1


def test_a_resume_of_everything_tells_the_owner(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_all()
    before = execute(sms.client, "HGET", sms.key("counters"), ":touches")
    sms.pause_all(False)
    assert int(execute(sms.client, "HGET", sms.key("counters"), ":touches")) == int(before or 0) + 1


@pytest.mark.parametrize("verb", ["pause_all", "pause_type", "set_type"])
def test_a_late_call_about_a_type_does_nothing(sms: TypeDriver, verb: str) -> None:
    fill(sms, "a", 1)
    late_us, now_us = sms.now_us - 1, sms.now_us
    change = TypeSettings(limits=[job_limit()])
    calls: dict[str, FunctionCall[Any]] = {
        "pause_all": sms.types.pause_all(0, is_paused=True, not_after_us=late_us, now_us=now_us),
        "pause_type": sms.types.pause_type(0, GATHERED, is_paused=True, not_after_us=late_us, now_us=now_us),
        "set_type": sms.types.set_type(0, GATHERED, change, not_after_us=late_us, now_us=now_us),
    }
    assert sms.reply(calls[verb]).is_expired
    assert sms.type_stats().limits == []
    assert len(lease(sms)) == 1
