"""Queues: what is a job's place, who is served when, and what deleting and odd names do.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sharq_core.models import EnqueueStatus, JobState
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.top_queues import TopOrder, TopQueue
from tests.scheduler.drivers.driver import (
    DAY_US,
    LEASE_US,
    RANDOM,
    SECOND_US,
    Driver,
    new_job,
)
from tests.scheduler.stored.records import assert_keys_agree

ODD_NAMES = [
    "active",
    "queue_type",
    "payload",
    "interval",
    "ready",
    "X",
    "Q",
    "seq",
    "t",
    "lease",
    "gen",
    "-",
    "+",
    "r",
]


@pytest.mark.parametrize("queue_type", ["payload", "interval", "active", "ready", "g", "x"])
def test_no_name_collides_with_what_the_store_keeps(driver: Driver, queue_type: str) -> None:
    """U1: names are members, never keys."""
    driver.queue_type = queue_type
    jobs = [
        new_job(job_id, queue_id, queue_type=queue_type, interval_us=0)
        for queue_id in ODD_NAMES
        for job_id in ODD_NAMES[:6]
    ]
    for queue_jobs in zip(*[iter(jobs)] * 6, strict=True):
        driver.enqueue(*queue_jobs)
    assert_keys_agree(driver)
    leased = driver.dequeue()
    assert {(job.queue_id, job.job_id) for job in leased} == {(job.queue_id, job.job_id) for job in jobs}
    for job in leased:
        assert driver.finish(job.job_id, job.lease, job.queue_id) == 0
    assert_keys_agree(driver)
    assert driver.totals().finished == len(jobs)


def test_a_queue_does_not_reach_into_one_whose_name_it_begins(driver: Driver) -> None:
    driver.enqueue(new_job("1", "a"), new_job("1", "ab"), new_job("b1", "a"))
    assert driver.delete_queue("a") == 2
    assert [(job.queue_id, job.job_id) for job in driver.dequeue()] == [("ab", "1")]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.DELAYED, JobState.LEASED])
def test_enqueueing_a_live_job_again_changes_nothing(driver: Driver, state: JobState) -> None:
    """U3: the original queues it twice."""
    driver.enqueue(new_job("1", delay_us=DAY_US if state is JobState.DELAYED else 0))
    if state is JobState.LEASED:
        driver.lease_one()
    before = driver.get_job("1"), driver.get_queue()
    again = driver.enqueue(new_job("1", payload=b"2", interval_us=5, max_queued_length=0))
    assert again[0].status is EnqueueStatus.DUPLICATE
    assert (driver.get_job("1"), driver.get_queue()) == before


def test_repeat_makes_a_finished_and_a_dead_job_a_duplicate_too(driver: Driver) -> None:
    driver.enqueue(new_job("done", interval_us=0), new_job("dead", interval_us=0, requeue_limit=0))
    done, dead = driver.dequeue()
    driver.finish("done", done.lease)
    driver.release("dead", dead.lease)
    repeated = driver.enqueue(new_job("done", repeat=True), new_job("dead", repeat=True))
    assert [answer.status for answer in repeated] == [EnqueueStatus.DUPLICATE] * 2
    fresh = driver.enqueue(new_job("done"), new_job("dead"))
    assert [answer.status for answer in fresh] == [EnqueueStatus.QUEUED] * 2


def test_the_cap_counts_queued_and_delayed_jobs_and_holds_within_one_call(driver: Driver) -> None:
    """U15: checked in the function that queues."""
    driver.enqueue(new_job("0"), new_job("1", delay_us=DAY_US), new_job("2"))
    driver.lease_one()
    answers = driver.enqueue(*(new_job(f"more-{n}", max_queued_length=4) for n in range(4)))
    assert [(answer.status, answer.queue_length) for answer in answers] == [
        (EnqueueStatus.QUEUED, 2),
        (EnqueueStatus.QUEUED, 3),
        (EnqueueStatus.FULL, 4),
        (EnqueueStatus.FULL, 4),
    ]


def test_jobs_requeued_together_keep_their_order(driver: Driver) -> None:
    """U16: the original returns them in reverse order."""
    ids = [f"{n:02}" for n in range(40)]
    driver.enqueue(*(new_job(job_id, interval_us=0) for job_id in ids))
    driver.dequeue()
    driver.enqueue(new_job("later", interval_us=0))
    driver.advance(LEASE_US)
    driver.reap()
    assert driver.dequeue_ids() == [*ids, "later"]


def test_a_delayed_job_takes_its_place_by_when_it_was_enqueued(driver: Driver) -> None:
    driver.enqueue(new_job("1", delay_us=SECOND_US), new_job("2"), new_job("3"))
    assert driver.dequeue_ids() == ["2"]
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["1"]


def test_unlimited_queues_share_a_call_in_rounds(driver: Driver) -> None:
    """U14: the original breaks ties by name."""
    for queue_id in "abc":
        driver.enqueue(*(new_job(str(n), queue_id, interval_us=0) for n in range(20)))
    assert Counter(job.queue_id for job in driver.dequeue(30)) == {"a": 10, "b": 10, "c": 10}


def test_unlimited_queues_share_single_dequeues(driver: Driver) -> None:
    """U14: the original breaks ties by name."""
    for queue_id in "abc":
        driver.enqueue(*(new_job(str(n), queue_id, interval_us=0) for n in range(20)))
    given: Counter[str] = Counter()
    for _ in range(30):
        driver.advance(1)
        given.update(job.queue_id for job in driver.dequeue(1))
    assert given == {"a": 10, "b": 10, "c": 10}


def test_the_queue_that_is_ready_longest_comes_first_whatever_its_name(driver: Driver) -> None:
    """U14: the original breaks ties by name."""
    for queue_id in "zma":
        driver.enqueue(new_job("1", queue_id))
        driver.advance(1)
    assert [job.queue_id for job in driver.dequeue(3)] == ["z", "m", "a"]


def test_a_call_takes_no_more_of_a_queue_than_it_may(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), "a", interval_us=0) for n in range(5)), new_job("1", "b"))
    reply = driver.dequeue_reply(10, per_queue=2)
    assert [job.queue_id for job in reply.jobs] == ["a", "b", "a"]
    assert (reply.due_before, reply.due_after, reply.is_cut) == (2, 1, False)


def test_the_byte_budget_is_looked_at_before_a_job_is_taken(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), payload=b"x" * 400, interval_us=0) for n in range(3)))
    reply = driver.dequeue_reply(3, max_bytes=800)
    assert ([job.job_id for job in reply.jobs], reply.is_cut) == (["0", "1"], True)
    reply = driver.dequeue_reply(3, max_bytes=1)
    assert ([job.job_id for job in reply.jobs], reply.is_cut) == (["2"], False)


def test_a_job_without_a_byte_counts_as_the_one_that_is_always_taken(driver: Driver) -> None:
    driver.enqueue(new_job("0", payload=b"", interval_us=0), new_job("1", payload=b"x" * 500, interval_us=0))
    reply = driver.dequeue_reply(2, max_bytes=100)
    assert ([job.job_id for job in reply.jobs], reply.is_cut) == (["0"], True)


def test_a_hundred_jobs_of_the_largest_payload_come_back_equal(driver: Driver) -> None:
    payloads = [bytes([33 + n]) * 262_144 for n in range(100)]
    driver.enqueue(*(new_job(str(n), payload=payload, interval_us=0) for n, payload in enumerate(payloads)))
    found: list[bytes] = []
    while len(found) < 100:
        reply = driver.dequeue_reply()
        assert len(reply.jobs) == 4
        found += [job.payload for job in reply.jobs]
    assert found == payloads


@pytest.mark.parametrize("payload", [b"", b'""', b'"\\""', bytes(range(256)), b'\x22\x22\x00"', b"\0" * 60])
def test_payload_bytes_come_back_equal(driver: Driver, payload: bytes) -> None:
    """U23: the original tears some payloads."""
    driver.enqueue(new_job("1", payload=payload))
    job = driver.lease_one()
    assert job.payload == payload
    driver.advance(LEASE_US)
    assert driver.lease_one().payload == payload


def test_a_call_that_comes_too_late_does_nothing(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    job = driver.lease_one()
    keys = driver.store_keys()
    late_us, functions = driver.now_us - 1, driver.functions
    calls: list[FunctionCall[Any]] = [
        functions.enqueue(0, "sms", [new_job("2")], not_after_us=late_us, now_us=driver.now_us),
        functions.dequeue(0, "sms", 1, LEASE_US, RANDOM, not_after_us=late_us, now_us=driver.now_us + DAY_US),
        functions.release(0, "sms", [], not_after_us=late_us, now_us=driver.now_us),
    ]
    assert [reply.value for reply in driver.replies(calls)] == [None, None, None]
    assert driver.store_keys() == keys
    assert driver.get_job("2") is None
    status = driver.get_job("1")
    assert status is not None
    assert status.lease_expires_at_us == job.leased_until_us


def test_reading_what_does_not_exist_creates_nothing(driver: Driver) -> None:
    assert not driver.get_queue().is_known
    assert driver.get_job("1") is None
    assert driver.list_queues() == set()
    assert driver.list_dead().jobs == []
    assert driver.get_counts().queue_types == []
    assert driver.refresh().totals == []
    assert not driver.interval(5)
    assert not driver.pause(True)
    assert driver.delete_queue() == 0
    assert driver.store_keys() == set()


def test_deleting_a_queue_leaves_nothing_behind(driver: Driver) -> None:
    """U17: the original leaves payloads behind."""
    driver.enqueue(*(new_job(str(n), delay_us=DAY_US * (n % 2)) for n in range(30)))
    assert driver.delete_queue(purge=True) == 30
    driver.advance(DAY_US)
    driver.reap()
    assert driver.dequeue() == []
    assert driver.store_keys() == {driver.key("counters")}
    assert driver.refresh().totals == []


def test_a_deleted_queue_takes_new_jobs_at_once_under_the_ids_of_the_old(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), payload=b"old", delay_us=n % 2) for n in range(30)))
    driver.delete_queue(limit=1)
    assert driver.get_queue().queued == 0
    driver.enqueue(*(new_job(str(n), payload=b"new", interval_us=0) for n in range(30)))
    assert_keys_agree(driver)
    assert [(job.job_id, job.payload) for job in driver.dequeue()] == [(str(n), b"new") for n in range(30)]
    while driver.reap().handled:
        assert_keys_agree(driver)
    assert driver.totals().cancelled == 30


def test_a_purged_queue_goes_though_the_clock_steps_back(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0))
    assert driver.delete_queue(purge=True) == 1
    driver.now_us -= 1
    driver.reap()
    assert driver.refresh().totals == []


def test_deleting_an_empty_queue_changes_nothing(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.lease_one()
    assert driver.delete_queue(purge=True) == 0
    driver.advance(LEASE_US)
    assert driver.dequeue_ids() == ["1"]


def test_a_ready_queue_without_jobs_blocks_nobody(driver: Driver) -> None:
    """U11: functions heal or skip entries that damage of the store left."""
    driver.enqueue(new_job("1", "damaged"), new_job("1", "ghost"), new_job("1", "good"))
    driver.client.hdel(driver.key("jobs"), "damaged:1")
    driver.client.hdel(driver.key("queues"), "ghost")
    driver.client.zadd(driver.key("ready"), {"nobody": 1})
    assert [job.queue_id for job in driver.dequeue()] == ["good"]
    assert driver.dequeue_reply().due_before == 0


def test_a_lease_whose_queue_lost_its_record_can_be_finished(driver: Driver) -> None:
    """U11: the original lets damage block a type."""
    driver.enqueue(new_job("1"))
    job = driver.lease_one()
    driver.client.hdel(driver.key("queues"), "q")
    assert driver.finish("1", job.lease) == 0
    driver.enqueue(new_job("2"))
    assert driver.dequeue_ids() == ["2"]


def test_the_clock_is_the_stores(driver: Driver) -> None:
    """U12: without an injected time a call and its lease go by the store's TIME."""
    seconds, micros = driver.client.time()
    before_us = seconds * SECOND_US + micros
    driver.reply(driver.functions.enqueue(0, "sms", [new_job("1")]))
    reply = driver.reply(driver.functions.dequeue(0, "sms", 1, LEASE_US, RANDOM))
    seconds, micros = driver.client.time()
    assert before_us <= reply.hint.now_us <= seconds * SECOND_US + micros
    assert reply.value is not None
    assert reply.value.jobs[0].leased_until_us == reply.hint.now_us + LEASE_US


