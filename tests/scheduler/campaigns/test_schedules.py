"""Schedules in the store: one firing for each slot, versions of changes, and the bounds of a partition."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import OutOfMemoryError

from sharq_core.campaigns.schedules import Schedule, ScheduleChange, ScheduleRule, ScheduleStatus
from sharq_core.models import EnqueueStatus, NewJob
from sharq_core.scheduler import library
from sharq_core.scheduler.campaigns.schedule_calls import Fired, FireStatus, ScheduleCalls
from sharq_core.store.failures import OtherData, refusal
from tests.scheduler.drivers.driver import MINUTE_US, SECOND_US, START_US, Driver, new_job
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.stores.server import StoreFactory

EVERY_MINUTE = ScheduleRule(every_us=MINUTE_US)
MOST = 20_000


class Partition:
    """One partition with schedules, at a clock that only the test moves."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.calls = ScheduleCalls(driver.keys, driver.functions)

    def put(
        self, name: str = "daily", version: int = 1, slot_us: int | None = START_US, job: NewJob | None = None
    ) -> ScheduleChange:
        return self.driver.value(
            self.calls.put_schedule(
                0,
                name,
                version,
                EVERY_MINUTE,
                slot_us,
                job or new_job("", interval_us=0),
                b"{}",
                is_paused=False,
                now_us=self.driver.now_us,
            )
        )

    def get(self, name: str = "daily") -> Schedule:
        schedule = self.driver.value(self.calls.get_schedule(0, name, now_us=self.driver.now_us)).schedule
        assert schedule is not None
        return schedule

    def fire(self, known: Schedule, slot_us: int | None = None) -> Fired:
        slot_us = known.slot_us if slot_us is None else slot_us
        assert slot_us is not None
        call = self.calls.fire_schedule(0, known, slot_us, slot_us + MINUTE_US, now_us=self.driver.now_us)
        return self.driver.value(call)


@pytest.fixture
def partition(driver: Driver) -> Partition:
    return Partition(driver)


def test_a_firing_enqueues_the_job_and_sets_the_next_slot_in_one_step(partition: Partition) -> None:
    partition.put(
        job=new_job("", "globex", payload=b'{"text":"hello"}', interval_us=0, requeue_limit=3, cost=2)
    )
    assert partition.fire(partition.get()) == Fired(FireStatus.FIRED, EnqueueStatus.QUEUED)
    after = partition.get()
    assert (after.slot_us, after.last_slot_us, after.fired) == (START_US + MINUTE_US, START_US, 1)
    job = partition.driver.lease_one()
    assert (job.queue_id, job.job_id, job.payload) == (
        "globex",
        f"daily@{START_US // 1000}",
        b'{"text":"hello"}',
    )
    assert (job.requeues_remaining, job.cost) == (3, 2)
    assert_keys_agree(partition.driver)


def test_two_owners_that_fire_at_once_enqueue_one_job(partition: Partition) -> None:
    partition.put()
    known = partition.get()
    assert [partition.fire(known).status for _ in range(2)] == [FireStatus.FIRED, FireStatus.STALE]
    assert partition.driver.get_queue().queued == 1
    assert partition.get().fired == 1


def test_a_slot_is_fired_once_even_if_the_record_comes_back_from_before(partition: Partition) -> None:
    """A failover may undo the record and not the job, if these are restored apart; the job's id says it."""
    partition.put()
    partition.fire(partition.get())
    partition.put(version=2)
    assert partition.fire(partition.get()) == Fired(FireStatus.FIRED, EnqueueStatus.DUPLICATE)
    job = partition.driver.lease_one()
    partition.driver.finish(job.job_id, job.lease)
    partition.put(version=3)
    assert partition.fire(partition.get()).enqueued is EnqueueStatus.DUPLICATE, "it is remembered as finished"
    assert partition.driver.get_queue().queued == 0


def test_a_slot_that_has_not_come_by_the_clock_of_the_store_is_not_fired(partition: Partition) -> None:
    partition.put(slot_us=START_US + 1)
    known = partition.get()
    assert partition.fire(known).status is FireStatus.EARLY
    partition.driver.advance(1)
    assert partition.fire(known).status is FireStatus.FIRED


def test_a_later_slot_is_fired_instead_of_those_that_were_missed(partition: Partition) -> None:
    partition.put()
    partition.driver.advance(10 * MINUTE_US)
    assert partition.fire(partition.get(), START_US + 9 * MINUTE_US).status is FireStatus.FIRED
    after = partition.get()
    assert (after.last_slot_us, after.slot_us) == (START_US + 9 * MINUTE_US, START_US + 10 * MINUTE_US)
    assert partition.driver.dequeue_ids() == [f"daily@{after.last_slot_us // 1000}"]  # type: ignore[operator]


