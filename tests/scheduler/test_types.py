"""Rules of a whole type: pauses, a hold, how many jobs may be leased at once, limits, and the turns of its queues."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from sharq_core.limits import BlockedBy, Explanation, LimitUnit, QueueSettings, TypeSettings
from sharq_core.models import FinishJob, LeasedJob, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import FunctionCall
from tests.scheduler.driver import DAY_US, HOUR_US, LEASE_US, MINUTE_US, SECOND_US, TYPE, Driver, execute
from tests.scheduler.type_driver import GATHERED, TypeDriver, cost_limit, job_limit

TENTH_US = SECOND_US // 10
WORK = ("zrange", "zcount", "zadd", "zrem", "hget", "hmget", "hset", "hdel")
"""The commands that do the work of a dequeue."""

LONG_US = HOUR_US


@pytest.fixture
def sms(client: redis.Redis, prefix: str) -> TypeDriver:
    """An empty gathered type."""
    return TypeDriver(client, prefix)


def job(
    job_id: str, queue_id: str = "q", *, cost: int = 1, interval_us: int = 0, delay_us: int = 0
) -> NewJob:
    """A job of a queue without a limit of its own."""
    return NewJob(GATHERED, queue_id, job_id, b"1", -1, interval_us, delay_us=delay_us, cost=cost)


def fill(driver: TypeDriver, queue_id: str, count: int, *, cost: int = 1) -> None:
    """Queue jobs of one queue."""
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        driver.enqueue(*(job(str(number), queue_id, cost=cost) for number in numbers))


def weigh(driver: TypeDriver, queue_id: str, weight: int) -> None:
    """Set the weight of a queue."""
    driver.set_queue(QueueSettings(weight=weight), queue_id)


def lease(driver: TypeDriver, count: int = 100) -> list[LeasedJob]:
    """Lease jobs for longer than a test lasts."""
    return driver.dequeue(count, lease_us=DAY_US)


def leases_over(
    driver: TypeDriver, duration_us: int, step_us: int, count: int = 100
) -> list[tuple[int, LeasedJob]]:
    """Lease all that may be leased, at equal steps of the clock; returns time and job of each lease."""
    found: list[tuple[int, LeasedJob]] = []
    end_us = driver.now_us + duration_us
    while driver.now_us < end_us:
        found += [(driver.now_us, leased) for leased in lease(driver, count)]
        driver.advance(step_us)
    return found


# Limits.


def test_queues_of_a_gathered_type_share_its_limit(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    for queue in "abc":
        fill(sms, queue, 5)
    leased = leases_over(sms, 10 * SECOND_US, TENTH_US)
    times = [at_us for at_us, _ in leased]
    assert len(times) == 10
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= SECOND_US


def test_a_type_without_settings_has_no_limit(sms: TypeDriver) -> None:
    for queue in "abc":
        fill(sms, queue, 5)
    assert len(lease(sms)) == 15


def test_a_burst_may_be_leased_at_once_and_no_more(sms: TypeDriver) -> None:
    sms.limit(job_limit(burst=3))
    fill(sms, "a", 10)
    assert len(lease(sms)) == 3
    assert len(lease(sms)) == 0
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1
    sms.advance(DAY_US - SECOND_US)
    assert len(lease(sms)) == 3


def test_a_fractional_burst_makes_up_a_part_of_the_interval(sms: TypeDriver) -> None:
    sms.limit(job_limit(burst=1.25))
    fill(sms, "a", 10)
    start_us = sms.now_us
    for late_us, expected in (
        (0, 1),
        (749_999, 0),
        (750_000, 1),
        (2_100_000, 1),
        (2_849_999, 0),
        (2_850_000, 1),
    ):
        sms.now_us = start_us + late_us
        assert len(lease(sms)) == expected, late_us


def test_a_lease_needs_all_limits_and_takes_from_all(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US), job_limit(MINUTE_US, burst=4))
    fill(sms, "a", 20)
    assert len(leases_over(sms, SECOND_US, TENTH_US)) == 4
    assert len(leases_over(sms, 2 * MINUTE_US, TENTH_US)) == 2


def test_a_limit_of_cost_counts_what_jobs_cost(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=3), job("2", cost=1), job("3"))
    assert [leased.job_id for leased in lease(sms)] == ["1"]
    sms.advance(3 * SECOND_US - 1)
    assert lease(sms) == []
    sms.advance(1)
    assert [leased.job_id for leased in lease(sms)] == ["2"]


def test_a_limit_of_jobs_does_not_count_cost(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    sms.enqueue(job("1", cost=100), job("2"))
    lease(sms)
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1


def test_a_cost_with_a_burst_ends_the_call_when_the_limit_says_no(sms: TypeDriver) -> None:
    sms.limit(cost_limit(burst=5))
    fill(sms, "a", 5, cost=2)
    assert len(lease(sms)) == 3
    sms.advance(SECOND_US)
    assert lease(sms) == []
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1


def test_a_refused_type_looks_at_no_queue(lone_client: redis.Redis, prefix: str) -> None:
    sms = TypeDriver(lone_client, prefix)
    sms.limit(job_limit())
    for queue in range(20):
        fill(sms, str(queue), 1)
    lease(sms)
    lone_client.config_resetstat()
    reply = sms.dequeue_reply()
    stats = lone_client.info("commandstats")
    assert reply.jobs == [] and reply.due_before == 0
    assert not {"cmdstat_zrange", "cmdstat_hmget", "cmdstat_zcount"} & stats.keys()


def test_the_next_ready_time_is_that_of_the_limits(sms: TypeDriver) -> None:
    sms.limit(job_limit(), job_limit(MINUTE_US, burst=2))
    fill(sms, "a", 5)
    first_us = sms.now_us
    assert sms.dequeue_reply().head_us == first_us + SECOND_US
    assert sms.dequeue_reply().head_us == first_us + SECOND_US
    sms.advance(SECOND_US)
    assert sms.dequeue_reply().head_us == first_us + MINUTE_US
    assert sms.refresh().ready_us == {GATHERED: first_us + MINUTE_US}


def test_an_enqueue_tells_the_slot_of_the_limit_instead_of_now(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    fill(sms, "a", 1)
    lease(sms)
    call = sms.functions.enqueue(0, GATHERED, [job("2")], now_us=sms.now_us)
    assert sms.reply(call).hint.ready_us == sms.now_us + SECOND_US


def test_a_queue_needs_its_own_turn_under_the_limit(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US))
    sms.enqueue(*(job(str(n), "slow", interval_us=SECOND_US) for n in range(5)))
    fill(sms, "fast", 30)
    leased = Counter(leased.queue_id for _, leased in leases_over(sms, 2 * SECOND_US, TENTH_US))
    assert leased == {"slow": 2, "fast": 18}


@pytest.mark.parametrize("count", [1, 100])
def test_a_dequeue_costs_the_same_with_few_and_with_many_queues(
    lone_client: redis.Redis, prefix: str, count: int
) -> None:
    """It reads as many commands and replies of the same length, whatever the number of queues."""
    measured = []
    for queues in (10, 20_000):
        sms = TypeDriver(lone_client, f"{prefix}-{queues}")
        sms.limit(job_limit(TENTH_US, burst=3))
        for first in range(0, queues, 100):
            numbers = range(first, min(first + 100, queues))
            sms.enqueue(*(job("1", f"{number:06}") for number in numbers))
        sms.advance(SECOND_US)
        lone_client.config_resetstat()
        assert len(lease(sms, count)) == min(count, 3)
        stats = lone_client.info("commandstats")
        measured.append(
            {name: stats[name]["calls"] for name in stats if name in {f"cmdstat_{word}" for word in WORK}}
        )
    assert measured[0] == measured[1]
    assert sum(measured[0].values()) <= 20


# Changes of limits.


def test_a_new_limit_begins_one_interval_after_the_last_lease(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    fill(sms, "a", 5)
    lease(sms)
    sms.advance(TENTH_US)
    sms.limit(job_limit(2 * SECOND_US))
    sms.advance(2 * SECOND_US - TENTH_US - 1)
    assert lease(sms) == []
    sms.advance(1)
    assert len(lease(sms)) == 1


def test_a_limit_of_a_type_that_was_leased_from_before_begins_one_interval_from_now(sms: TypeDriver) -> None:
    fill(sms, "a", 5)
    lease(sms, 1)
    sms.limit(job_limit(burst=3))
    assert lease(sms) == []
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1


def test_the_same_limits_again_change_nothing(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=10), job("2"))
    lease(sms)
    for _ in range(9):
        sms.advance(SECOND_US)
        sms.limit(cost_limit())
        assert lease(sms) == []
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1


def test_a_change_does_not_forgive_what_a_job_cost(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=10), job("2"))
    lease(sms)
    sms.limit(cost_limit(TENTH_US))
    sms.advance(SECOND_US - 1)
    assert lease(sms) == []
    sms.advance(1)
    assert len(lease(sms)) == 1


def test_cleared_limits_let_everything_go_at_once(sms: TypeDriver) -> None:
    sms.limit(job_limit(DAY_US))
    fill(sms, "a", 5)
    lease(sms)
    call = sms.types.set_type(0, GATHERED, TypeSettings(limits=None), now_us=sms.now_us)
    assert sms.reply(call).hint.ready_us == sms.now_us
    assert len(lease(sms)) == 4


def test_a_setting_that_is_not_named_stays(sms: TypeDriver) -> None:
    sms.limit(job_limit(burst=1.5), cost_limit(TENTH_US, burst=20), max_leased=7)
    found = sms.set_type(TypeSettings(hold_us=SECOND_US))
    assert found.limits == [job_limit(burst=1.5), cost_limit(TENTH_US, burst=20)]
    assert (found.max_leased, found.held_until_us) == (7, sms.now_us + SECOND_US)
    found = sms.set_type(TypeSettings(max_leased=None, hold_us=None))
    assert (found.max_leased, found.held_until_us, len(found.limits)) == (None, None, 2)
    assert sms.type_stats() == found


def test_settings_outlive_any_idle_time(sms: TypeDriver) -> None:
    sms.limit(job_limit(), max_leased=3)
    fill(sms, "a", 1)
    sms.finish("0", lease(sms)[0].lease, "a")
    for _ in range(3):
        sms.advance(DAY_US)
        sms.reap()
        sms.dequeue()
    assert sms.totals().enqueued == 0
    assert sms.type_stats().max_leased == 3
    fill(sms, "a", 5)
    assert len(lease(sms)) == 1


def test_settings_of_a_type_that_holds_nothing_are_kept_for_its_first_job(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    assert sms.type_stats().limits == [job_limit()]
    fill(sms, "a", 3)
    assert len(lease(sms)) == 1


def test_cleared_settings_leave_nothing_behind(sms: TypeDriver) -> None:
    sms.limit(job_limit(), max_leased=3)
    sms.set_type(TypeSettings(limits=None, max_leased=None, hold_us=None))
    assert not sms.client.hexists(sms.key("counters"), f":s{GATHERED}")
    fill(sms, "a", 1)
    assert len(lease(sms)) == 1
    assert not sms.client.hexists(sms.key("counters"), f":s{GATHERED}")


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


# Corrections.


def test_a_correction_moves_the_limit_of_cost_by_the_difference(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=5), job("2"))
    (held,) = lease(sms)
    start_us = sms.now_us
    sms.value(
        sms.functions.finish(
            0, GATHERED, [FinishJob(GATHERED, "q", "1", held.lease, cost=3)], now_us=sms.now_us
        )
    )
    assert sms.dequeue_reply().head_us == start_us + 3 * SECOND_US


def test_a_correction_downwards_tells_the_earlier_slot(sms: TypeDriver) -> None:
    sms.limit(cost_limit(burst=3))
    sms.enqueue(job("1", cost=50), job("2"))
    (held,) = lease(sms)
    finish = FinishJob(GATHERED, "q", "1", held.lease, cost=0)
    found = sms.reply(sms.functions.finish(0, GATHERED, [finish], now_us=sms.now_us))
    assert found.hint.ready_us == sms.now_us + SECOND_US
    sms.advance(SECOND_US)
    assert len(lease(sms)) == 1


def test_a_correction_counts_once(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=2), job("2"))
    (held,) = lease(sms)
    release = ReleaseJob(GATHERED, "q", "1", held.lease, cost=4)
    for _ in range(3):
        sms.value(sms.functions.release(0, GATHERED, [release], now_us=sms.now_us))
    assert sms.dequeue_reply().head_us == sms.now_us + 4 * SECOND_US


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


# Turns and weights.


def service(driver: TypeDriver, duration_us: int, step_us: int, count: int) -> Iterator[Counter[str]]:
    """Yield what each queue was given so far, after each lease."""
    given: Counter[str] = Counter()
    for _, leased in leases_over(driver, duration_us, step_us, count):
        given[leased.queue_id] += 1
        yield given


@pytest.mark.parametrize("count", [1, 2, 3, 100])
@pytest.mark.parametrize("burst", [1, 2, 3, 7])
def test_queues_take_turns_under_a_limit(sms: TypeDriver, count: int, burst: int) -> None:
    sms.limit(job_limit(TENTH_US, burst=burst))
    for queue in "abcd":
        fill(sms, queue, 60)
        sms.advance(1)
    for given in service(sms, 20 * SECOND_US, burst * TENTH_US, count):
        if sum(given.values()) <= 200:
            assert max(given.values()) - min(given[queue] for queue in "abcd") <= 1


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("burst", [1, 2, 5])
@pytest.mark.parametrize("weights", [{"a": 1, "b": 3}, {"a": 5, "b": 2, "c": 1}, {"a": 100, "b": 1}])
def test_a_queue_gives_as_many_jobs_a_turn_as_its_weight(
    sms: TypeDriver, weights: dict[str, int], burst: int, count: int
) -> None:
    sms.limit(job_limit(TENTH_US, burst=burst))
    for queue, weight in weights.items():
        weigh(sms, queue, weight)
        fill(sms, queue, 40 * weight if weight < 100 else 400)
        sms.advance(1)
    for given in service(sms, 22 * SECOND_US, burst * TENTH_US, count):
        turns = [given[queue] / weight for queue, weight in weights.items()]
        assert max(turns) - min(turns) <= 1


def test_a_turn_goes_on_in_the_next_call(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US))
    weigh(sms, "a", 3)
    fill(sms, "a", 7)
    sms.advance(1)
    fill(sms, "b", 7)
    order = [leased.queue_id for _, leased in leases_over(sms, 8 * TENTH_US, TENTH_US, count=1)]
    assert order == ["a", "a", "a", "b", "a", "a", "a", "b"]


def test_a_queue_whose_own_rate_says_no_ends_its_turn(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US))
    sms.enqueue(*(job(str(n), "a", interval_us=2 * TENTH_US) for n in range(5)))
    weigh(sms, "a", 3)
    sms.advance(1)
    fill(sms, "b", 7)
    order = [leased.queue_id for _, leased in leases_over(sms, 6 * TENTH_US, TENTH_US, count=1)]
    assert order == ["a", "b", "b", "a", "b", "b"]


# Reads.


def make_ready(sms: TypeDriver) -> None:
    fill(sms, "a", 1)


def make_delayed(sms: TypeDriver) -> None:
    sms.enqueue(job("1", delay_us=SECOND_US))


def pause_everything(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_type()
    sms.pause_all()


def pause_the_type(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause_type()


def pause_the_queue(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.pause(True, "a")


def hold_the_type(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.set_type(TypeSettings(hold_us=SECOND_US))


def hold_the_queue(sms: TypeDriver) -> None:
    fill(sms, "a", 1)
    sms.hold(SECOND_US, "a")


def fill_the_type(sms: TypeDriver) -> None:
    sms.limit(max_leased=1)
    fill(sms, "a", 2)
    lease(sms)


def fill_the_queue(sms: TypeDriver) -> None:
    sms.set_queue(QueueSettings(max_leased=1), "a")
    fill(sms, "a", 2)
    lease(sms)


def use_the_slot_of_the_type(sms: TypeDriver) -> None:
    sms.limit(job_limit())
    fill(sms, "a", 2)
    lease(sms)


def use_the_slot_of_the_queue(sms: TypeDriver) -> None:
    sms.enqueue(*(job(n, "a", interval_us=SECOND_US) for n in "12"))
    lease(sms)


CASES: list[tuple[Callable[[TypeDriver], None], BlockedBy | None, int | None]] = [
    (lambda _: None, BlockedBy.EMPTY, None),
    (make_ready, None, 0),
    (make_delayed, BlockedBy.DELAYED, SECOND_US),
    (pause_everything, BlockedBy.ALL_PAUSED, None),
    (pause_the_type, BlockedBy.TYPE_PAUSED, None),
    (pause_the_queue, BlockedBy.PAUSED, None),
    (hold_the_type, BlockedBy.TYPE_HOLD, SECOND_US),
    (hold_the_queue, BlockedBy.HOLD, SECOND_US),
    (fill_the_type, BlockedBy.TYPE_MAX_LEASED, None),
    (fill_the_queue, BlockedBy.MAX_LEASED, None),
    (use_the_slot_of_the_type, BlockedBy.TYPE_RATE, SECOND_US),
    (use_the_slot_of_the_queue, BlockedBy.RATE, SECOND_US),
]

NOT_IN_THE_COUNTS = (BlockedBy.PAUSED, BlockedBy.HOLD)
"""Reasons that a list of types does not tell of a queue that was ready before: it reads the counts alone."""


@pytest.mark.parametrize(
    ("prepare", "blocked_by", "ready_in_us"), CASES, ids=[case[1] or "ready" for case in CASES]
)
def test_a_type_says_why_it_leases_nothing(
    sms: TypeDriver,
    prepare: Callable[[TypeDriver], object],
    blocked_by: BlockedBy | None,
    ready_in_us: int | None,
) -> None:
    prepare(sms)
    assert sms.explain() == Explanation(blocked_by, ready_in_us)
    stats = sms.type_stats()
    assert (stats.blocked_by, stats.next_ready_in_us) == (blocked_by, ready_in_us)
    summary = sms.type_summaries().get(GATHERED)
    listed = None if blocked_by in NOT_IN_THE_COUNTS else blocked_by
    assert (summary.blocked_by if summary else BlockedBy.EMPTY) == listed
    assert bool(lease(sms)) == (blocked_by is None)


def test_a_type_shows_its_numbers(sms: TypeDriver) -> None:
    sms.limit(job_limit(TENTH_US, burst=3), max_leased=9)
    fill(sms, "a", 4)
    fill(sms, "b", 2)
    sms.enqueue(job("9", "c", delay_us=HOUR_US))
    lease(sms)
    stats = sms.type_stats()
    assert (stats.queued, stats.delayed, stats.leased, stats.dead, stats.queues) == (3, 1, 3, 0, 3)
    assert (stats.limits, stats.max_leased, stats.is_paused) == ([job_limit(TENTH_US, burst=3)], 9, False)
    assert stats.limits[0].unit is LimitUnit.JOB


def test_types_are_listed_with_the_counts_of_the_last_full_minute(sms: TypeDriver) -> None:
    sms.now_us -= sms.now_us % MINUTE_US
    fill(sms, "a", 5)
    lease(sms, 2)
    sms.advance(MINUTE_US)
    expected = (3, 0, 2, 0, 5, 2)
    for _ in range(2):
        summary = sms.type_summaries()[GATHERED]
        assert (
            summary.queued,
            summary.delayed,
            summary.leased,
            summary.dead,
            summary.enqueued_in_minute,
            summary.leased_in_minute,
        ) == expected
        fill(sms, "b", 1)
        expected = (4, *expected[1:])
    sms.advance(MINUTE_US)
    summary = sms.type_summaries()[GATHERED]
    assert (summary.enqueued_in_minute, summary.leased_in_minute) == (1, 0)


def test_a_type_that_only_has_settings_is_listed(sms: TypeDriver) -> None:
    sms.pause_type()
    assert sms.type_summaries()[GATHERED].blocked_by is BlockedBy.TYPE_PAUSED
    fill(sms, "a", 1)
    assert sms.type_summaries()[GATHERED].queued == 1


def test_reads_of_an_unknown_type_create_nothing(sms: TypeDriver) -> None:
    sms.explain()
    sms.type_stats()
    sms.type_summaries()
    assert sms.store_keys() == set()


def test_a_driver_of_a_plain_type_sees_no_settings(driver: Driver, prefix: str) -> None:
    types = TypeDriver(driver.client, prefix, queue_type=TYPE)
    assert types.type_stats().limits == []
