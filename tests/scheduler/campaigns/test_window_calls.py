"""The calls about windows, and what other calls tell and do about jobs with windows."""

from __future__ import annotations

import time

import pytest

from sharq_core.campaigns.windows import DropStatus, PutStatus
from sharq_core.job_changes import JobChange
from sharq_core.job_life import RedriveStatus
from sharq_core.limits import BlockedBy
from sharq_core.models import EnqueueStatus, JobState
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, START_US, Driver
from tests.scheduler.drivers.windows import DEFINITION, WindowDriver, windowed
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import CHOSEN_KINDS

OPENS_US = START_US + HOUR_US
CLOSES_US = START_US + 2 * HOUR_US


def test_a_window_is_told_as_it_was_put(windows: WindowDriver) -> None:
    openings = [(OPENS_US, CLOSES_US), (CLOSES_US + 1, CLOSES_US + 2)]
    outcome = windows.put_all("w", *openings, until_us=START_US + DAY_US)
    assert outcome.status is PutStatus.DONE
    stored = windows.window("w")
    assert stored is not None
    assert (stored.name, stored.version, stored.until_us) == ("w", outcome.version, START_US + DAY_US)
    assert (stored.openings, stored.uses, stored.definition) == (openings, 0, DEFINITION)
    assert windows.window("none") is None
    assert_keys_agree(windows)


def test_an_older_version_changes_nothing_and_a_given_one_grows(windows: WindowDriver) -> None:
    first = windows.put_all("w", (OPENS_US, CLOSES_US)).version
    second = windows.put_all("w", (OPENS_US, CLOSES_US)).version
    assert second > first
    older = windows.put_all("w", (START_US, CLOSES_US), version=first)
    assert (older.status, older.version) == (PutStatus.OLDER, second)
    assert windows.put_all("w", (OPENS_US, CLOSES_US), version=second + 5).version == second + 5
    stored = windows.window("w")
    assert stored is not None
    assert stored.openings == [(OPENS_US, CLOSES_US)]


def test_an_extension_is_for_one_version_of_a_present_window_only(windows: WindowDriver) -> None:
    version = windows.put_all("w", (OPENS_US, CLOSES_US)).version
    windows.put_job("a", "w")
    assert not windows.extend_window("w", version + 1, START_US + DAY_US, (START_US, CLOSES_US))
    assert not windows.extend_window("none", version, START_US + DAY_US, (START_US, CLOSES_US))
    assert windows.window("none") is None
    assert windows.extend_window("w", version, START_US + DAY_US, (START_US, CLOSES_US))
    stored = windows.window("w")
    assert stored is not None
    assert (stored.openings, stored.definition) == ([(START_US, CLOSES_US)], DEFINITION)
    windows.cancel("a")
    windows.drop_window("w")
    assert not windows.extend_window("w", version, START_US + DAY_US, (START_US, CLOSES_US))
    assert windows.window("w") is None


def test_a_partition_takes_so_many_windows_and_no_more(windows: WindowDriver) -> None:
    for name in ("a", "b"):
        assert windows.put_all(name, most=2).status is PutStatus.DONE
    assert windows.put_all("c", most=2).status is PutStatus.FULL
    assert windows.put_all("a", most=2).status is PutStatus.DONE
    windows.drop_window("a")
    assert windows.put_all("c", most=2).status is PutStatus.DONE
    assert_keys_agree(windows)


def test_windows_are_listed_in_pages(windows: WindowDriver) -> None:
    for number in range(5):
        windows.put(f"w{number}")
    windows.drop_window("w1")
    windows.put("w1")
    windows.drop_window("w3")
    found, scan = [], 0
    while True:
        page = windows.value(windows.calls.get_windows(0, scan, 2, now_us=windows.now_us))
        found += [window.name for window in page.windows]
        scan = page.scan
        if not scan:
            break
    assert found == ["w0", "w1", "w2", "w4"]


def test_a_window_goes_when_nothing_uses_it(gathered: WindowDriver) -> None:
    assert gathered.drop_window("w") is DropStatus.UNKNOWN
    gathered.put("w", (START_US, CLOSES_US))
    gathered.put_job("a", "w")
    gathered.set_window("w", "other")
    gathered.set_type_window("w")
    stored = gathered.window("w")
    assert stored is not None
    assert stored.uses == 3
    assert gathered.drop_window("w") is DropStatus.USED
    gathered.set_type_window(None)
    gathered.set_window(None, "other")
    assert gathered.drop_window("w") is DropStatus.USED
    (leased,) = gathered.dequeue()
    assert gathered.drop_window("w") is DropStatus.USED
    gathered.finish("a", leased.lease)
    assert gathered.drop_window("w") is DropStatus.DONE
    assert gathered.drop_window("w") is DropStatus.UNKNOWN
    assert_keys_agree(gathered)