def test_status_names_state_position_attempt_and_times(driver: Driver) -> None:
    """U22: the original has no status."""
    driver.enqueue(new_job("1", interval_us=0), new_job("2", delay_us=5), new_job("3"))
    enqueued_us = driver.now_us
    job = driver.dequeue(1)[0]
    found = [driver.get_job(job_id) for job_id in "123"]
    assert [status and (status.state, status.position, status.attempt) for status in found] == [
        (JobState.LEASED, None, 1),
        (JobState.DELAYED, None, 0),
        (JobState.QUEUED, 1, 0),
    ]
    assert found[0] is not None
    assert (found[0].lease_expires_at_us, found[0].enqueued_at_us) == (job.leased_until_us, enqueued_us)


def test_a_sweep_that_comes_late_takes_no_job_of_the_queue_that_came_after(driver: Driver) -> None:
    """The timer of the first deletion outlives the record whose fence it was set for."""
    driver.enqueue(*(new_job(f"{number}", interval_us=0) for number in range(3)))
    assert driver.delete_queue(limit=2) == 3
    driver.enqueue(new_job("more", interval_us=0))
    assert driver.delete_queue(purge=True) == 1
    assert not driver.get_queue().is_known
    driver.enqueue(new_job("kept", interval_us=0), new_job("later", interval_us=0, delay_us=SECOND_US))
    assert driver.dequeue_ids() == ["kept"]
    driver.advance(SECOND_US)
    driver.reap()
    assert driver.dequeue_ids() == ["later"]
    assert_keys_agree(driver)


