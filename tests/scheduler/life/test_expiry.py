"""Jobs that expire: they are never leased, take no slot, and become dead letters or go."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from sharq_core.job_life import OnExpiry
from sharq_core.models import EnqueueStatus, LeaseStatus
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.joint import merge
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    START_US,
    TYPE,
    Driver,
    execute,
    new_job,
)
from tests.scheduler.drivers.expiring import dead_ids, mortal, settle
from tests.scheduler.stored.readiness import wait
from tests.scheduler.stored.records import assert_keys_agree

QUEUED, DUPLICATE, FULL, EARLY = (
    EnqueueStatus.QUEUED,
    EnqueueStatus.DUPLICATE,
    EnqueueStatus.FULL,
    EnqueueStatus.EXPIRES_EARLY,
)
DONE, LOST = LeaseStatus.DONE, LeaseStatus.LOST


# At the head of the line.


def test_an_expired_job_is_not_leased_and_becomes_a_dead_letter(driver: Driver) -> None:
    driver.enqueue(mortal("1"), mortal("2", None))
    driver.advance(MINUTE_US)
    reply = driver.dequeue_reply()
    assert [job.job_id for job in reply.jobs] == ["2"]
    assert (reply.expired, reply.died, reply.ended) == (1, 0, 0)
    assert dead_ids(driver) == ["1"]
    totals = driver.totals()
    assert (totals.enqueued, totals.leased, totals.dead, totals.cancelled) == (2, 1, 1, 0)
    assert_keys_agree(driver)


def test_a_job_is_leased_until_the_moment_at_which_it_expires(driver: Driver) -> None:
    driver.enqueue(mortal("1"), mortal("2"))
    driver.advance(MINUTE_US - 1)
    assert driver.dequeue_ids(1) == ["1"]
    driver.advance(1)
    assert driver.dequeue_ids(1) == []


def test_a_job_that_is_dropped_counts_as_cancelled(driver: Driver) -> None:
    driver.enqueue(mortal("1", on_expiry=OnExpiry.DROP), mortal("2", None))
    driver.advance(MINUTE_US)
    assert driver.dequeue_ids() == ["2"]
    assert dead_ids(driver) == []
    assert (driver.totals().dead, driver.totals().cancelled) == (0, 1)
    assert_keys_agree(driver)


def test_an_expired_job_takes_no_slot(driver: Driver) -> None:
    driver.enqueue(mortal("1", interval_us=SECOND_US), mortal("2", None, interval_us=SECOND_US), new_job("3"))
    driver.advance(MINUTE_US)
    assert driver.dequeue_ids() == ["2"]
    assert wait(driver, SECOND_US) == ["3"]


def test_a_lease_tells_when_the_job_expires(driver: Driver) -> None:
    driver.enqueue(mortal("1"), mortal("2", None, expires_at_us=driver.now_us + HOUR_US), mortal("3", None))
    driver.advance(1)
    found = {job.job_id: job.expires_at_us for job in driver.dequeue()}
    assert found == {"1": START_US + MINUTE_US, "2": START_US + HOUR_US, "3": None}


def test_a_call_removes_a_bounded_number_and_the_type_stays_due(driver: Driver) -> None:
    for page in range(4):
        driver.enqueue(*(mortal(f"{page}-{n}") for n in range(100)))
    driver.enqueue(*(mortal(str(n)) for n in range(50)), mortal("live", None))
    driver.advance(MINUTE_US)
    for _ in range(2):
        reply = driver.dequeue_reply(1)
        assert (reply.jobs, reply.expired, reply.due_after, reply.head_us) == ([], 200, 1, driver.now_us)
        assert_keys_agree(driver)
    last = driver.dequeue_reply(1)
    assert ([job.job_id for job in last.jobs], last.expired) == (["live"], 50)
    assert driver.totals().dead == 450


@pytest.mark.parametrize("count", [1, 2, 100])
def test_other_queues_are_served_beside_one_with_many_expired_jobs(driver: Driver, count: int) -> None:
    for page in range(3):
        driver.enqueue(*(mortal(f"{page}-{n}") for n in range(100)))
    driver.advance(MINUTE_US)
    driver.enqueue(mortal("other", None, "z"))
    reply = driver.dequeue_reply(count)
    assert [job.job_id for job in reply.jobs] == ["other"]
    assert (reply.expired, reply.due_after) == (200, 1)
    assert_keys_agree(driver)


def test_large_expired_jobs_end_a_call_earlier(driver: Driver) -> None:
    payload = b'"' + b"x" * 65_536 + b'"'
    driver.enqueue(*(mortal(str(n), payload=payload) for n in range(20)), mortal("live", None))
    driver.advance(MINUTE_US)
    replies = [driver.dequeue_reply(1) for _ in range(3)]
    found = [([job.job_id for job in reply.jobs], reply.expired) for reply in replies]
    assert found == [([], 9), ([], 9), (["live"], 2)]


def test_a_queue_whose_jobs_have_all_expired_leaves_the_line(driver: Driver) -> None:
    driver.enqueue(*(mortal(str(n)) for n in range(50)))
    driver.advance(MINUTE_US)
    reply = driver.dequeue_reply()
    assert (reply.jobs, reply.expired, reply.due_after, reply.head_us) == ([], 50, 0, None)
    assert driver.get_queue().queued == 0


def test_expired_jobs_of_several_priorities_are_passed(driver: Driver) -> None:
    driver.enqueue(*(mortal(f"old{n}", priority=1 + n % 9) for n in range(36)))
    driver.enqueue(mortal("live", None, priority=9))
    driver.advance(MINUTE_US)
    assert driver.dequeue_ids() == ["live"]
    assert driver.totals().dead == 36


def test_a_caller_that_does_not_know_expiry_gets_replies_as_before(driver: Driver) -> None:
    driver.enqueue(
        mortal("old", MINUTE_US), mortal("1", HOUR_US, cost=3, priority=2), mortal("2", HOUR_US, "other")
    )
    driver.advance(MINUTE_US)
    for knows, sizes in ((b"", [52, 52]), (b"\x01", [56, 52])):
        call = driver.functions.dequeue(0, TYPE, 2, LEASE_US, b"12345678", now_us=driver.now_us)
        words: list[Any] = call.command.words
        words[-1] = words[-1][:-1] + knows
        found = execute(driver.client, *words)
        assert sorted(map(len, found[12::4])) == sorted(sizes)
        driver.advance(LEASE_US)
    words = driver.functions.reap(0, TYPE, now_us=driver.now_us).command.words[:-1]
    assert len(execute(driver.client, *words)) == 7


# Beside leases.


def test_a_lease_in_time_may_outlive_the_expiry(driver: Driver) -> None:
    driver.enqueue(mortal("1"), mortal("2"))
    first, second = driver.dequeue(2, lease_us=HOUR_US)
    driver.advance(2 * MINUTE_US)
    assert settle(driver) == 0
    assert driver.extend("1", first.lease, HOUR_US) == DONE
    assert driver.finish("1", first.lease) == DONE
    assert driver.finish("2", second.lease) == DONE


def test_a_job_whose_lease_ends_after_its_expiry_expires(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    driver.lease_one(lease_us=HOUR_US)
    driver.advance(HOUR_US)
    reply = driver.reap()
    assert (reply.ended, reply.died, reply.expired) == (1, 0, 1)
    assert dead_ids(driver) == ["1"]
    assert_keys_agree(driver)


def test_the_requeue_limit_comes_before_the_expiry(driver: Driver) -> None:
    driver.enqueue(mortal("1", requeue_limit=0))
    driver.lease_one(lease_us=HOUR_US)
    driver.advance(HOUR_US)
    reply = driver.reap()
    assert (reply.ended, reply.died, reply.expired) == (1, 1, 0)


def test_a_release_after_the_expiry_ends_the_job(driver: Driver) -> None:
    driver.enqueue(mortal("1", on_expiry=OnExpiry.DROP))
    lease = driver.lease_one(lease_us=HOUR_US).lease
    driver.advance(MINUTE_US)
    assert driver.release("1", lease, HOUR_US) == DONE
    assert driver.totals().cancelled == 1
    assert driver.release("1", lease) == DONE  # again
    assert driver.finish("1", lease) == LOST
    assert_keys_agree(driver)


def test_an_extend_does_not_take_an_expired_job_again(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    lease = driver.lease_one(lease_us=SECOND_US).lease
    driver.pause(True)
    driver.advance(SECOND_US)
    driver.reap()
    driver.advance(MINUTE_US - SECOND_US - 1)
    assert driver.extend("1", lease, 1) == DONE
    driver.advance(1)
    assert driver.extend("1", lease, SECOND_US) == DONE  # its lease is not ended yet
    driver.advance(HOUR_US)
    driver.reap()
    assert driver.extend("1", lease, SECOND_US) == LOST


def test_an_extend_of_a_waiting_expired_job_is_lost_before_the_walk(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    lease = driver.lease_one(lease_us=SECOND_US).lease
    driver.advance(SECOND_US)
    driver.reap()
    driver.advance(MINUTE_US)
    assert driver.extend("1", lease, SECOND_US) == LOST
    assert driver.get_queue().queued == 1


# The id of an expired job.


def test_an_id_is_free_again_when_its_job_has_expired(driver: Driver) -> None:
    driver.enqueue(mortal("1"), mortal("2", delay_us=SECOND_US))
    driver.advance(MINUTE_US)
    answers = driver.enqueue(mortal("1"), mortal("2"), mortal("1"))
    assert [answer.status for answer in answers] == [QUEUED, QUEUED, DUPLICATE]
    assert [answer.queue_length for answer in answers] == [1, 1, 2]
    assert sorted(dead_ids(driver)) == ["1", "2"]
    assert_keys_agree(driver)
    assert driver.dequeue_ids() == ["1", "2"]


def test_a_full_queue_has_room_when_the_job_of_that_id_has_expired(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    driver.advance(MINUTE_US)
    (answer,) = driver.enqueue(mortal("1", max_queued_length=1))
    assert answer.status == QUEUED


@pytest.mark.parametrize("fate", [OnExpiry.DEAD, OnExpiry.DROP])
@pytest.mark.parametrize("is_swept", [True, False])
def test_a_repeat_of_an_expired_job_is_a_duplicate(driver: Driver, fate: OnExpiry, is_swept: bool) -> None:
    driver.enqueue(mortal("1", on_expiry=fate))
    driver.advance(MINUTE_US)
    if is_swept:
        driver.reap()
    (answer,) = driver.enqueue(mortal("1", repeat=True))
    assert answer.status == DUPLICATE
    assert driver.get_queue().queued == 0
    assert driver.enqueue(mortal("1"))[0].status == QUEUED
    assert_keys_agree(driver)


def test_a_leased_job_past_its_expiry_keeps_its_id(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    driver.lease_one(lease_us=DAY_US)
    driver.advance(HOUR_US)
    assert driver.enqueue(mortal("1"))[0].status == DUPLICATE


def test_an_enqueue_by_a_node_of_revision_4_leaves_the_expired_job_alone(driver: Driver) -> None:
    driver.enqueue(mortal("1"))
    driver.advance(MINUTE_US)
    call = driver.functions.enqueue(0, TYPE, [new_job("1")], now_us=driver.now_us)
    found = execute(driver.client, *old_words(call))
    assert found[4] == DUPLICATE
    assert_keys_agree(driver)


def old_words(call: FunctionCall[Any]) -> list[Any]:
    """The words of an enqueue without the keys that a node of revision 4 does not declare."""
    words = list(call.command.words)
    newer = (b":dead:", b":deadcounts:", b":notes:", b":parked:", b":capsets:")
    kept = [word for word in words if not (isinstance(word, bytes) and any(key in word for key in newer))]
    kept[2] = int(words[2]) - (len(words) - len(kept))
    return kept


def test_a_redrive_drops_the_expiry(driver: Driver) -> None:
    driver.enqueue(mortal("1", cost=2))
    driver.advance(MINUTE_US)
    settle(driver)
    assert driver.redrive("1") == [0]
    driver.advance(DAY_US)
    job = driver.lease_one()
    assert (job.job_id, job.cost, job.attempt, job.expires_at_us) == ("1", 2, 1, None)


# When it expires.


def test_a_job_that_would_expire_before_it_is_due_is_refused(driver: Driver) -> None:
    now_us = driver.now_us
    refused = [
        mortal("1", MINUTE_US, delay_us=MINUTE_US),
        mortal("2", MINUTE_US, at_us=now_us + MINUTE_US),
        mortal("3", None, expires_at_us=now_us),
        mortal("4", None, expires_at_us=now_us - 1),
        mortal("5", None, expires_at_us=now_us + SECOND_US, delay_us=SECOND_US),
    ]
    assert {answer.status for answer in driver.enqueue(*refused)} == {EARLY}
    assert driver.enqueue(mortal("6", MINUTE_US + 1, delay_us=MINUTE_US))[0].status == QUEUED
    assert driver.totals().enqueued == 1


def test_an_expiry_after_a_while_counts_from_the_enqueue(driver: Driver) -> None:
    driver.enqueue(mortal("1", MINUTE_US, delay_us=SECOND_US), mortal("2", None))
    driver.advance(MINUTE_US)
    assert driver.dequeue_ids() == ["2"]


def test_expiry_is_by_the_time_of_the_partition(driver: Driver) -> None:
    """After the store's clock stepped back, a time that a producer names is converted, and the job lives as long."""
    driver.enqueue(mortal("1", HOUR_US), mortal("2", None))
    driver.advance(-10 * MINUTE_US)
    driver.enqueue(mortal("3", None, expires_at_us=driver.now_us + MINUTE_US))
    driver.advance(MINUTE_US - 1)
    jobs = driver.dequeue(3, lease_us=SECOND_US)
    assert [job.job_id for job in jobs] == ["1", "2", "3"]
    assert jobs[2].expires_at_us == driver.now_us + 1
    driver.advance(SECOND_US)
    assert driver.reap().expired == 1
    driver.advance(HOUR_US)
    assert driver.dequeue_ids() == ["2"]
    assert_keys_agree(driver)


# Joint calls.


def test_a_joint_dequeue_removes_as_many_expired_jobs_as_one_call(client: redis.Redis, prefix: str) -> None:
    drivers = [Driver(client, prefix, partitions=2, partition=at) for at in range(2)]
    for driver in drivers:
        for page in range(2):
            driver.enqueue(*(mortal(f"{page}-{n}") for n in range(90)))
        driver.advance(MINUTE_US)
        driver.enqueue(mortal("live", None))
    calls = [
        driver.functions.dequeue(driver.partition, TYPE, 2, LEASE_US, b"12345678", now_us=driver.now_us)
        for driver in drivers
    ]
    (joint,) = merge(calls)
    parts = joint.split_reply(execute(client, *joint.command.words))
    first, second = (
        call.decode(own).value for call, own in zip(calls, parts, strict=True) if isinstance(own, list)
    )
    assert first and second
    assert ([job.job_id for job in first.jobs], first.expired) == (["live"], 180)
    assert ([job.job_id for job in second.jobs], second.expired) == ([], 20)
    assert second.due_after == 1
    for driver in drivers:
        assert_keys_agree(driver)
