"""No call does more than its bounds say, whatever is stored: commands are counted, not milliseconds.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, SECOND_US, Driver, new_job
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import CHOSEN_KINDS

STEPS = 50
"""More bounded calls than any of these tests needs."""


def fill(driver: Driver, queues: int, jobs: int) -> None:
    """Enqueue jobs in each of a number of queues, 100 a call, in one pipeline."""
    made = [
        new_job(str(n), f"q{queue}", interval_us=MINUTE_US) for n in range(jobs) for queue in range(queues)
    ]
    functions = driver.functions
    driver.replies(
        [
            functions.enqueue(0, driver.queue_type, made[at : at + 100], now_us=driver.now_us)
            for at in range(0, len(made), 100)
        ]
    )


def commands_of(client: redis.Redis, action: Callable[[], object]) -> Counter[str]:
    """Count how often the store ran each command during an action, those inside functions included."""

    def calls() -> Counter[str]:
        found: dict[str, dict[str, int]] = client.info("commandstats")
        return Counter({name: row["calls"] for name, row in found.items()})

    before = calls()
    action()
    return calls() - before - Counter({"cmdstat_info": 1})


def test_a_dequeue_runs_sixteen_timers_at_the_most(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(n), interval_us=0) for n in range(40)))
    driver.dequeue()
    driver.advance(LEASE_US)
    assert [len(driver.dequeue()) for _ in range(4)] == [16, 16, 8, 0]


def test_idle_queues_do_not_hide_an_ended_lease_from_a_dequeue(driver: Driver) -> None:
    """Without a reaper, too: in front of the lease's end stand the timers of a hundred queues to forget."""
    fill(driver, queues=100, jobs=1)
    for job in driver.dequeue():
        driver.finish(job.job_id, job.lease, job.queue_id)
    driver.enqueue(new_job("slow"))
    driver.dequeue(lease_us=DAY_US)
    driver.advance(DAY_US)
    found = [job_id for _ in range(8) for job_id in driver.dequeue_ids()]
    assert found == ["slow"]


@pytest.mark.parametrize("lone_client", CHOSEN_KINDS, indirect=True, scope="module")
def test_a_dequeue_costs_the_same_at_20000_ready_queues_as_at_100(lone_driver: Driver) -> None:
    """U2: no call costs with the number of ready queues or handles an unbounded batch."""
    fill(lone_driver, queues=100, jobs=2)
    lone_driver.dequeue(1)  # the first lease of all enters the agenda
    few = commands_of(lone_driver.client, lambda: lone_driver.dequeue(10))
    fill(lone_driver, queues=20_000, jobs=2)
    many = commands_of(lone_driver.client, lambda: lone_driver.dequeue(10))
    assert many == few
    assert sum(few.values()) < 60


def test_a_reap_handles_as_many_timers_as_it_may(driver: Driver) -> None:
    """U2: no call costs with the number of ready queues or handles an unbounded batch."""
    fill(driver, queues=300, jobs=1)
    leased = sum(len(driver.dequeue()) for _ in range(3))
    assert leased == 300
    driver.advance(LEASE_US)
    found = [driver.reap() for _ in range(4)]
    assert [reply.ended for reply in found] == [100, 100, 100, 0]
    assert found[0].next_timer_us == driver.now_us
    assert_keys_agree(driver)


@pytest.mark.parametrize("lone_client", CHOSEN_KINDS, indirect=True, scope="module")
def test_deleting_50000_jobs_is_one_short_call_and_then_bounded_steps(lone_driver: Driver) -> None:
    fill(lone_driver, queues=1, jobs=50_000)
    jobs = lone_driver.key("jobs")
    commands = commands_of(lone_driver.client, lambda: lone_driver.delete_queue("q0"))
    assert sum(commands.values()) < 150
    assert lone_driver.get_queue("q0").queued == 0
    assert lone_driver.client.hlen(jobs) == 49_900
    lone_driver.enqueue(new_job("0", "q0", interval_us=0))
    assert lone_driver.dequeue_ids() == ["0"]
    left = [lone_driver.client.hlen(jobs)]
    while lone_driver.reap().handled > 1:
        left.append(lone_driver.client.hlen(jobs))
        assert left[-2] - left[-1] <= 100
    assert left[-1] == 1
    assert lone_driver.totals().cancelled == 50_000


def test_many_deleted_queues_share_the_bound_of_one_reap_and_leave_room_for_leases(driver: Driver) -> None:
    fill(driver, queues=130, jobs=90)
    driver.enqueue(new_job("waits", "other"))
    driver.advance(1)
    for queue in range(130):
        assert driver.delete_queue(f"q{queue}", limit=10) == 90
    assert driver.dequeue_ids() == ["waits"]
    driver.advance(LEASE_US)
    ended = 0
    for _ in range(STEPS):
        before = driver.client.hlen(driver.key("jobs"))
        ended += driver.reap().ended
        assert before - driver.client.hlen(driver.key("jobs")) <= 100
        driver.advance(1)
        if ended:
            break
    assert ended == 1


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_dead_letters_past_their_bound_go_oldest_first_in_bounded_steps(driver: Driver, limit: int) -> None:
    functions = driver.functions
    functions.retention = type(functions.retention)(dead=10)
    driver.enqueue(*(new_job(f"{n:02}", requeue_limit=0, interval_us=0) for n in range(30)))
    for job in driver.dequeue():
        driver.advance(1)
        driver.release(job.job_id, job.lease)
    for _ in range(STEPS):
        if driver.totals().dead == 10:
            break
        before = driver.totals().dead
        driver.reap(limit)
        assert before - driver.totals().dead <= limit
    assert [letter.job_id for letter in driver.list_dead().jobs] == [f"{n:02}" for n in range(20, 30)]


def test_tombstones_are_bounded_by_count_and_say_when_they_went_too_early(driver: Driver) -> None:
    functions = driver.functions
    functions.retention = type(functions.retention)(tombstones=10)
    for n in range(60):
        driver.enqueue(new_job(str(n), interval_us=0))
        driver.finish(str(n), driver.lease_one().lease)
        turn_us = driver.refresh().turn_us
        if turn_us is not None and turn_us <= driver.now_us:
            driver.turn()
        assert driver.refresh().tombstones <= 22
        driver.advance(SECOND_US)
    assert driver.refresh().forgotten_early == 60 - driver.refresh().tombstones


def test_a_job_alone_costs_few_commands(lone_driver: Driver) -> None:
    """Half of a single call's price is its commands: each is one that another call would have to make up for."""
    client = lone_driver.client
    lone_driver.enqueue(new_job("first", interval_us=0))
    lone_driver.finish("first", lone_driver.lease_one().lease)
    enqueue = commands_of(client, lambda: lone_driver.enqueue(new_job("1", interval_us=0)))
    leases: list[str] = []
    dequeue = commands_of(client, lambda: leases.append(lone_driver.lease_one().lease))
    finish = commands_of(client, lambda: lone_driver.finish("1", leases[0]))
    assert [sum(commands.values()) for commands in (enqueue, dequeue, finish)] == [9, 12, 9]
