"""The limits of a queue beside its rate: holds, attempts that do not count, leases at one time, and settings."""

from __future__ import annotations

import struct

import pytest

from sharq_core.limits import (
    MAX_COST,
    MAX_HOLD_US,
    MAX_LEASED,
    MAX_WEIGHT,
    BlockedBy,
    PauseStatus,
    QueueSettings,
)
from sharq_core.models import EnqueueStatus, FinishJob, LeaseStatus
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    TYPE,
    Driver,
    new_job,
)
from tests.scheduler.stored.readiness import ready_in, stored, wait
from tests.scheduler.stored.records import assert_keys_agree, parse_job

DONE, NOT_FOUND, LOST = LeaseStatus.DONE, LeaseStatus.NOT_FOUND, LeaseStatus.LOST


# Hold.


def test_a_held_queue_gives_nothing_until_its_hold_ends_and_then_keeps_its_spacing(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n)) for n in range(3)))
    assert driver.hold(MINUTE_US) is PauseStatus.DONE
    queue = driver.get_queue()
    assert (queue.held_until_us, queue.blocked_by) == (driver.now_us + MINUTE_US, BlockedBy.HOLD)
    assert not queue.is_paused
    assert ready_in(driver) == MINUTE_US
    assert wait(driver, MINUTE_US) == ["0"]
    assert wait(driver, SECOND_US) == ["1"]
    assert driver.get_queue().held_until_us is None