def test_a_pinned_queues_fence_hides_no_job_of_a_type_that_comes_back(driver: Driver) -> None:
    driver.interval(0, pin=True)
    driver.enqueue(*(new_job(str(n)) for n in range(3)))
    driver.delete_queue()
    driver.advance(DAY_US)
    driver.reap()
    driver.enqueue(new_job("new"))
    assert driver.dequeue_ids() == ["new"]
    assert_keys_agree(driver)


def test_the_queues_that_are_due_longest_come_first_by_age(driver: Driver) -> None:
    for queue_id in ("first", "second", "third"):
        driver.enqueue(new_job("1", queue_id), new_job("2", queue_id))
        driver.advance(SECOND_US)
    driver.enqueue(new_job("1", "later", delay_us=SECOND_US))
    assert driver.pause(True, "first")
    assert [(one.queue_id, one.queued, one.due_for_us, one.oldest_age_us) for one in top(driver, "age")] == [
        ("second", 2, 2 * SECOND_US, 2 * SECOND_US),
        ("third", 2, SECOND_US, SECOND_US),
    ]
    assert [one.queue_id for one in driver.top_queues(TopOrder.AGE, limit=1)] == ["second"]


def test_the_queues_with_most_jobs_come_first_by_depth(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), "deep") for n in range(3)))
    driver.enqueue(new_job("1", "mixed"), new_job("2", "mixed", delay_us=SECOND_US))
    driver.enqueue(new_job("1", "empty"))
    driver.dequeue(1)
    found = {one.queue_id: one for one in top(driver, "depth")}
    depths = [one.depth for one in found.values()]
    assert depths == sorted(depths, reverse=True)
    assert sum(depths) == 5
    assert {one.depth + one.leased for one in found.values()} <= {1, 2, 3}
    assert found["mixed"].delayed == 1
    assert [one.queue_id for one in driver.top_queues(TopOrder.DEPTH, limit=1)] == [next(iter(found))]


def test_the_deepest_queue_is_found_by_a_scan_of_several_calls(driver: Driver) -> None:
    queues = 1500
    for begin in range(0, queues, 100):
        driver.enqueue(*(new_job("1", f"q{n}") for n in range(begin, begin + 100)))
    driver.enqueue(new_job("2", "q777"))
    scan, looked_at, deepest, calls = 0, 0, [], 0
    while not calls or scan:
        reply = driver.value(
            driver.functions.top_queues(0, driver.queue_type, TopOrder.DEPTH, 1, scan=scan, count=100)
        )
        calls, scan, looked_at = calls + 1, reply.scan, looked_at + reply.looked_at
        deepest += [one.queue_id for one in reply.queues if one.depth == 2]
    assert calls > 5
    assert looked_at >= queues
    assert set(deepest) == {"q777"}


def top(driver: Driver, by: str) -> list[TopQueue]:
    return driver.top_queues(TopOrder(by))
