"""Leases: whom a token obeys, what ends one, and what becomes of the job.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

import pytest

from sharq_core.job_life import DeadLetter, RedriveStatus
from sharq_core.models import JobState, LeaseStatus
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, SECOND_US, START_US, Driver, new_job

DONE, NOT_FOUND, LOST = LeaseStatus.DONE, LeaseStatus.NOT_FOUND, LeaseStatus.LOST


def state_of(driver: Driver, job_id: str) -> JobState | None:
    """A job's state, None for an unknown one."""
    status = driver.get_job(job_id)
    return status.state if status else None


def kill(driver: Driver, job_id: str) -> str:
    """Make a dead letter of a fresh job, by its lease's end; returns its last lease."""
    driver.enqueue(new_job(job_id, requeue_limit=0, interval_us=0))
    (job,) = driver.dequeue()
    driver.advance(LEASE_US)
    driver.reap()
    return job.lease


def test_late_finish_does_not_end_a_new_lease(driver: Driver) -> None:
    """U8: a late finish of the original ends another lease."""
    driver.enqueue(new_job("1"))
    late = driver.lease_one()
    driver.advance(LEASE_US)
    current = driver.lease_one()
    assert driver.finish("1", late.lease) is LOST
    assert driver.extend("1", late.lease, LEASE_US) is LOST
    assert driver.release("1", late.lease) is LOST
    assert state_of(driver, "1") is JobState.LEASED
    assert driver.finish("1", current.lease) is DONE


def test_a_finish_without_a_lease_ends_the_current_one_only(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    assert driver.finish("1", None) is NOT_FOUND
    driver.lease_one()
    assert driver.finish("1", None) is DONE
    assert driver.finish("1", None) is NOT_FOUND


@pytest.mark.parametrize("verb", ["finish", "extend"])
def test_the_newest_lease_acts_after_its_end_also_when_the_job_waits_again(driver: Driver, verb: str) -> None:
    driver.enqueue(new_job("1", requeue_limit=3))
    job = driver.lease_one()
    driver.advance(LEASE_US)
    driver.reap()
    assert state_of(driver, "1") is JobState.QUEUED
    if verb == "finish":
        assert driver.finish("1", job.lease) is DONE
        assert state_of(driver, "1") is JobState.FINISHED
    else:
        assert driver.extend("1", job.lease, MINUTE_US) is DONE
        status = driver.get_job("1")
        assert status is not None
        assert (status.attempt, status.lease_expires_at_us) == (1, driver.now_us + MINUTE_US)
    assert driver.dequeue() == []


def test_extend_uses_no_rate(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2"))
    job = driver.lease_one()
    driver.release("1", job.lease)
    driver.advance(SECOND_US)
    driver.extend("1", job.lease, MINUTE_US)
    assert driver.dequeue_ids() == ["2"]


def test_extend_moves_the_end_both_ways(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0))
    job = driver.lease_one()
    driver.extend("1", job.lease, DAY_US)
    driver.advance(DAY_US - 1)
    assert driver.dequeue() == []
    driver.extend("1", job.lease, SECOND_US)
    driver.advance(SECOND_US)
    assert driver.lease_one().attempt == 2


def test_a_finish_repeated_with_its_lease_is_done_and_another_verb_finds_nothing(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    job = driver.lease_one()
    assert [driver.finish("1", job.lease) for _ in range(2)] == [DONE, DONE]
    assert driver.extend("1", job.lease, 1) is NOT_FOUND
    assert driver.release("1", job.lease) is NOT_FOUND
    assert driver.finish("1", "00" * 16) is LOST


def test_a_finished_job_is_remembered_for_the_retention_exactly(driver: Driver) -> None:
    retention_us = driver.functions.retention.finished_us
    driver.enqueue(new_job("1"))
    job = driver.lease_one()
    driver.finish("1", job.lease)
    driver.advance(retention_us - 1)
    driver.turn()
    assert driver.finish("1", job.lease) is DONE
    driver.advance(1)
    assert driver.finish("1", job.lease) is NOT_FOUND
    assert state_of(driver, "1") is None


def test_tombstones_turn_within_two_retentions_and_leave_nothing(driver: Driver) -> None:
    retention_us = driver.functions.retention.finished_us
    driver.enqueue(new_job("1"))
    driver.finish("1", driver.lease_one().lease)
    assert driver.refresh().turn_us == driver.now_us
    driver.turn()
    for _ in range(2):
        assert driver.refresh().tombstones == 1
        driver.advance(retention_us)
        driver.turn()
    refresh = driver.refresh()
    assert (refresh.tombstones, refresh.turn_us) == (0, None)


def test_a_released_job_keeps_its_place_and_counts_an_attempt(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0, requeue_limit=5) for n in range(3)))
    first = driver.dequeue(1)[0]
    assert [driver.release("0", first.lease) for _ in range(2)] == [DONE, DONE]
    again = driver.dequeue(1)[0]
    assert (again.job_id, again.attempt, again.requeues_remaining) == ("0", 2, 4)
    assert driver.release("0", first.lease) is LOST


