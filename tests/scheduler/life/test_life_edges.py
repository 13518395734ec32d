"""Expired jobs of queues that are deleted, forgotten or made anew while a walk looks for them."""

from __future__ import annotations

import pytest
from msgspec import structs

from sharq_core.job_life import OnExpiry
from sharq_core.models import EnqueueStatus, JobState
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US, Driver
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.stored.records import assert_keys_agree


def calls_of(driver: Driver, command: str) -> int:
    """The number of times that the server ran a command."""
    found: dict[str, dict[str, int]] = driver.client.info("commandstats")
    return found.get(f"cmdstat_{command}", {}).get("calls", 0)


def settle(jobs: JobDriver) -> None:
    """Run all due timers."""
    for _ in range(100):
        reply = jobs.reap()
        if reply.next_timer_us is None or reply.next_timer_us > jobs.now_us:
            return
    raise AssertionError("a timer stays due")


def test_a_walk_passes_a_queue_that_its_own_call_lets_go(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", requeue_limit=0, expires_us=2 * HOUR_US))
    jobs.lease_one(lease_us=2 * HOUR_US - SECOND_US)
    jobs.advance(2 * HOUR_US)
    settle(jobs)
    assert jobs.state("1") is JobState.DEAD
    assert jobs.totals().leased == 0
    assert_keys_agree(jobs)


def test_a_walk_passes_a_purged_queue_whose_last_lease_ends(jobs: JobDriver) -> None:
    jobs.enqueue(job("1", expires_us=MINUTE_US), job("2", expires_us=MINUTE_US))
    jobs.dequeue(1, lease_us=MINUTE_US - SECOND_US)
    assert jobs.delete_queue(purge=True) == 1
    jobs.advance(MINUTE_US)
    settle(jobs)
    assert jobs.totals().enqueued == 0  # the type is forgotten together with its last queue
    assert_keys_agree(jobs)


def test_the_agenda_names_the_next_walk_although_the_call_makes_the_first_dead_letter(
    jobs: JobDriver,
) -> None:
    """The job that the walk passed expires while the walk rests."""
    jobs.enqueue(job("0", expires_us=SECOND_US, on_expiry=OnExpiry.DROP), job("1", expires_us=SECOND_US + 1))
    jobs.enqueue(*(job(str(number)) for number in range(2, 5)))
    jobs.advance(SECOND_US)
    jobs.reap(3)
    jobs.advance(SECOND_US)
    assert jobs.dequeue_ids(1) == ["2"]
    assert_keys_agree(jobs)


def test_walks_over_many_queues_are_written_together(lone_driver: Driver) -> None:
    """One code of each of a hundred customers expires: the call takes a few writes, not a few for each of them."""
    lone_driver.enqueue(*(job("1", f"q{number}", expires_us=SECOND_US) for number in range(100)))
    lone_driver.advance(SECOND_US)
    before = calls_of(lone_driver, "hset")
    assert lone_driver.reap(100).expired == 100
    assert calls_of(lone_driver, "hset") - before < 10
    assert_keys_agree(lone_driver)


def test_a_call_looks_at_few_queues_whose_expired_jobs_it_does_not_remove(lone_driver: Driver) -> None:
    for first in range(0, 400, 100):
        lone_driver.enqueue(*(job("1", f"q{first + number}", expires_us=SECOND_US) for number in range(100)))
    lone_driver.advance(SECOND_US)
    before = calls_of(lone_driver, "zrange")
    reply = lone_driver.dequeue_reply(100)
    assert (reply.jobs, reply.expired, reply.due_after) == ([], 100, 300)
    assert calls_of(lone_driver, "zrange") - before < 200
    assert_keys_agree(lone_driver)


@pytest.mark.parametrize("delay_us", [0, SECOND_US])
def test_a_queue_whose_last_job_expires_in_the_enqueue_may_be_forgotten(
    jobs: JobDriver, delay_us: int
) -> None:
    """As if the sweep had removed the job before: the queue has no rate any more."""
    jobs.enqueue(job("1", expires_us=SECOND_US))
    jobs.advance(HOUR_US)
    (refused,) = jobs.enqueue(structs.replace(job("1"), interval_us=None))
    assert refused.status is EnqueueStatus.NO_INTERVAL
    assert_keys_agree(jobs)
    jobs.enqueue(job("2", expires_us=SECOND_US))
    jobs.advance(HOUR_US)
    first, second = jobs.enqueue(
        structs.replace(job("2"), interval_us=None), job("2", interval_us=MINUTE_US, delay_us=delay_us)
    )
    assert (first.status, second.status) == (EnqueueStatus.NO_INTERVAL, EnqueueStatus.QUEUED)
    assert jobs.get_queue().interval_us == MINUTE_US
    assert_keys_agree(jobs)
