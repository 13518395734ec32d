"""The walk over the waiting jobs of a queue, which removes those that have expired."""

from __future__ import annotations

import pytest

from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, START_US, TYPE, Driver
from tests.scheduler.drivers.expiring import dead_ids, mortal, settle
from tests.scheduler.stored.readiness import stored
from tests.scheduler.stored.records import assert_keys_agree, parse, parse_queue, read_raw


def test_a_walk_finds_expired_jobs_behind_others(driver: Driver) -> None:
    driver.enqueue(mortal("1", None), mortal("2"), mortal("3", None, priority=9), mortal("4", priority=9))
    driver.enqueue(mortal("5", delay_us=SECOND_US, requeue_limit=3), mortal("6", HOUR_US, delay_us=MINUTE_US))
    driver.advance(MINUTE_US)
    assert settle(driver) == 3
    assert sorted(dead_ids(driver)) == ["2", "4", "5"]
    assert driver.dequeue_ids() == ["1", "6", "3"]
    assert_keys_agree(driver)


def test_a_dequeue_leaves_the_walk_to_the_reaper(driver: Driver) -> None:
    driver.enqueue(mortal("live", None), mortal("expired"), mortal("last", None))
    driver.advance(MINUTE_US)
    reply = driver.dequeue_reply(1)
    assert ([job.job_id for job in reply.jobs], reply.expired) == (["live"], 0)
    assert_keys_agree(driver)
    assert driver.reap().expired == 1
    assert driver.get_queue().queued == 1


def test_walks_that_wait_for_the_reaper_do_not_hide_the_ends_of_leases(driver: Driver) -> None:
    """A dequeue looks at sixteen timers."""
    for queue in range(20):
        driver.enqueue(mortal("1", queue_id=f"q{queue}"))
        driver.pause(True, f"q{queue}")
    driver.enqueue(mortal("2", None, "z"))
    driver.dequeue(1, lease_us=2 * MINUTE_US)
    driver.advance(2 * MINUTE_US)
    leased: list[str] = []
    for _ in range(3):
        leased += driver.dequeue_ids()
        driver.advance(1)
    assert leased == ["2"]
    assert settle(driver) == 20
    assert_keys_agree(driver)


@pytest.mark.parametrize("is_held", [True, False])
def test_jobs_expire_in_a_paused_or_held_queue(driver: Driver, is_held: bool) -> None:
    driver.enqueue(mortal("1"), mortal("2", None))
    if is_held:
        driver.hold(HOUR_US)
    else:
        driver.pause(True)
    driver.advance(MINUTE_US)
    assert settle(driver) == 1
    assert driver.get_queue().queued == 1
    assert_keys_agree(driver)


def test_one_timer_stands_for_all_jobs_of_a_queue(driver: Driver) -> None:
    driver.enqueue(*(mortal(str(n), MINUTE_US + n) for n in (5, 3, 9)))
    timers = parse(read_raw(driver), TYPE).timers
    assert {timer: at for timer, at in timers.items() if timer[:1] == b"E"} == {
        b"Eq": START_US + MINUTE_US + 3
    }
    driver.advance(MINUTE_US + 3)
    assert settle(driver) == 1
    assert parse_queue(stored(driver)).expires_from_us == START_US + MINUTE_US + 5
    driver.advance(6)
    assert settle(driver) == 2
    assert parse_queue(stored(driver)).expires_from_us == 0
    assert_keys_agree(driver)


def test_a_queue_without_expiring_jobs_has_no_bytes_for_them(driver: Driver) -> None:
    driver.enqueue(mortal("1", None), mortal("2"))
    driver.advance(MINUTE_US)
    settle(driver)
    assert len(stored(driver)) == 72


def test_a_long_walk_goes_on_where_it_was_and_notes_what_comes_meanwhile(driver: Driver) -> None:
    for page in range(5):
        driver.enqueue(*(mortal(f"{page}-{n}", HOUR_US if n % 2 else MINUTE_US) for n in range(100)))
    driver.advance(MINUTE_US)
    driver.reap()
    assert parse_queue(stored(driver)).walk_class
    driver.enqueue(mortal("soon", SECOND_US, priority=1), mortal("later", 2 * HOUR_US, delay_us=HOUR_US))
    assert_keys_agree(driver)
    while parse_queue(stored(driver)).walk_class:
        driver.advance(10_000)
        driver.reap()
        assert_keys_agree(driver)
    assert driver.totals().dead == 250
    assert parse_queue(stored(driver)).expires_from_us == START_US + MINUTE_US + SECOND_US
    driver.advance(SECOND_US)
    for _ in range(10):
        driver.advance(10_000)
        driver.reap()
    assert "soon" in dead_ids(driver) + [letter.job_id for letter in driver.list_dead(limit=1000).jobs]