def test_a_released_job_may_wait_before_it_comes_back(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0), new_job("2", interval_us=0))
    job = driver.dequeue(1)[0]
    driver.release("1", job.lease, delay_us=SECOND_US)
    assert state_of(driver, "1") is JobState.DELAYED
    assert driver.dequeue_ids() == ["2"]
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["1"]


def test_a_void_release_takes_the_attempt_back_but_not_the_rate(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0))
    job = driver.lease_one()
    assert driver.release("1", job.lease, is_void=True) is DONE
    assert driver.finish("1", job.lease) is LOST
    assert driver.dequeue() == []
    driver.advance(SECOND_US)
    again = driver.lease_one()
    assert (again.attempt, again.requeues_remaining) == (1, 0)


def test_past_its_limit_a_job_becomes_a_dead_letter_in_the_same_step(driver: Driver) -> None:
    """U9, U10: the dequeue that notices the end of a lease also does this; no second call is needed."""
    driver.enqueue(new_job("1", requeue_limit=1, interval_us=0))
    for attempt in (1, 2):
        assert driver.lease_one().attempt == attempt
        driver.advance(LEASE_US)
    assert driver.dequeue() == []
    assert driver.list_dead().jobs == [DeadLetter("q", "1", b'{"a":1}', 2, START_US, driver.now_us)]
    assert state_of(driver, "1") is JobState.DEAD


def test_a_release_past_the_limit_is_a_dead_letter_at_once_and_may_be_repeated(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0))
    job = driver.lease_one()
    assert [driver.release("1", job.lease) for _ in range(2)] == [DONE, DONE]
    assert state_of(driver, "1") is JobState.DEAD
    assert driver.finish("1", job.lease) is LOST


def test_a_job_without_a_limit_never_dies(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0))
    for attempt in range(1, 40):
        job = driver.lease_one()
        assert (job.attempt, job.requeues_remaining) == (attempt, -1)
        driver.advance(LEASE_US)


def test_redrive_gives_a_dead_letter_a_fresh_start_at_the_end_of_its_queue(driver: Driver) -> None:
    old_lease = kill(driver, "1")
    driver.enqueue(new_job("2", interval_us=0))
    assert driver.redrive("1", "1", "3") == [
        RedriveStatus.QUEUED,
        RedriveStatus.NOT_FOUND,
        RedriveStatus.NOT_FOUND,
    ]
    assert [(job.job_id, job.attempt, job.enqueued_at_us) for job in driver.dequeue()] == [
        ("2", 1, driver.now_us),
        ("1", 1, driver.now_us),
    ]
    assert driver.finish("1", old_lease) is LOST
    assert driver.list_dead().jobs == []