def test_an_enqueue_that_is_refused_still_moves_the_schedule_on_and_shows(partition: Partition) -> None:
    partition.put(job=new_job("", interval_us=None))
    assert partition.fire(partition.get()).enqueued is EnqueueStatus.NO_INTERVAL
    partition.driver.advance(MINUTE_US)
    partition.driver.enqueue(new_job("first"))
    partition.put(version=2, slot_us=START_US + MINUTE_US, job=new_job("", max_queued_length=1))
    assert partition.get().last_status == EnqueueStatus.NO_INTERVAL, (
        "a change keeps what the schedule has done"
    )
    assert partition.fire(partition.get()).enqueued is EnqueueStatus.FULL
    after = partition.get()
    assert (after.last_status, after.fired) == (EnqueueStatus.FULL, 2)
    assert after.slot_us == START_US + 2 * MINUTE_US


def test_a_change_of_a_lower_version_never_replaces_a_higher_one(partition: Partition) -> None:
    partition.put(version=5)
    refused = ScheduleChange(ScheduleStatus.SUPERSEDED, 5)
    calls, driver = partition.calls, partition.driver
    assert partition.put(version=4) == refused
    assert driver.value(calls.drop_schedule(0, "daily", 4, now_us=driver.now_us)) == refused
    pause = calls.pause_schedule(0, "daily", 4, 5, None, is_paused=True, now_us=driver.now_us)
    assert driver.value(pause) == refused
    assert (
        driver.value(calls.drop_schedule(0, "daily", 6, now_us=driver.now_us)).status is ScheduleStatus.DONE
    )
    assert partition.put(version=5) == ScheduleChange(ScheduleStatus.SUPERSEDED, 6), "late, after a drop"
    assert partition.put(version=7).status is ScheduleStatus.DONE


def test_the_record_of_a_dropped_schedule_is_kept_for_ten_minutes(partition: Partition) -> None:
    calls, driver = partition.calls, partition.driver
    driver.value(calls.drop_schedule(0, "daily", 6, now_us=driver.now_us))
    for wait_us, is_gone in ((0, False), (10 * MINUTE_US - 1, False), (1, True)):
        driver.advance(wait_us)
        page = driver.value(calls.list_schedules(0, 0, 100, now_us=driver.now_us))
        assert page.dropped == ([("daily", 6)] if is_gone else [])
        assert driver.value(calls.forget_schedule(0, "daily", 6, now_us=driver.now_us)) is is_gone
    assert driver.store_keys() == set()


def test_a_partition_has_a_bound_of_schedules_and_an_existing_one_may_still_change(
    partition: Partition,
) -> None:
    driver = partition.driver
    partition.put("first")
    driver.client.hset(driver.key("schedule_jobs"), mapping={f"s{n}": b"" for n in range(MOST - 1)})
    assert partition.put("more").status is ScheduleStatus.FULL
    assert driver.value(partition.calls.get_schedule(0, "more", now_us=driver.now_us)).schedule is None
    assert partition.put("first", version=2).status is ScheduleStatus.DONE


def test_a_schedule_of_another_data_set_is_refused_before_any_write(partition: Partition) -> None:
    partition.driver.functions.data_id = b"another"
    with pytest.raises(redis.ResponseError) as raised:
        partition.put()
    assert isinstance(refusal(raised.value), OtherData)
    assert partition.driver.store_keys() == set()


def test_a_full_store_refuses_schedules_and_firings_and_lets_schedules_be_dropped(
    own_store: StoreFactory, prefix: str
) -> None:
    with own_store().client(timeout_s=20.0) as client:
        client.function_load(library.source())
        partition = Partition(Driver(client, prefix))
        partition.put()
        known = partition.get()
        client.config_set("maxmemory", "1mb")
        for refused in (lambda: partition.put("more"), lambda: partition.fire(known)):
            with pytest.raises(OutOfMemoryError):
                refused()
        assert partition.get() == known, "it fires when the store has room again"
        driver = partition.driver
        change = driver.value(partition.calls.drop_schedule(0, "daily", 2, now_us=driver.now_us))
        assert change.status is ScheduleStatus.DONE


def test_a_firing_that_comes_late_does_nothing(partition: Partition) -> None:
    partition.put()
    known, now_us = partition.get(), partition.driver.now_us
    call = partition.calls.fire_schedule(
        0, known, START_US, None, not_after_us=now_us, now_us=now_us + SECOND_US
    )
    assert partition.driver.reply(call).is_expired
    assert partition.get() == known
