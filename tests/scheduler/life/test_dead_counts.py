"""The number of dead letters of each queue, which is kept beside the letters, and the pages of queues that show it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sharq_core.job_life import RedriveStatus
from sharq_core.limits import QueueSettings
from sharq_core.top_queues import TopOrder
from tests.scheduler.drivers.driver import (
    DAY_US,
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    SECOND_US,
    Driver,
    execute,
    new_job,
)
from tests.scheduler.stored.records import assert_keys_agree


def kill(driver: Driver, *keys: str) -> None:
    """Make dead letters of jobs, named `queue_id:job_id`."""
    for key in keys:
        queue_id, _, job_id = key.partition(":")
        driver.enqueue(new_job(job_id, queue_id, interval_us=0, requeue_limit=0))
    for job in driver.dequeue():
        driver.release(job.job_id, job.lease, queue_id=job.queue_id)
    driver.advance(1)


def dead(driver: Driver, *queue_ids: str) -> list[int]:
    """The numbers that the queues tell, alone and in a page alike."""
    listed = driver.list_queue_stats()
    found = [driver.get_queue(queue_id).dead for queue_id in queue_ids]
    assert found == [listed[queue_id].dead for queue_id in queue_ids]
    return found


def test_a_queue_tells_how_many_dead_letters_it_has(driver: Driver) -> None:
    kill(driver, "a:1", "a:2", "b:1")
    driver.enqueue(new_job("1", "c"))
    assert dead(driver, "a", "b", "c") == [2, 1, 0]
    assert driver.redrive("1", queue_id="a") == [RedriveStatus.QUEUED]
    assert driver.redrive("1", "1", queue_id="b") == [RedriveStatus.QUEUED, RedriveStatus.NOT_FOUND]
    assert dead(driver, "a", "b", "c") == [1, 0, 0]
    assert driver.drop_dead() == 1
    assert dead(driver, "a", "b", "c") == [0, 0, 0]
    assert not driver.client.exists(driver.key("deadcounts"))


def test_a_dead_letter_that_replaces_another_counts_once(driver: Driver) -> None:
    for _ in range(3):
        kill(driver, "a:1")
    assert dead(driver, "a") == [1]
    assert_keys_agree(driver)


def test_dead_letters_past_their_retention_or_their_number_no_longer_count(driver: Driver) -> None:
    retention = driver.functions.retention
    driver.functions.retention = replace(retention, dead_us=HOUR_US, dead=2)
    driver.set_queue(QueueSettings(weight=1), "a")
    kill(driver, "a:1", "a:2", "a:3", "b:1")
    driver.reap()
    assert sum(dead(driver, "a", "b")) == 2
    assert_keys_agree(driver)
    driver.advance(HOUR_US)
    driver.reap()
    assert dead(driver, "a") == [0]
    assert_keys_agree(driver)


def test_letters_of_an_older_library_are_left_out_until_the_last_of_them_is_gone(driver: Driver) -> None:
    kill(driver, "a:1", "a:2")
    driver.client.delete(driver.key("deadcounts"))
    kill(driver, "a:3", "a:4")
    assert dead(driver, "a") == [2]
    assert driver.redrive("1", queue_id="a") == [RedriveStatus.QUEUED]
    driver.finish("1", driver.lease_one().lease, "a")
    assert driver.drop_dead(1) == 1
    assert dead(driver, "a") == [2]
    assert driver.drop_dead(2) == 2
    assert not driver.client.exists(driver.key("deadcounts"))
    kill(driver, "a:5")
    assert dead(driver, "a") == [1]
    assert_keys_agree(driver)


def test_a_letter_that_replaces_an_uncounted_one_counts(driver: Driver) -> None:
    kill(driver, "a:1")
    driver.client.delete(driver.key("deadcounts"))
    kill(driver, "a:1")
    assert dead(driver, "a") == [1]


def test_a_node_that_does_not_declare_the_counts_keeps_them(driver: Driver) -> None:
    driver.enqueue(new_job("1", interval_us=0, requeue_limit=0))
    driver.dequeue()
    driver.advance(LEASE_US)
    words: list[Any] = driver.functions.reap(0, driver.queue_type, now_us=driver.now_us).command.words
    assert (words[2], words[13]) == (14, driver.key("deadcounts"))
    found = execute(driver.client, *words[:2], 10, *words[3:13], *words[17:])
    assert found[6] == 1
    assert dead(driver, "q") == [1]
    assert_keys_agree(driver)


def test_a_page_of_queues_shows_each_queue_as_it_is_alone(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), f"q{n}", interval_us=SECOND_US * n) for n in range(50)))
    driver.enqueue(new_job("late", "delayed", delay_us=MINUTE_US, max_leased=3, burst=1.25))
    driver.set_queue(QueueSettings(hold_us=MINUTE_US), "q7")
    driver.pause(True, "q8")
    driver.dequeue(10)
    driver.advance(2 * MINUTE_US)
    found = driver.list_queue_stats(7)
    assert found.keys() == {*(f"q{n}" for n in range(50)), "delayed"}
    for queue_id, queue in found.items():
        assert queue == driver.get_queue(queue_id)


def test_a_queue_with_nothing_but_dead_letters_is_known(driver: Driver) -> None:
    kill(driver, "a:1", "a:2", "b:1")
    driver.advance(DAY_US)
    assert driver.list_queue_stats() == {name: driver.get_queue(name) for name in ("a", "b")}
    assert (driver.get_queue("a").is_known, driver.get_queue("a").dead) == (True, 2)
    assert not driver.get_queue("c").is_known
    driver.drop_dead()
    assert not driver.get_queue("a").is_known


def test_the_pages_of_a_list_together_have_every_queue_with_dead_letters(driver: Driver) -> None:
    gone = [f"gone-{n}" for n in range(1300)]
    for at in range(0, len(gone), 50):
        kill(driver, *(f"{queue_id}:1" for queue_id in gone[at : at + 50]))
    driver.advance(DAY_US // 2)
    there = [f"there-{n}" for n in range(300)]
    for at in range(0, len(there), 50):
        kill(driver, *(f"{queue_id}:1" for queue_id in there[at : at + 50]))
    driver.enqueue(new_job("2", "gone-7"), new_job("1", "without"))
    for count in (7, 100):
        assert driver.list_queue_stats(count).keys() == {*gone, *there, "without"}
        assert driver.list_queue_stats(count, "e-7") == {
            name: driver.get_queue(name) for name in [*gone, *there] if "e-7" in name
        }


def test_a_page_with_dead_letters_has_a_bounded_number(driver: Driver) -> None:
    for at in range(0, 1000, 50):
        kill(driver, *(f"q{n}:1" for n in range(at, at + 50)))
    driver.advance(DAY_US // 2)
    for search in ("", "q"):
        page = driver.value(
            driver.limits.list_queue_stats(0, driver.queue_type, 0, 20, search=search, now_us=driver.now_us)
        )
        assert 0 < len(page.queues) < 100
        assert page.scan


def test_the_queues_with_most_dead_letters_come_first(driver: Driver) -> None:
    kill(driver, "two:1", "two:2", "one:1", "three:1", "three:2", "three:3")
    driver.enqueue(new_job("1", "none"))
    driver.advance(DAY_US)
    assert [(one.queue_id, one.dead) for one in driver.top_queues(TopOrder.DEAD)] == [
        ("three", 3),
        ("two", 2),
        ("one", 1),
    ]
    assert [one.queue_id for one in driver.top_queues(TopOrder.DEAD, limit=1)] == ["three"]


def test_a_search_finds_the_queues_whose_ids_contain_the_text(driver: Driver) -> None:
    ids = [f"customer-{n}" for n in range(300)] + ["Customer-7", "a:7/x", "seven"]
    for at in range(0, len(ids), 100):
        driver.enqueue(*(new_job("1", queue_id) for queue_id in ids[at : at + 100]))
    for text in ("customer-29", "er-7", "7", "a:7", ":7/", "nobody"):
        for count in (5, 100):
            found = driver.list_queue_stats(count, text)
            assert found == {name: driver.get_queue(name) for name in ids if text in name}, text


def test_a_page_of_a_search_compares_and_returns_a_bounded_number(driver: Driver) -> None:
    for at in range(0, 6000, 100):
        driver.enqueue(*(new_job("1", f"q{n}") for n in range(at, at + 100)))
    many = driver.value(driver.limits.list_queue_stats(0, driver.queue_type, 0, 100, search="q"))
    assert 0 < len(many.queues) < 250
    assert many.scan
    none = driver.value(driver.limits.list_queue_stats(0, driver.queue_type, 0, 100, search="nobody"))
    assert none.queues == []
    assert none.scan, "the rest is for further pages"


def test_a_forgotten_queue_is_not_listed(driver: Driver) -> None:
    driver.enqueue(new_job("1"), new_job("2", "kept"))
    driver.finish("1", next(job.lease for job in driver.dequeue() if job.queue_id == "q"))
    driver.advance(DAY_US)
    assert driver.list_queue_stats().keys() == {"kept"}