def test_a_hold_only_grows_and_a_resume_ends_it(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    for hold_us, wanted_us in ((MINUTE_US, MINUTE_US), (SECOND_US, MINUTE_US), (HOUR_US, HOUR_US)):
        driver.hold(hold_us)
        assert ready_in(driver) == wanted_us
    driver.pause(True)
    assert driver.get_queue().blocked_by is BlockedBy.PAUSED
    driver.pause(False)
    assert driver.dequeue_ids() == ["1"]


@pytest.mark.parametrize(
    ("by_us", "wanted"),
    [
        (-1, PauseStatus.PAST),
        (0, PauseStatus.PAST),
        (1, PauseStatus.DONE),
        (MAX_HOLD_US, PauseStatus.DONE),
        (MAX_HOLD_US + 1, PauseStatus.TOO_LONG),
    ],
)
def test_a_hold_ends_in_the_future_and_within_a_day(driver: Driver, by_us: int, wanted: PauseStatus) -> None:
    driver.enqueue(new_job("1"))
    before = driver.client.hgetall(driver.key("queues"))
    assert driver.hold(until_us=driver.now_us + by_us) is wanted
    assert (driver.client.hgetall(driver.key("queues")) == before) == (wanted is not PauseStatus.DONE)
    if wanted is PauseStatus.DONE:
        assert ready_in(driver) == by_us


def test_a_hold_until_a_time_names_the_store_s_clock(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.advance(-HOUR_US)
    driver.enqueue(new_job("2"))
    assert driver.hold(until_us=driver.now_us + MINUTE_US) is PauseStatus.DONE
    assert driver.get_queue().held_until_us == driver.now_us + MINUTE_US
    assert ready_in(driver) == MINUTE_US


def test_an_unknown_queue_is_not_held(driver: Driver) -> None:
    assert driver.hold(MINUTE_US) is PauseStatus.NOT_FOUND
    assert driver.store_keys() == set()


def test_a_held_queue_is_not_forgotten(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    driver.finish("1", driver.lease_one().lease, hold_us=HOUR_US)
    driver.advance(HOUR_US - 1)
    driver.reap()
    driver.enqueue(new_job("2"))
    assert driver.get_queue().blocked_by is BlockedBy.HOLD
    driver.advance(1)
    assert driver.dequeue_ids() == ["2"]


@pytest.mark.parametrize("verb", ["finish", "release"])
def test_a_worker_holds_its_queue_with_the_end_of_its_lease(driver: Driver, verb: str) -> None:
    driver.enqueue(new_job("1", burst=9), new_job("2"))
    lease = driver.dequeue(1)[0].lease
    act = driver.finish if verb == "finish" else driver.release
    assert act("1", lease, hold_us=MINUTE_US) == DONE
    assert ready_in(driver) == MINUTE_US
    driver.advance(SECOND_US)
    assert act("1", lease, hold_us=MINUTE_US) == DONE, "a repetition"
    assert ready_in(driver) == 59 * SECOND_US


def test_a_hold_outlives_a_clock_that_stepped_back_in_a_partition_without_jobs(driver: Driver) -> None:
    driver.interval(SECOND_US, pin=True)
    driver.hold(MINUTE_US)
    driver.advance(-DAY_US)
    driver.enqueue(new_job("1"))
    assert ready_in(driver) == MINUTE_US


# An attempt that does not count.


def test_a_release_that_does_not_count_leaves_the_requeue_limit_alone(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0))
    for _ in range(3):
        job = driver.lease_one()
        assert (job.attempt, job.requeues_remaining) == (1, 0)
        for _ in range(2):
            assert driver.release("1", job.lease, SECOND_US, counts=False) == DONE
        driver.advance(SECOND_US)
    assert driver.release("1", driver.lease_one().lease) == DONE
    assert driver.get_job("1") is not None and driver.list_dead().jobs[0].attempt == 1


def test_an_extend_after_a_release_that_did_not_count_counts_again(driver: Driver) -> None:
    driver.enqueue(new_job("1", requeue_limit=0))
    job = driver.lease_one()
    for _ in range(3):
        driver.release("1", job.lease, HOUR_US, counts=False)
        assert driver.extend("1", job.lease, LEASE_US) == DONE
        status = driver.get_job("1")
        assert status is not None and status.attempt == 1
    driver.advance(LEASE_US)
    assert driver.reap().died == 1


def test_a_deleted_job_that_was_released_without_counting_is_remembered(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    lease = driver.lease_one().lease
    driver.release("1", lease, counts=False)
    driver.delete_queue()
    assert driver.release("1", lease, counts=False) == DONE
    assert driver.finish("1", lease) == LOST


# Leases at one time.


def test_a_queue_never_has_more_leases_than_it_may(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0, max_leased=2) for n in range(9)))
    first, second = driver.dequeue(lease_us=DAY_US)
    queue = driver.get_queue()
    assert (queue.max_leased, queue.leased, queue.blocked_by) == (2, 2, BlockedBy.MAX_LEASED)
    assert queue.next_ready_in_us is None
    reply = driver.dequeue_reply()
    assert (reply.jobs, reply.head_us, reply.due_before) == ([], None, 0)
    driver.finish(first.job_id, first.lease)
    assert driver.dequeue_ids() == ["2"]
    driver.release(second.job_id, second.lease)
    assert driver.dequeue_ids() == ["1"]
    assert_keys_agree(driver)


def test_the_end_of_a_lease_makes_room_in_the_same_step(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0, max_leased=1, requeue_limit=0) for n in range(3)))
    driver.dequeue(lease_us=SECOND_US)
    driver.advance(SECOND_US)
    assert driver.reap().died == 1
    assert driver.get_queue().blocked_by is None
    assert driver.dequeue(lease_us=SECOND_US)[0].job_id == "1"
    driver.advance(SECOND_US)
    assert driver.dequeue_ids() == ["2"]


def test_a_finish_tells_when_the_queue_is_ready_again(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), max_leased=1) for n in range(3)))
    job = driver.lease_one()
    functions, ref = driver.functions, (TYPE, "q", job.job_id, job.lease)
    call = functions.finish(0, TYPE, [FinishJob(*ref)], now_us=driver.now_us)
    assert driver.reply(call).hint.ready_us == driver.now_us + SECOND_US


def test_an_extend_does_not_lease_a_job_again_in_a_full_queue(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0, max_leased=1) for n in range(2)))
    first = driver.lease_one()
    driver.release("0", first.lease, HOUR_US)
    second = driver.lease_one()
    assert driver.extend("0", first.lease, LEASE_US) == LOST
    assert driver.extend("1", second.lease, DAY_US) == DONE
    driver.finish("1", second.lease)
    assert driver.extend("0", first.lease, LEASE_US) == DONE
    assert driver.get_queue().leased == 1