def test_redrive_of_an_id_that_is_live_again_is_a_duplicate_and_keeps_the_letter(driver: Driver) -> None:
    kill(driver, "1")
    driver.enqueue(new_job("1", payload=b"2"))
    assert driver.redrive("1") == [RedriveStatus.DUPLICATE]
    assert [letter.payload for letter in driver.list_dead().jobs] == [b'{"a":1}']
    assert driver.lease_one().payload == b"2"


def test_redrive_brings_back_the_rate_of_a_forgotten_queue(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0, interval_us=SECOND_US, burst=3))
    driver.lease_one()
    driver.advance(DAY_US)
    driver.reap()
    driver.advance(DAY_US)
    driver.reap()
    assert driver.get_queue().interval_us == 0, "it is forgotten, and known for its dead letter only"
    assert driver.redrive("1") == [RedriveStatus.QUEUED]
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst, queue.queued) == (SECOND_US, 3, 1)


def test_redrive_brings_back_the_limits_of_a_forgotten_queue(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0, interval_us=SECOND_US, burst=1.25, max_leased=1))
    driver.lease_one()
    for _ in range(2):
        driver.advance(DAY_US)
        driver.reap()
    assert driver.get_queue().interval_us == 0, "it is forgotten, and known for its dead letter only"
    assert driver.redrive("1") == [RedriveStatus.QUEUED]
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst, queue.max_leased) == (SECOND_US, 1.25, 1)


def test_dead_letters_go_after_their_retention_though_others_die_meanwhile(driver: Driver) -> None:
    kill(driver, "1")
    assert driver.redrive("1") == [RedriveStatus.QUEUED]
    assert [job.job_id for job in driver.dequeue()] == ["1"]
    driver.advance(LEASE_US)
    assert driver.reap().died == 1
    driver.advance(driver.functions.retention.dead_us)
    driver.reap()
    assert driver.totals().dead == 0
    assert driver.client.exists(driver.key("dead"), driver.key("deadjobs")) == 0


def test_reap_counts_deaths_apart_from_letters_that_it_drops(driver: Driver) -> None:
    kill(driver, "old")
    driver.advance(driver.functions.retention.dead_us - LEASE_US)
    driver.enqueue(new_job("new", requeue_limit=0, interval_us=0))
    driver.lease_one()
    driver.advance(LEASE_US)
    found = driver.reap()
    assert (found.ended, found.died) == (1, 1)
    assert [letter.job_id for letter in driver.list_dead().jobs] == ["new"]


def test_drop_dead_drops_letters_that_died_later_than_the_clock_says_now(driver: Driver) -> None:
    kill(driver, "1")
    driver.advance(-SECOND_US)
    assert driver.drop_dead() == 1


def test_drop_dead_leaves_letters_that_died_after_a_time(driver: Driver) -> None:
    kill(driver, "1")
    begun_us = driver.now_us
    driver.advance(SECOND_US)
    kill(driver, "2")
    assert driver.drop_dead(before_us=begun_us) == 1
    assert [letter.job_id for letter in driver.list_dead().jobs] == ["2"]
    assert driver.totals().dead == 1


def test_drop_dead_with_a_time_drops_letters_that_died_later_than_the_clock_says_now(driver: Driver) -> None:
    """They were there before the clock stepped back."""
    kill(driver, "future")
    driver.advance(-DAY_US)
    assert driver.drop_dead(before_us=driver.now_us) == 1
    assert driver.totals().dead == 0


def test_dead_letters_are_listed_in_pages_without_gaps_or_repeats(driver: Driver) -> None:
    driver.enqueue(*(new_job(f"{n:02}", requeue_limit=0, interval_us=0) for n in range(30)))
    driver.dequeue()
    driver.advance(LEASE_US)
    driver.reap()
    seen, scan = [], ""
    while True:
        page = driver.list_dead(scan, limit=7)
        seen += [letter.job_id for letter in page.jobs]
        scan = page.scan
        if not scan:
            break
    assert seen == [f"{n:02}" for n in range(30)]


