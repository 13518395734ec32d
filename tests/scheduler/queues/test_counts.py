"""Counts of enqueued and leased jobs by the minute: of a queue, and of a partition whose types come and go."""

from __future__ import annotations

from sharq_core.scheduler.replies import minute_counts
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Driver, new_job


def test_counts_cover_the_current_minute_and_the_nine_before(driver: Driver) -> None:
    for minute in range(12):
        driver.enqueue(*(new_job(f"{minute}-{n}", interval_us=0) for n in range(minute + 1)))
        driver.dequeue()
        driver.advance(60 * SECOND_US)
    driver.advance(-60 * SECOND_US)
    queue = driver.get_queue()
    assert [count for _, count in queue.enqueue_counts] == list(range(3, 13))
    minutes = driver.get_counts().minutes
    assert sorted(row[1] for row in minutes) == list(range(3, 13))


def test_a_minute_that_comes_again_goes_on_with_its_counts(driver: Driver) -> None:
    """A clock that stepped back: nothing is counted twice and nothing is forgotten."""
    for minute in range(4):
        driver.enqueue(new_job(f"{minute}", interval_us=0))
        driver.advance(MINUTE_US)
    driver.advance(-3 * MINUTE_US)
    driver.enqueue(new_job("again", interval_us=0), new_job("and again", interval_us=0))
    driver.advance(2 * MINUTE_US)
    queue, partition = (
        driver.get_queue().enqueue_counts,
        minute_counts(driver.now_us, driver.get_counts().minutes, 1),
    )
    assert [count for _, count in queue][-4:] == [1, 3, 1, 1]
    assert partition == queue
    driver.enqueue(new_job("at last", interval_us=0))
    assert [count for _, count in driver.get_queue().enqueue_counts][-4:] == [1, 3, 1, 2]


def test_a_type_that_is_gone_is_still_in_the_counts_of_its_minute(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0))
    driver.delete_queue(purge=True)
    driver.reap()
    assert driver.totals().enqueued == 0
    assert minute_counts(driver.now_us, driver.get_counts().minutes, 1)[-1][1] == 1


def test_minutes_of_a_type_that_rested_do_not_take_the_place_of_newer_ones(driver: Driver) -> None:
    """Two minutes, twenty apart, share a field of the counters."""
    for queue_type, minutes in (("sms", 0), ("voice", 20), ("voice", 1), ("sms", 0)):
        driver.advance(minutes * MINUTE_US)
        driver.queue_type = queue_type
        driver.enqueue(new_job(f"{driver.now_us}", queue_type=queue_type))
    counts = minute_counts(driver.now_us, driver.get_counts().minutes, 1)
    assert [count for _, count in counts[-2:]] == [1, 2]


def test_counts_heal_after_a_clock_that_was_a_day_ahead(driver: Driver) -> None:
    driver.advance(DAY_US)
    for number in range(42):
        if number == 12:
            driver.advance(-DAY_US)
        driver.enqueue(new_job(f"{number}", interval_us=0))
        driver.advance(MINUTE_US)
    counts = minute_counts(driver.now_us, driver.get_counts().minutes, 1)
    assert [count for _, count in counts] == [1] * 9 + [0]


def test_minutes_before_a_step_ahead_are_shown_again_when_the_clock_is_set_back(driver: Driver) -> None:
    """Only the last minute before the step is lost: it is ten minutes old when the queue counts its next one."""
    for minute in range(3):
        driver.enqueue(*(new_job(f"{minute}-{number}", interval_us=0) for number in range(minute + 1)))
        driver.advance(MINUTE_US)
    driver.advance(HOUR_US)
    driver.enqueue(new_job("ahead", interval_us=0))
    assert [count for _, count in driver.get_queue().enqueue_counts] == [0] * 9 + [1]
    driver.advance(-HOUR_US)
    driver.enqueue(new_job("back", interval_us=0))
    assert [count for _, count in driver.get_queue().enqueue_counts] == [0] * 6 + [1, 2, 0, 1]


def test_a_minute_stays_until_a_later_one_takes_its_place(driver: Driver) -> None:
    """Two minutes are ten minutes old when the next one is counted, and that takes the place of the first only."""
    driver.advance(-driver.now_us % MINUTE_US)
    for minutes in (0, 1, 8, 2):
        driver.advance(minutes * MINUTE_US)
        driver.enqueue(new_job(f"after {minutes}", interval_us=0))
    driver.advance(-SECOND_US)
    assert [count for _, count in driver.get_queue().enqueue_counts] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