def test_a_lower_limit_takes_no_lease_away(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0) for n in range(5)))
    held = driver.dequeue(4, lease_us=DAY_US)
    driver.enqueue(new_job("9", interval_us=0, max_leased=2))
    driver.finish(held[0].job_id, held[0].lease)
    assert driver.dequeue() == []
    assert driver.extend(held[1].job_id, held[1].lease, DAY_US) == DONE
    driver.finish(held[1].job_id, held[1].lease)
    assert driver.dequeue() == []
    driver.finish(held[2].job_id, held[2].lease)
    assert driver.dequeue_ids() == ["4"]


def test_leases_of_a_deleted_queue_count_until_they_end(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0, max_leased=1) for n in range(2)))
    driver.lease_one()
    driver.delete_queue()
    driver.enqueue(new_job("2", interval_us=0))
    assert driver.dequeue() == []
    driver.advance(LEASE_US)
    assert driver.dequeue_ids() == ["2"]


# Settings.


def test_settings_create_a_queue_outlive_a_year_and_win_over_an_enqueue(driver: Driver) -> None:
    set_to = QueueSettings(interval_us=HOUR_US, burst=2.5, max_leased=3, weight=7)
    queue = driver.set_queue(set_to)
    assert (queue.interval_us, queue.burst, queue.max_leased, queue.weight) == (HOUR_US, 2.5, 3, 7)
    assert queue.settings == ("interval", "max_leased", "weight", "burst")
    assert queue == driver.get_queue()
    driver.advance(365 * DAY_US)
    driver.reap()
    driver.enqueue(new_job("1", interval_us=5, burst=9, max_leased=1))
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst, queue.max_leased, queue.weight) == (HOUR_US, 2.5, 3, 7)
    driver.delete_queue(purge=True)
    driver.advance(365 * DAY_US)
    driver.reap()
    assert driver.get_queue().max_leased == 3


def test_cleared_settings_leave_the_queue_to_its_enqueues(driver: Driver) -> None:
    driver.set_queue(QueueSettings(interval_us=HOUR_US, burst=2.5, max_leased=3, weight=7, pin=True))
    queue = driver.set_queue(
        QueueSettings(interval_us=None, burst=None, max_leased=None, weight=None, pin=None)
    )
    assert (queue.interval_us, queue.burst, queue.max_leased, queue.weight) == (HOUR_US, 1, None, 1)
    assert (queue.settings, queue.is_pinned) == ((), False)
    driver.enqueue(new_job("1", interval_us=5, burst=9, max_leased=1))
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst, queue.max_leased) == (5, 9, 1)
    driver.delete_queue()
    driver.advance(11 * MINUTE_US)
    assert not driver.get_queue().is_known


def test_absent_settings_stay(driver: Driver) -> None:
    driver.set_queue(QueueSettings(max_leased=3, hold_us=HOUR_US))
    driver.set_queue(QueueSettings(weight=2))
    queue = driver.set_queue(QueueSettings())
    assert (queue.max_leased, queue.weight) == (3, 2)
    assert queue.held_until_us == driver.now_us + HOUR_US
    assert driver.set_queue(QueueSettings(hold_us=None)).held_until_us is None


def test_a_queue_that_only_settings_made_takes_its_first_interval_from_a_job(driver: Driver) -> None:
    driver.set_queue(QueueSettings(burst=1.5, max_leased=9, pin=True))
    assert driver.enqueue(new_job("1", interval_us=None))[0].status is EnqueueStatus.NO_INTERVAL
    driver.enqueue(new_job("2", interval_us=SECOND_US, burst=3))
    queue = driver.get_queue()
    assert (queue.interval_us, queue.burst) == (SECOND_US, 1.5)
    driver.enqueue(new_job("3", interval_us=5))
    assert driver.get_queue().interval_us == SECOND_US


def test_a_set_interval_moves_the_waiting_slot_at_once(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=HOUR_US), new_job("2", interval_us=HOUR_US))
    driver.lease_one(lease_us=DAY_US)
    queue = driver.set_queue(QueueSettings(interval_us=SECOND_US))
    assert queue.next_ready_in_us == SECOND_US
    assert wait(driver, SECOND_US) == ["2"]