def test_a_lease_of_a_deleted_queue_runs_on_and_its_job_is_not_requeued(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0), new_job("2", interval_us=0))
    finished, ended = driver.dequeue()
    driver.enqueue(new_job("3"))
    assert driver.delete_queue() == 1
    assert driver.extend("1", finished.lease, MINUTE_US) is DONE
    assert driver.finish("1", finished.lease) is DONE
    driver.advance(LEASE_US)
    assert driver.dequeue() == []
    assert driver.finish("2", ended.lease) is LOST
    assert state_of(driver, "2") is None


def test_a_release_after_a_delete_may_be_repeated(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0), new_job("2", interval_us=0))
    job = driver.dequeue(1)[0]
    driver.delete_queue()
    assert [driver.release("1", job.lease) for _ in range(2)] == [DONE, DONE]
    assert driver.finish("1", job.lease) is LOST


def test_a_deleted_jobs_lease_is_lost_before_and_after_its_record_is_swept(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0) for n in range(3)))
    leases = {job.job_id: job.lease for job in driver.dequeue()}
    driver.advance(LEASE_US)
    driver.reap()
    driver.delete_queue(limit=1)
    before = [driver.finish(job_id, lease) for job_id, lease in leases.items()]
    driver.reap()
    after = [driver.finish(job_id, lease) for job_id, lease in leases.items()]
    assert before == after == [LOST] * 3


def test_unknown_leases_find_nothing_and_create_nothing(driver: Driver) -> None:
    for lease in ("", "zz", "00" * 16, "ff" * 16, "é"):
        assert driver.finish("1", lease) is NOT_FOUND
        assert driver.extend("1", lease, 1) is NOT_FOUND
        assert driver.release("1", lease) is NOT_FOUND
    assert driver.dequeue() == []
    assert driver.store_keys() == set()


def test_a_repeated_finish_writes_though_its_type_is_gone(lone_driver: Driver) -> None:
    """WAIT covers only what its connection wrote: what is answered again must be promised again."""
    lone_driver.functions.retention = Retention(finished_us=DAY_US)
    lone_driver.enqueue(new_job("1"))
    job = lone_driver.lease_one()
    lone_driver.finish("1", job.lease)
    lone_driver.advance(DAY_US - 1)
    lone_driver.reap()
    assert not lone_driver.client.hexists(lone_driver.key("counters"), "sms")
    before = _writes(lone_driver)
    assert lone_driver.finish("1", job.lease) is DONE
    assert _writes(lone_driver) == before + 1
    assert lone_driver.get_job("1") is not None


def test_a_repeated_delete_writes_though_its_type_is_gone(lone_driver: Driver) -> None:
    lone_driver.enqueue(new_job("1", interval_us=0))
    assert lone_driver.delete_queue(purge=True) == 1
    lone_driver.reap()
    before = _writes(lone_driver)
    assert lone_driver.delete_queue(purge=True) == 0
    assert lone_driver.drop_dead() == 0
    assert _writes(lone_driver) == before + 2


def test_a_type_goes_though_its_dead_letters_were_dropped_before_their_time(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0))
    driver.release("1", driver.lease_one().lease)
    driver.reap()
    driver.advance(DAY_US)
    assert driver.drop_dead() == 1
    driver.reap()
    assert driver.store_keys() == {driver.key("counters")}
    assert not driver.client.hexists(driver.key("counters"), "sms")


def test_a_reap_that_finds_nothing_creates_nothing(driver: Driver) -> None:
    driver.reap()
    assert driver.store_keys() == set()


def _writes(driver: Driver) -> int:
    return int(driver.client.info("persistence")["rdb_changes_since_last_save"])


def test_calls_about_an_unknown_type_leave_no_trace_in_a_partition_in_use(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.queue_type = "mail"
    driver.dequeue()
    driver.finish("1", None)
    driver.reap()
    assert [totals.queue_type for totals in driver.refresh().totals] == ["sms"]
    assert not driver.client.hexists(driver.key("counters"), "mail")
