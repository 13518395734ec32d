"""Limits of a whole type, and their changes and corrections."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import redis

from sharq_core.limits import TypeSettings
from sharq_core.models import FinishJob, ReleaseJob
from tests.scheduler.drivers.driver import DAY_US, MINUTE_US, SECOND_US
from tests.scheduler.drivers.types import (
    GATHERED,
    TENTH_US,
    TypeDriver,
    cost_limit,
    fill,
    job,
    job_limit,
    lease,
    leases_over,
)

WORK = ("zrange", "zcount", "zadd", "zrem", "hget", "hmget", "hset", "hdel")
"""The commands that do the work of a dequeue."""


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


def test_a_correction_of_an_older_lease_does_not_end_the_wait_for_a_new_limit(sms: TypeDriver) -> None:
    sms.enqueue(job("1", cost=50), job("2"))
    (held,) = lease(sms, 1)
    sms.advance(1)
    sms.limit(cost_limit(burst=3))
    set_us = sms.now_us
    finish = FinishJob(GATHERED, "q", "1", held.lease, cost=0)
    sms.value(sms.functions.finish(0, GATHERED, [finish], now_us=sms.now_us))
    assert sms.dequeue_reply().head_us == set_us + SECOND_US


def test_a_correction_counts_once(sms: TypeDriver) -> None:
    sms.limit(cost_limit())
    sms.enqueue(job("1", cost=2), job("2"))
    (held,) = lease(sms)
    release = ReleaseJob(GATHERED, "q", "1", held.lease, cost=4)
    for _ in range(3):
        sms.value(sms.functions.release(0, GATHERED, [release], now_us=sms.now_us))
    assert sms.dequeue_reply().head_us == sms.now_us + 4 * SECOND_US