def test_settings_that_come_too_late_change_nothing(driver: Driver) -> None:
    settings = QueueSettings(max_leased=1)
    call = driver.limits.set_queue(
        0, TYPE, "q", settings, not_after_us=driver.now_us - 1, now_us=driver.now_us
    )
    assert driver.reply(call).is_expired
    assert driver.store_keys() == set()


# The reason why nothing comes.


def test_the_first_reason_is_told(driver: Driver) -> None:
    assert driver.get_queue().blocked_by is BlockedBy.EMPTY
    driver.enqueue(new_job("1", delay_us=SECOND_US, max_leased=1), new_job("2", delay_us=SECOND_US))
    assert driver.get_queue().blocked_by is BlockedBy.DELAYED
    driver.advance(SECOND_US)
    lease = driver.lease_one(lease_us=DAY_US).lease
    assert driver.get_queue().blocked_by is BlockedBy.MAX_LEASED
    driver.finish("1", lease)
    assert driver.get_queue().blocked_by is BlockedBy.RATE
    driver.advance(SECOND_US)
    assert driver.get_queue().blocked_by is None
    driver.hold(SECOND_US)
    assert driver.get_queue().blocked_by is BlockedBy.HOLD
    driver.pause(True)
    assert driver.get_queue().blocked_by is BlockedBy.PAUSED
    driver.pause(False)
    driver.finish("2", driver.lease_one().lease)
    assert driver.get_queue().blocked_by is BlockedBy.EMPTY


# The records.


def test_a_queue_that_uses_no_limit_has_no_bytes_of_them(driver: Driver) -> None:
    driver.enqueue(new_job("1"))
    plain = len(stored(driver))
    driver.set_queue(QueueSettings(max_leased=3, hold_us=SECOND_US))
    assert len(stored(driver)) == plain + 15
    driver.set_queue(QueueSettings(max_leased=None))
    driver.advance(SECOND_US)
    driver.lease_one()
    assert len(stored(driver)) == plain


def test_every_field_at_its_largest_is_kept(driver: Driver) -> None:
    year_us = 365 * DAY_US
    queue_id, job_id = "q" * 100, "j" * 100
    settings = QueueSettings(
        interval_us=year_us, burst=1_000_000.99, pin=True, max_leased=MAX_LEASED, weight=MAX_WEIGHT,
        hold_us=MAX_HOLD_US,
    )  # fmt: skip
    driver.set_queue(settings, queue_id)
    job = new_job(job_id, queue_id, requeue_limit=2**31 - 1, cost=MAX_COST, delay_us=year_us)
    driver.enqueue(job)
    queue = driver.get_queue(queue_id)
    assert (queue.interval_us, queue.burst, queue.max_leased) == (year_us, 1_000_000.99, MAX_LEASED)
    assert (queue.weight, queue.held_until_us) == (MAX_WEIGHT, driver.now_us + MAX_HOLD_US)
    driver.advance(year_us)
    (leased,) = driver.dequeue(lease_us=DAY_US)
    assert (leased.cost, leased.payload) == (MAX_COST, job.payload)
    assert driver.get_queue(queue_id).next_ready_in_us is None
    raw = stored(driver, "jobs", f"{queue_id}:{job_id}")
    assert raw[1] == 55
    assert parse_job(f"{queue_id}:{job_id}".encode(), raw).cost == MAX_COST
    driver.release(job_id, leased.lease, cost=MAX_COST, hold_us=MAX_HOLD_US, counts=False, queue_id=queue_id)
    assert_keys_agree(driver)


def test_limits_stand_before_the_bytes_of_a_newer_version(driver: Driver) -> None:
    driver.enqueue(new_job("1", cost=3))
    raw = stored(driver)
    driver.client.hset(driver.key("queues"), "q", raw + b"NEWER")
    driver.set_queue(QueueSettings(max_leased=3))
    raw = stored(driver)
    life = bytes(41 + 5 + 11)
    assert raw[-77:] == struct.pack(">BI7sBBB", 2, 3, b"", 0, 0, 0) + life + b"NEWER"
    driver.lease_one()
    driver.set_queue(QueueSettings(max_leased=None))
    raw = stored(driver)
    assert raw.endswith(b"NEWER")
    assert driver.get_queue().max_leased is None