def test_a_walk_rests_in_proportion_to_what_it_saw_in_vain(driver: Driver) -> None:
    for page in range(3):
        driver.enqueue(*(mortal(f"{page}-{n}", HOUR_US) for n in range(100)))
    driver.enqueue(mortal("first"))
    driver.advance(MINUTE_US)
    reply = driver.reap()
    assert reply.next_timer_us is not None
    assert 20_000 <= reply.next_timer_us - driver.now_us <= 40_000


def test_a_walk_of_expired_jobs_does_not_rest(driver: Driver) -> None:
    for page in range(5):
        driver.enqueue(*(mortal(f"{page}-{n}") for n in range(100)))
    driver.advance(MINUTE_US)
    assert [driver.reap().expired for _ in range(3)] == [200, 200, 100]
    assert driver.totals().dead == 500
    assert_keys_agree(driver)


def test_a_step_of_a_walk_is_bounded_in_bytes(driver: Driver) -> None:
    payload = b'"' + b"x" * 65_536 + b'"'
    driver.enqueue(*(mortal(str(n), payload=payload) for n in range(9)))
    driver.enqueue(*(mortal(str(n), payload=payload) for n in range(9, 18)))
    driver.advance(MINUTE_US)
    assert [driver.reap().expired for _ in range(3)] == [8, 8, 2]


def test_walks_of_many_queues_share_a_call(driver: Driver) -> None:
    for queue in range(10):
        driver.enqueue(*(mortal(str(n), queue_id=f"q{queue}") for n in range(30)))
    driver.advance(MINUTE_US)
    first = driver.reap()
    assert 200 <= first.expired <= 220 and first.handled >= 100
    assert first.expired + settle(driver) == 300
    assert_keys_agree(driver)


def test_a_deleted_queue_has_nothing_to_expire(driver: Driver) -> None:
    driver.enqueue(*(mortal(str(n)) for n in range(50)))
    driver.delete_queue(limit=3)
    driver.enqueue(mortal("new", 2 * MINUTE_US))
    driver.advance(MINUTE_US)
    assert settle(driver) == 0
    assert (driver.totals().cancelled, driver.totals().dead) == (50, 0)
    assert driver.dequeue_ids() == ["new"]
    assert_keys_agree(driver)


def test_a_queue_without_jobs_is_forgotten_with_its_timer(driver: Driver) -> None:
    driver.enqueue(mortal("1", DAY_US))
    driver.finish("1", driver.lease_one().lease)
    driver.advance(HOUR_US)
    settle(driver)
    assert driver.client.zcard(driver.key("timers")) == 0
    assert driver.client.hlen(driver.key("queues")) == 0


def test_a_walk_keeps_the_time_of_jobs_that_come_back_in_its_call(driver: Driver) -> None:
    driver.enqueue(mortal("1", 2 * MINUTE_US), mortal("2"))
    driver.dequeue(1, lease_us=MINUTE_US)
    driver.advance(MINUTE_US)
    assert driver.reap().expired == 1
    assert_keys_agree(driver)
    driver.advance(MINUTE_US)
    assert driver.reap().expired == 1


def test_a_walk_survives_a_clock_that_steps_back(driver: Driver) -> None:
    for page in range(3):
        driver.enqueue(*(mortal(f"{page}-{n}", HOUR_US if n % 2 else MINUTE_US) for n in range(100)))
    driver.advance(MINUTE_US)
    driver.reap()
    driver.advance(-HOUR_US)
    for _ in range(10):
        driver.advance(20_000)
        driver.reap()
    assert driver.totals().dead == 150
    assert_keys_agree(driver)


def test_a_queue_that_counts_as_forgotten_goes_with_its_timer(driver: Driver) -> None:
    """A record without the timer would never be walked again if the partition's time were taken back."""
    driver.enqueue(mortal("1"))
    driver.delete_queue()
    driver.advance(HOUR_US)
    assert driver.reap(1).handled == 1
    assert parse(read_raw(driver), TYPE).queues == {}
    assert_keys_agree(driver)