@pytest.mark.parametrize("count", [2, 100])
def test_a_walk_brings_the_openings_of_a_new_definition(windows: WindowDriver, count: int) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    for number in range(300):
        windows.put_job(str(number), "w", f"q{number % 150}")
    assert windows.refresh().ready_us == {"sms": OPENS_US}
    later = (START_US + 3 * DAY_US, START_US + 4 * DAY_US)
    assert not windows.put("w", (OPENS_US, CLOSES_US), later, until_us=START_US + 4 * DAY_US)
    assert windows.put("w", (START_US + MINUTE_US, CLOSES_US))
    cursor = windows.rescore("", count)
    cursor = windows.rescore(cursor, count)
    assert cursor
    windows.advance(MINUTE_US)
    assert not windows.put("w", (START_US, CLOSES_US))
    assert windows.rescore_all(count=count) > 1
    assert windows.rescore("") == ""
    leased: list[str] = []
    while found := windows.dequeue_ids():
        leased += found
    assert len(leased) == 300
    assert_keys_agree(windows)


def test_a_put_during_a_walk_begins_the_walk_anew(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.put_job("a", "w")
    assert windows.put("w", (START_US + MINUTE_US, CLOSES_US))
    old = windows.rescore(windows.rescore(""))
    assert windows.put("w", (START_US, CLOSES_US))
    new = windows.rescore(old)
    assert new.partition(":")[0] != old.partition(":")[0]
    windows.rescore_all(new)
    assert windows.rescore(old) == ""
    assert windows.dequeue_ids() == ["a"]


def test_a_job_tells_its_window_and_when_it_may_leave(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.put("open", (START_US, CLOSES_US))
    windows.enqueue(
        windowed("a", "w"),
        windowed("b", "open"),
        windowed("c", ignores=True),
        windowed("d"),
        windowed("e", "w"),
    )
    windows.set_window("w")

    def told(job_id: str) -> tuple[str | None, bool, int | None, int | None]:
        status = windows.status(job_id)
        assert status is not None
        return status.window, status.ignores_window, status.opens_at_us, status.position

    assert told("a") == ("w", False, OPENS_US, 1)
    assert told("b") == ("open", False, OPENS_US, 2)
    assert told("c") == (None, True, None, 3)
    assert told("d") == (None, False, OPENS_US, 4)
    assert told("e") == ("w", False, OPENS_US, 5)
    windows.now_us = OPENS_US
    assert told("a") == ("w", False, None, 1)
    assert told("d") == (None, False, None, 4)


def test_lists_and_cancellations_visit_all_lines_in_the_order_of_the_queue(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.put("open", (START_US, CLOSES_US))
    names = ("w", None, "open")
    windows.enqueue(
        *(windowed(f"{n:02}", names[n % 3], priority=9 - n % 2, ignores=n % 5 == 0) for n in range(30))
    )
    windows.enqueue(windowed("99", "w", delay_us=HOUR_US))
    order = [f"{n:02}" for n in sorted(range(30), key=lambda n: (9 - n % 2, n))]
    listed, scan = [], ""
    while True:
        page = windows.value(
            windows.job_calls.list_jobs(0, "sms", "q", JobState.QUEUED, 7, "", scan, now_us=windows.now_us)
        )
        listed += [row.job_id for row in page.jobs]
        scan = page.scan
        if not scan:
            break
    assert listed == order
    assert windows.cancel_step("0").cancelled == 10
    assert windows.get_queue().queued == 20
    assert windows.cancel_step("").cancelled == 21
    assert_keys_agree(windows)


def test_a_cancellation_by_prefix_takes_the_jobs_of_all_lines_above_the_fence(windows: WindowDriver) -> None:
    for name in ("v", "w"):
        windows.put(name, (START_US, CLOSES_US))

    def some(first: int) -> list[str]:
        """Enqueue 100 jobs of every priority, line and state; return the ids of those without the prefix."""
        ids = [f"{'y' if n % 7 else 'x'}{n}" for n in range(first, first + 100)]
        lines = (None, "v", "w")
        windows.enqueue(
            *(
                windowed(job_id, lines[n % 3], priority=1 + n % 9, delay_us=n % 11 // 10 * HOUR_US)
                for n, job_id in enumerate(ids)
            )
        )
        return [job_id for job_id in ids if job_id[0] == "x"]

    some(0)
    windows.delete_queue(limit=1)
    others = [job_id for first in range(100, 500, 100) for job_id in some(first)]
    assert windows.cancel_matching("y") == 400 - len(others)
    states = (JobState.QUEUED, JobState.DELAYED)
    assert sorted(job_id for state in states for job_id in windows.ids(state)) == sorted(others)
    assert_keys_agree(windows)


def test_a_deleted_queue_loses_the_jobs_of_all_lines(windows: WindowDriver) -> None:
    windows.put("w", (START_US, CLOSES_US))
    jobs = [windowed(str(n), "w" if n % 2 else None, delay_us=n % 4 // 3 * HOUR_US) for n in range(60)]
    windows.enqueue(*jobs)
    leased = [job for job in windows.dequeue(4) if job.job_id in ("1", "0")]
    assert windows.delete_queue(limit=5) == 56
    windows.enqueue(windowed("new", "w"), windowed("newer"))
    assert_keys_agree(windows)
    assert windows.dequeue_ids() == ["new", "newer"]
    windows.finish(leased[0].job_id, leased[0].lease)
    while windows.reap(limit=7).handled:
        assert_keys_agree(windows)
    windows.advance(HOUR_US)
    while windows.reap().handled:
        assert_keys_agree(windows)
    totals = windows.totals()
    assert totals.queued + totals.delayed + totals.leased == 2


def test_a_walk_over_expired_jobs_visits_closed_lines(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.enqueue(*(windowed(str(n), "w", expires_us=MINUTE_US) for n in range(5)), windowed("stays", "w"))
    windows.advance(MINUTE_US)
    assert windows.reap().expired == 5
    assert windows.get_queue().queued == 1
    assert_keys_agree(windows)


def test_a_changed_job_keeps_its_window(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.enqueue(windowed("a", "w"), windowed("b", "w"))
    call = windows.job_calls.change_job(0, "sms", "q", "b", JobChange(priority=1), now_us=windows.now_us)
    job = windows.value(call).job
    assert job is not None
    assert (job.window, job.position, job.opens_at_us) == ("w", 1, OPENS_US)
    windows.now_us = OPENS_US
    assert windows.dequeue_ids() == ["b", "a"]
    assert_keys_agree(windows)


def _bury(windows: WindowDriver, job_id: str, window: str, queue_id: str = "q") -> None:
    """Let a job become a dead letter."""
    windows.enqueue(windowed(job_id, window, queue_id, requeue_limit=0))
    (leased,) = windows.dequeue()
    windows.release(job_id, leased.lease, queue_id=queue_id)
    assert windows.state(job_id, queue_id) is JobState.DEAD


def test_a_dead_letter_keeps_its_window_and_does_not_use_it(windows: WindowDriver) -> None:
    windows.put("w", (START_US, OPENS_US))
    _bury(windows, "a", "w")
    status = windows.status("a")
    assert status is not None
    assert status.window == "w"
    assert windows.drop_window("w") is DropStatus.DONE
    assert windows.redrive("a") == [RedriveStatus.QUEUED]
    assert windows.dequeue_ids() == []
    stats = windows.get_queue()
    assert (stats.queued, stats.blocked_by) == (1, BlockedBy.WINDOW)
    assert_keys_agree(windows)
    windows.put("w", (START_US, OPENS_US))
    windows.rescore_all()
    assert windows.dequeue_ids() == ["a"]
    assert_keys_agree(windows)


def test_a_redrive_into_a_queue_without_room_changes_nothing(windows: WindowDriver) -> None:
    for number in range(27):
        windows.put(f"w{number}", (START_US, CLOSES_US))
    _bury(windows, "dead", "w26")
    windows.enqueue(*(windowed(str(number), f"w{number}") for number in range(26)))
    before = windows.totals()
    assert windows.redrive("dead") == [RedriveStatus.NO_ROOM]
    assert windows.totals() == before
    windows.cancel("3")
    assert windows.redrive("dead") == [RedriveStatus.QUEUED]
    assert_keys_agree(windows)


@pytest.mark.parametrize("lone_client", CHOSEN_KINDS, indirect=True, scope="module")
def test_an_opening_for_100000_jobs_costs_no_longer_than_any_call(lone_driver: Driver) -> None:
    driver = WindowDriver(lone_driver.client, lone_driver.keys.prefix)
    driver.put("w", (OPENS_US, CLOSES_US))
    for first in range(0, 100_000, 1000):
        calls = [
            driver.functions.enqueue(
                0,
                "sms",
                [windowed(f"{n}", "w", "q", interval_us=SECOND_US) for n in range(at, at + 100)],
                now_us=driver.now_us,
            )
            for at in range(first, first + 1000, 100)
        ]
        assert all(
            answer.status is EnqueueStatus.QUEUED
            for reply in driver.replies(calls)
            for answer in reply.value or ()
        )
    driver.client.config_resetstat()
    driver.now_us = OPENS_US
    taken_s = []
    for _ in range(20):
        began = time.perf_counter()
        assert len(driver.dequeue()) == 1
        taken_s.append(time.perf_counter() - began)
        driver.advance(SECOND_US)
    usec = driver.client.info("commandstats")["cmdstat_fcall"]
    assert usec["usec_per_call"] < 5000
    assert sorted(taken_s)[10] < 0.05
