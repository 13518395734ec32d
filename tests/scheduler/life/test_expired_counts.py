"""The replies say how many jobs expired in a call, and how many of them were dropped."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import structs

from sharq_core.job_life import OnExpiry
from sharq_core.models import Enqueued, EnqueueStatus, LeaseOutcome, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import merge
from tests.scheduler.drivers.driver import LEASE_US, MINUTE_US, TYPE, Driver, execute, new_job


def add(driver: Driver, job_id: str, fate: OnExpiry | None = None, *, expires_us: int = MINUTE_US) -> None:
    job = structs.replace(new_job(job_id, "q"), interval_us=0, expires_us=expires_us, on_expiry=fate)
    driver.enqueue(job)


def test_a_dequeue_counts_expired_jobs_and_the_dropped_ones_among_them(driver: Driver) -> None:
    for number in range(3):
        add(driver, f"dropped{number}", OnExpiry.DROP)
    add(driver, "dead")
    add(driver, "live", expires_us=3 * MINUTE_US)
    driver.advance(MINUTE_US)
    reply = driver.dequeue_reply(1)
    assert [job.job_id for job in reply.jobs] == ["live"]
    assert (reply.expired, reply.dropped) == (4, 3)


def test_a_reap_counts_expired_jobs_and_the_dropped_ones_among_them(driver: Driver) -> None:
    add(driver, "dropped", OnExpiry.DROP)
    add(driver, "dead", OnExpiry.DEAD)
    driver.advance(MINUTE_US)
    reply = driver.reap()
    assert (reply.expired, reply.dropped) == (2, 1)


def test_a_call_without_expired_jobs_counts_none(driver: Driver) -> None:
    add(driver, "live")
    reply = driver.dequeue_reply(1)
    assert (len(reply.jobs), reply.expired, reply.dropped) == (1, 0, 0)


FATES = [(OnExpiry.DEAD, 0), (OnExpiry.DROP, 1)]
"""The fate of an expired job, and the number of drops that it counts."""


def enqueue_again(driver: Driver, *jobs: NewJob) -> FunctionCall[list[Enqueued]]:
    """The call that enqueues jobs."""
    return driver.functions.enqueue(driver.partition, TYPE, jobs, now_us=driver.now_us)


def release_all(driver: Driver, *, is_void: bool = False) -> FunctionCall[list[LeaseOutcome]]:
    """Lease all jobs, let their expiry pass, and return the call that releases them."""
    leased = driver.dequeue(lease_us=10 * LEASE_US)
    refs = [ReleaseJob(TYPE, job.queue_id, job.job_id, job.lease, is_void=is_void) for job in leased]
    driver.advance(MINUTE_US)
    return driver.functions.release(driver.partition, TYPE, refs, now_us=driver.now_us)


@pytest.mark.parametrize(("fate", "dropped"), FATES)
def test_an_enqueue_counts_the_expired_job_whose_id_it_has(
    driver: Driver, fate: OnExpiry, dropped: int
) -> None:
    add(driver, "1", fate)
    add(driver, "live", expires_us=3 * MINUTE_US)
    driver.advance(MINUTE_US)
    reply = driver.reply(enqueue_again(driver, new_job("1", "q"), new_job("live", "q")))
    assert [outcome.status for outcome in reply.value or []] == [
        EnqueueStatus.QUEUED,
        EnqueueStatus.DUPLICATE,
    ]
    assert (reply.expired_jobs, reply.dropped_jobs) == (1, dropped)


def test_an_enqueue_that_is_refused_counts_the_expired_job_whose_id_it_has(driver: Driver) -> None:
    add(driver, "1", OnExpiry.DEAD)
    driver.advance(MINUTE_US)
    reply = driver.reply(enqueue_again(driver, structs.replace(new_job("1", "q"), repeat=True)))
    assert [outcome.status for outcome in reply.value or []] == [EnqueueStatus.DUPLICATE]
    assert (reply.expired_jobs, reply.dropped_jobs) == (1, 0)


@pytest.mark.parametrize("is_void", [False, True])
@pytest.mark.parametrize(("fate", "dropped"), FATES)
def test_a_release_counts_the_jobs_that_expire_by_it(
    driver: Driver, fate: OnExpiry, dropped: int, *, is_void: bool
) -> None:
    add(driver, "1", fate)
    add(driver, "2")
    add(driver, "live", expires_us=3 * MINUTE_US)
    reply = driver.reply(release_all(driver, is_void=is_void))
    assert [outcome.status for outcome in reply.value or []] == [LeaseStatus.DONE] * 3
    assert (reply.expired_jobs, reply.dropped_jobs) == (2, dropped)


def test_calls_in_which_no_job_expires_count_none(driver: Driver) -> None:
    add(driver, "live", expires_us=3 * MINUTE_US)
    released = driver.reply(release_all(driver))
    enqueued = driver.reply(enqueue_again(driver, new_job("live", "q"), new_job("new", "q")))
    assert (released.expired_jobs, released.dropped_jobs) == (0, 0)
    assert (enqueued.expired_jobs, enqueued.dropped_jobs) == (0, 0)


def test_joint_enqueues_count_their_own_expired_jobs(driver: Driver) -> None:
    parts = [Driver(driver.client, driver.keys.prefix, partitions=2, partition=part) for part in range(2)]
    add(parts[0], "1")
    add(parts[0], "2", OnExpiry.DROP)
    add(parts[1], "3", expires_us=3 * MINUTE_US)
    for part in parts:
        part.advance(MINUTE_US)
    calls = [
        enqueue_again(parts[0], new_job("1", "q"), new_job("2", "q"), new_job("3", "q")),
        enqueue_again(parts[1], new_job("3", "q"), new_job("4", "q")),
    ]
    (joint,) = merge(calls)
    answer = execute(driver.client, *joint.command.words)
    replies = [
        call.decode(cast(Any, own)) for call, own in zip(calls, joint.split_reply(answer), strict=True)
    ]
    assert [(len(reply.value or []), reply.expired_jobs, reply.dropped_jobs) for reply in replies] == [
        (3, 2, 1),
        (2, 0, 0),
    ]


def test_an_enqueue_by_a_node_of_revision_5_gets_no_numbers(driver: Driver) -> None:
    add(driver, "1")
    driver.advance(MINUTE_US)
    call = enqueue_again(driver, new_job("1", "q"))
    header = call.command.arguments[-2]
    assert isinstance(header, bytes)
    call.command.arguments[-2] = header[:-1] + b"\0"  # the last byte says whether the job is a repeat
    assert len(execute(driver.client, *call.command.words)) == 4 + 2


def test_a_release_by_a_node_of_revision_5_gets_no_numbers(driver: Driver) -> None:
    add(driver, "1")
    call = release_all(driver)
    call.command.arguments[-1] = "0"
    assert len(execute(driver.client, *call.command.words)) == 4 + 1
