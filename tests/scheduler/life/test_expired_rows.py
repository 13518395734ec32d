"""Expired jobs that stand in a row go together, and nothing else goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from sharq_core.job_life import OnExpiry, RedriveStatus, Retry
from sharq_core.models import NewJob
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US, Driver
from tests.scheduler.drivers.expiring import dead_ids, mortal, settle
from tests.scheduler.stored.batches import WAITED
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import is_full

KINDS: dict[str, dict[str, Any]] = {
    "live": {"expires_us": None},
    "later": {"expires_us": HOUR_US},
    "expired": {},
    "expired, with a cost and a retry policy": {"cost": 3, "retry": Retry(1_000)},
    "dropped": {"on_expiry": OnExpiry.DROP},
    "of a batch": {"batch": "b"},
    "traced": {"trace": b"t" * 25},
}
STAYS = {"live", "later"}
SEEDS = range(6 if is_full() else 1)


def mixed(seed: int, *, priorities: Sequence[int], queues: int) -> dict[str, NewJob]:
    """Jobs of all kinds in rows of random length, by ids that begin with their kind."""
    random = Random(seed)
    jobs: dict[str, NewJob] = {}
    while len(jobs) < 240:
        kind, priority = random.choice(list(KINDS)), random.choice(priorities)
        queue_id = f"q{random.randrange(queues)}"
        for _ in range(random.choice((1, 2, 3, 4, 5, 9, 30))):
            job = mortal(f"{kind} {len(jobs)}", queue_id=queue_id, priority=priority, **KINDS[kind])
            jobs[job.job_id] = job
    return jobs


def enqueue(driver: Driver, jobs: Sequence[NewJob]) -> None:
    for first in range(0, len(jobs), 100):
        driver.enqueue(*jobs[first : first + 100])


def assert_gone(driver: Driver, jobs: dict[str, NewJob]) -> None:
    """All jobs that expired are dead letters or were dropped, and no other job is."""
    gone = {job_id for job_id in jobs if job_id.partition(" ")[0].rstrip(",") not in STAYS}
    dropped = {job_id for job_id in gone if jobs[job_id].on_expiry is OnExpiry.DROP}
    found = {letter.job_id for letter in driver.list_dead(limit=1000).jobs}
    assert found == gone - dropped
    totals = driver.totals()
    assert (totals.dead, totals.cancelled) == (len(found), len(dropped))
    assert_keys_agree(driver)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("priorities", "queues"), [((5,), 1), ((1, 5, 9), 1), ((5,), 4)])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_dequeues_lease_every_live_job_in_order_and_no_other(
    driver: Driver, seed: int, priorities: tuple[int, ...], queues: int, count: int
) -> None:
    jobs = mixed(seed, priorities=priorities, queues=queues)
    enqueue(driver, list(jobs.values()))
    driver.advance(MINUTE_US)
    leased: list[tuple[str, str]] = []
    while driver.totals().queued:
        reply = driver.dequeue_reply(count, lease_us=HOUR_US)
        leased += [(job.queue_id, job.job_id) for job in reply.jobs]
        assert_keys_agree(driver)
    for queue in range(queues):
        own = [job for job in jobs.values() if job.queue_id == f"q{queue}"]
        wanted = [job.job_id for job in sorted(own, key=lambda job: job.priority or 5)]
        wanted = [job_id for job_id in wanted if job_id.partition(" ")[0] in STAYS]
        assert [job_id for queue_id, job_id in leased if queue_id == f"q{queue}"] == wanted
    assert_gone(driver, jobs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("priorities", "queues"), [((5,), 1), ((1, 5, 9), 1), ((5,), 4)])
def test_walks_remove_every_expired_job_and_no_other(
    driver: Driver, seed: int, priorities: tuple[int, ...], queues: int
) -> None:
    jobs = mixed(seed, priorities=priorities, queues=queues)
    enqueue(driver, list(jobs.values()))
    driver.advance(MINUTE_US)
    for _ in range(20):
        driver.reap(most_us=1_000)
        assert_keys_agree(driver)
        driver.advance(50_000)
    assert_gone(driver, jobs)


def test_a_job_whose_place_is_between_expired_ones_of_another_queue_stays(driver: Driver) -> None:
    """The places of all queues of a type are in one key, and a row is removed from it as a range."""
    for queue_id in ("a", "b", "c"):
        is_live = queue_id == "b"
        driver.enqueue(*(mortal(str(n), None if is_live else MINUTE_US, queue_id) for n in range(20)))
    driver.advance(MINUTE_US)
    assert settle(driver) == 40
    assert [job.queue_id for job in driver.dequeue()] == ["b"] * 20


@pytest.mark.parametrize("is_swept", [True, False])
def test_jobs_of_a_deleted_queue_in_a_row_of_expired_ones_are_not_expired(
    driver: Driver, *, is_swept: bool
) -> None:
    driver.enqueue(*(mortal(f"old{n}", priority=5) for n in range(30)))
    driver.delete_queue(limit=10)
    driver.enqueue(*(mortal(f"new{n}", priority=5) for n in range(30)), mortal("live", None))
    driver.advance(MINUTE_US)
    if is_swept:
        settle(driver)
    assert driver.dequeue_ids() == ["live"]
    settle(driver)
    assert sorted(dead_ids(driver)) == sorted(f"new{n}" for n in range(30))
    assert (driver.totals().dead, driver.totals().cancelled) == (30, 30)
    assert_keys_agree(driver)


def test_an_expired_job_replaces_the_dead_letter_of_its_id(driver: Driver) -> None:
    """The numbers of dead letters follow, although the letters of a row are written at once."""
    for _ in range(2):
        driver.enqueue(*(mortal(str(n)) for n in range(30)))
        driver.advance(MINUTE_US)
        driver.reap()
    driver.enqueue(*(mortal(str(n)) for n in range(20, 50)))
    driver.advance(MINUTE_US)
    assert driver.dequeue_reply().expired == 30
    assert (driver.get_queue().dead, driver.totals().dead, driver.totals().cancelled) == (50, 50, 40)
    assert_keys_agree(driver)


def test_reaps_go_on_until_no_dead_letter_is_too_many(driver: Driver) -> None:
    driver.functions.retention = replace(driver.functions.retention, dead=10)
    for page in range(4):
        driver.enqueue(*(mortal(f"{page}-{n}") for n in range(100)))
    driver.advance(MINUTE_US)
    assert settle(driver) == 400
    assert (driver.totals().dead, driver.totals().cancelled, driver.get_queue().dead) == (10, 390, 10)
    assert_keys_agree(driver)


def test_the_oldest_dead_letters_go_when_there_are_too_many(driver: Driver) -> None:
    driver.functions.retention = replace(driver.functions.retention, dead=45)
    for part, queue_id in enumerate("abc"):
        driver.enqueue(*(mortal(f"{part}-{n:02}", queue_id=queue_id) for n in range(30)))
        driver.advance(MINUTE_US)
        driver.reap()
        assert_keys_agree(driver)
    assert [driver.get_queue(queue_id).dead for queue_id in "abc"] == [0, 15, 30]
    assert dead_ids(driver)[:15] == [f"1-{n}" for n in range(15, 30)]
    assert driver.totals().cancelled == 45


@pytest.mark.parametrize(
    ("fields", "letter_format"),
    [({}, 1), ({"burst": 1.5}, 2), ({"max_leased": 2}, 2), ({"caps": ("brand",), "max_leased": 2}, 4)],
)
def test_a_letter_of_a_row_keeps_what_a_forgotten_queue_had(
    driver: Driver, fields: dict[str, Any], letter_format: int
) -> None:
    """The record in it is that of the waiting job, behind the same fields as in any other letter."""
    driver.enqueue(*(mortal(str(n), interval_us=SECOND_US, **fields) for n in range(5)))
    before = driver.get_queue()
    driver.advance(MINUTE_US)
    assert settle(driver) == 5
    letters = driver.client.hvals(driver.key("deadjobs"))
    assert {letter[0] for letter in letters} == {letter_format + WAITED}
    driver.advance(HOUR_US)
    settle(driver)
    assert driver.get_queue().interval_us == 0, "the queue is forgotten"
    assert driver.redrive("3") == [RedriveStatus.QUEUED]
    after = driver.get_queue()
    kept = [(queue.interval_us, queue.burst, queue.max_leased, queue.caps) for queue in (before, after)]
    assert kept[0] == kept[1]
    assert after.queued == 1
    assert_keys_agree(driver)
