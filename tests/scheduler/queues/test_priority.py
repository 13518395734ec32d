"""The order of jobs within their queue: by priority, then by arrival; also beside the fence of a deleted queue."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from sharq_core.models import NewJob
from sharq_core.top_queues import TopOrder
from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, SECOND_US, Driver, new_job
from tests.scheduler.stored.readiness import ready_in, wait
from tests.scheduler.stored.records import assert_keys_agree

PRIORITIES = range(1, 10)
MANY = 30
"""Jobs of each priority, so that a dequeue, which sweeps up to 16 deleted jobs, meets others."""


def ranked(job_id: str, priority: int, queue_id: str = "q", *, interval_us: int = 0, **fields: int) -> NewJob:
    """A job with a priority, for a queue without a rate."""
    job = new_job(job_id, queue_id, interval_us=interval_us)
    return structs.replace(job, priority=priority, **fields)


def test_a_job_of_a_higher_priority_leaves_first(driver: Driver) -> None:
    driver.enqueue(*(ranked(str(priority), priority) for priority in reversed(PRIORITIES)))
    assert driver.dequeue_ids() == [str(priority) for priority in PRIORITIES]
    assert_keys_agree(driver)


def test_jobs_of_one_priority_leave_in_their_order(driver: Driver) -> None:
    driver.enqueue(
        *(ranked(f"{priority}{number}", priority) for number in range(5) for priority in (9, 1, 5))
    )
    assert driver.dequeue_ids() == [f"{priority}{number}" for priority in (1, 5, 9) for number in range(5)]


def test_a_job_without_a_priority_has_the_fifth(driver: Driver) -> None:
    driver.enqueue(ranked("late", 6), new_job("usual", interval_us=0), ranked("early", 4))
    jobs = driver.dequeue(3)
    assert [(job.job_id, job.priority) for job in jobs] == [("early", 4), ("usual", 5), ("late", 6)]


def test_a_priority_is_no_burst(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    assert driver.dequeue_ids() == ["1"]
    driver.enqueue(ranked("code", 1, interval_us=SECOND_US))
    assert ready_in(driver) == SECOND_US
    assert wait(driver, SECOND_US) == ["code"]
    assert wait(driver, SECOND_US) == ["2"]


def test_a_priority_gives_its_queue_no_precedence(driver: Driver) -> None:
    driver.enqueue(ranked("1", 9, "first"))
    driver.advance(1)
    driver.enqueue(ranked("2", 1, "second"))
    assert driver.dequeue_ids() == ["1", "2"]


def test_a_requeue_keeps_priority_and_place(driver: Driver) -> None:
    driver.enqueue(ranked("1", 2), ranked("2", 2))
    assert driver.dequeue_ids(1) == ["1"]
    driver.advance(LEASE_US)
    driver.enqueue(ranked("3", 2), ranked("0", 1), ranked("4", 3))
    assert driver.dequeue_ids() == ["0", "1", "2", "3", "4"]


def test_a_release_keeps_priority_and_place(driver: Driver) -> None:
    driver.enqueue(ranked("1", 9), ranked("2", 9))
    (first,) = driver.dequeue(1)
    driver.release("1", first.lease, MINUTE_US)
    driver.enqueue(new_job("3", interval_us=0))
    driver.advance(MINUTE_US)
    jobs = driver.dequeue()
    assert [(job.job_id, job.priority) for job in jobs] == [("3", 5), ("1", 9), ("2", 9)]


def test_a_delayed_job_keeps_its_priority(driver: Driver) -> None:
    driver.enqueue(ranked("1", 1, delay_us=MINUTE_US), ranked("2", 9, delay_us=MINUTE_US), ranked("3", 5))
    assert driver.lease_one(lease_us=DAY_US).job_id == "3"
    driver.advance(MINUTE_US)
    assert driver.dequeue_ids() == ["1", "2"]


def test_a_redrive_keeps_the_priority(driver: Driver) -> None:
    driver.enqueue(ranked("1", 2, requeue_limit=0))
    driver.lease_one()
    driver.advance(LEASE_US)
    driver.reap()
    driver.enqueue(new_job("2", interval_us=0))
    assert driver.redrive("1") == [0]
    assert driver.dequeue_ids() == ["1", "2"]


def test_a_position_counts_the_jobs_of_higher_priorities(driver: Driver) -> None:
    driver.enqueue(
        *(ranked(f"{priority}{number}", priority) for priority in (9, 5, 1) for number in range(2))
    )
    found = [driver.get_job(f"{priority}{number}") for priority in (1, 5, 9) for number in range(2)]
    assert [job.position for job in found if job] == [1, 2, 3, 4, 5, 6]


def test_a_time_in_the_future_delays_a_job_and_one_in_the_past_does_not(driver: Driver) -> None:
    soon_us, past_us = driver.now_us + MINUTE_US, driver.now_us - DAY_US
    driver.enqueue(ranked("later", 1, at_us=soon_us), ranked("now", 9, at_us=past_us))
    assert driver.lease_one(lease_us=DAY_US).job_id == "now"
    assert wait(driver, MINUTE_US) == ["later"]


def test_a_time_is_that_of_the_partition_after_the_clock_stepped_back(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.advance(-MINUTE_US)
    driver.enqueue(ranked("2", 5, "other", at_us=driver.now_us + 2 * SECOND_US))
    driver.dequeue()
    assert wait(driver, 2 * SECOND_US) == ["2"]


# The fence of a deleted queue.


def test_the_jobs_of_every_priority_are_deleted_at_once(driver: Driver) -> None:
    driver.enqueue(*(ranked(f"old{priority}", priority) for priority in PRIORITIES))
    driver.enqueue(ranked("delayed", 3, delay_us=MINUTE_US))
    assert driver.delete_queue(limit=2) == 10
    assert driver.dequeue_ids() == []
    assert driver.get_job("old9") is None
    assert_keys_agree(driver)


@pytest.mark.parametrize("swept", [0, 1, 4, 9, 100])
def test_new_jobs_of_every_priority_leave_in_order_beside_deleted_ones(driver: Driver, swept: int) -> None:
    for priority in PRIORITIES:
        driver.enqueue(*(ranked(f"old{n}-{priority}", priority) for n in range(MANY)))
    assert driver.delete_queue(limit=swept) == MANY * len(PRIORITIES)
    driver.enqueue(
        *(ranked(f"{priority}{n}", priority) for n in range(2) for priority in reversed(PRIORITIES))
    )
    expected = [f"{priority}{n}" for priority in PRIORITIES for n in range(2)]
    found = [driver.get_job(job_id) for job_id in expected]
    assert [job.position for job in found if job] == list(range(1, 19))
    assert driver.get_queue().oldest_age_us == 0
    assert [top.queued for top in driver.top_queues(TopOrder.DEPTH)] == [18]
    leased: list[str] = []
    while ids := [job.job_id for job in driver.dequeue(4, lease_us=DAY_US)]:
        leased += ids
    assert leased == expected
    driver.reap()
    assert_keys_agree(driver)


def test_a_whole_sweep_removes_the_deleted_jobs_of_all_priorities(driver: Driver) -> None:
    driver.enqueue(*(ranked(str(n), 1 + n % 9) for n in range(90)))
    driver.enqueue(ranked("kept", 9, "other"))
    driver.delete_queue(limit=10)
    for _ in range(10):
        driver.reap(limit=20)
    assert driver.client.zcard(driver.key("queued")) == 1
    assert driver.client.hlen(driver.key("jobs")) == 1
    assert_keys_agree(driver)


def test_a_leased_job_of_a_deleted_queue_does_not_come_back(driver: Driver) -> None:
    driver.enqueue(ranked("1", 1), ranked("2", 9))
    driver.dequeue(1)
    driver.delete_queue()
    driver.enqueue(ranked("3", 2))
    driver.advance(LEASE_US)
    assert driver.dequeue_ids() == ["3"]
    assert driver.totals().cancelled == 2


def test_priorities_and_deletes_keep_the_order_in_any_mix(driver: Driver) -> None:
    chance = random.Random(19)
    waiting: list[tuple[int, int, str]] = []
    for number in range(400):
        step = chance.random()
        if step < 0.6:
            jobs = [(chance.randint(1, 9), number, f"{number}-{n}") for n in range(10)]
            driver.enqueue(*(ranked(job_id, priority) for priority, _, job_id in jobs))
            waiting += jobs
        elif step < 0.8:
            count = chance.randint(1, 20)
            waiting.sort()
            assert driver.dequeue_ids(count) == [job_id for _, _, job_id in waiting[:count]]
            del waiting[:count]
        elif step < 0.85:
            assert driver.delete_queue(limit=chance.randint(0, 3)) == len(waiting)
            waiting.clear()
        else:
            driver.reap(limit=chance.randint(1, 3))
    assert_keys_agree(driver)
