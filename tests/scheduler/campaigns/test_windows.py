"""Jobs, queues and types with windows: when they are leased, and in which order (I16)."""

from __future__ import annotations

import pytest

from sharq_core.limits import BlockedBy, QueueSettings
from sharq_core.models import EnqueueStatus, LeaseStatus
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, START_US
from tests.scheduler.drivers.windows import WindowDriver, windowed
from tests.scheduler.stored.records import assert_keys_agree

OPENS_US = START_US + HOUR_US
CLOSES_US = START_US + 2 * HOUR_US


@pytest.fixture
def night(windows: WindowDriver) -> WindowDriver:
    """A partition with two windows: `day` is open now and closes in two hours, when `night` opens."""
    windows.put("day", (START_US - HOUR_US, CLOSES_US))
    windows.put("night", (CLOSES_US, CLOSES_US + HOUR_US))
    return windows


def test_a_job_leaves_in_its_window_only_and_to_the_microsecond(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US), (CLOSES_US + HOUR_US, CLOSES_US + 2 * HOUR_US))
    windows.put_job("a", "w")
    windows.put_job("b", "w")
    windows.now_us = OPENS_US - 1
    assert windows.dequeue_ids() == []
    windows.now_us = OPENS_US
    assert windows.dequeue_ids(1) == ["a"]
    windows.now_us = CLOSES_US
    assert windows.dequeue_ids() == []
    windows.now_us = CLOSES_US + HOUR_US
    assert windows.dequeue_ids(1) == ["a"]
    assert_keys_agree(windows)


def test_what_is_open_leaves_past_what_is_closed_and_uses_the_rate_once(night: WindowDriver) -> None:
    night.enqueue(
        windowed("a", "night", interval_us=SECOND_US),
        windowed("b", "day", interval_us=SECOND_US),
        windowed("c", interval_us=SECOND_US),
    )
    assert night.dequeue_ids() == ["b"]
    assert night.dequeue_ids() == []
    night.advance(SECOND_US)
    assert night.dequeue_ids() == ["c"]
    stats = night.get_queue()
    assert (stats.queued, stats.blocked_by) == (1, BlockedBy.WINDOW)
    assert stats.next_ready_in_us == CLOSES_US - night.now_us
    assert_keys_agree(night)


def test_jobs_that_are_open_together_leave_by_priority_and_seq(night: WindowDriver) -> None:
    night.enqueue(
        windowed("1", "night", priority=9),
        windowed("2", "day"),
        windowed("3", priority=9),
        windowed("4", ignores=True),
        windowed("5", "night", priority=1),
        windowed("6"),
        windowed("7", "day", priority=1),
        windowed("8", "night"),
    )
    assert night.dequeue_ids() == ["7", "2", "4", "6", "3"]
    assert night.get_queue().queued == 3
    night.now_us = CLOSES_US
    night.enqueue(windowed("9"))
    assert night.dequeue_ids() == ["5", "4", "6", "8", "9", "1", "3"]
    assert_keys_agree(night)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_many_lines_leave_in_order(windows: WindowDriver, count: int) -> None:
    names = [f"w{number}" for number in range(25)]
    for name in names:
        windows.put(name, (START_US, START_US + HOUR_US))
    jobs = [
        windowed(f"{number:03}", names[number % 25], priority=1 + number % 3, ignores=number % 7 == 0)
        for number in range(90)
    ]
    assert {answer.status for answer in windows.enqueue(*jobs)} == {EnqueueStatus.QUEUED}
    order = sorted(range(90), key=lambda number: (number % 3, number))
    left = [job_id for _ in range(-(-90 // count)) for job_id in windows.dequeue_ids(count)]
    assert left == [f"{number:03}" for number in order]
    assert_keys_agree(windows)


def test_a_job_that_ignores_windows_passes_all_of_them(night: WindowDriver) -> None:
    night.set_window("night")
    night.enqueue(windowed("a", "night", ignores=True), windowed("b", ignores=True), windowed("c"))
    assert night.dequeue_ids() == ["a", "b"]
    assert night.get_queue().blocked_by is BlockedBy.WINDOW


def test_a_queue_with_a_window_keeps_its_jobs_and_both_windows_must_be_open(windows: WindowDriver) -> None:
    windows.put("queue", (OPENS_US, CLOSES_US))
    windows.put("early", (START_US, OPENS_US + MINUTE_US), (CLOSES_US - MINUTE_US, CLOSES_US + HOUR_US))
    windows.put("late", (CLOSES_US - MINUTE_US, CLOSES_US + HOUR_US))
    assert windows.set_window("queue").window == "queue"
    for job_id, window in (("a", None), ("b", "late"), ("c", "early")):
        windows.put_job(job_id, window)
    assert windows.dequeue_ids() == []
    assert windows.score() == OPENS_US
    windows.now_us = OPENS_US
    assert windows.dequeue_ids() == ["a", "c"]
    assert windows.score() == CLOSES_US - MINUTE_US
    windows.now_us = CLOSES_US - MINUTE_US
    assert windows.dequeue_ids(1) == ["a"]
    assert windows.dequeue_ids() == ["b", "c"]
    windows.put_job("d", "late")
    windows.now_us = CLOSES_US
    assert windows.dequeue_ids() == []
    assert windows.set_window(None).window is None
    assert windows.dequeue_ids(1) == ["a"]
    assert_keys_agree(windows)


def test_a_type_with_a_window_holds_back_queues_without_one(gathered: WindowDriver) -> None:
    gathered.put("w", (OPENS_US, CLOSES_US))
    gathered.put("open", (START_US, CLOSES_US))
    gathered.put_job("a", queue_id="plain")
    gathered.put_job("b", queue_id="own")
    gathered.set_window("open", "own")
    assert gathered.set_type_window("w").window == "w"
    gathered.put_job("c", queue_id="later")
    gathered.put_job("d", queue_id="later", ignores=True)
    assert sorted(gathered.dequeue_ids()) == ["b", "d"]
    assert [gathered.score(queue_id) for queue_id in ("plain", "later")] == [OPENS_US, OPENS_US]
    stats = gathered.type_stats()
    assert (stats.blocked_by, stats.next_ready_in_us) == (BlockedBy.WINDOW, HOUR_US)
    explanation = gathered.explain()
    assert (explanation.blocked_by, explanation.next_ready_in_us) == (BlockedBy.WINDOW, HOUR_US)
    gathered.now_us = OPENS_US
    assert sorted(gathered.dequeue_ids()) == ["a", "b", "c", "d"]
    assert_keys_agree(gathered)


def test_a_cleared_window_of_a_type_frees_its_queues_by_a_walk(gathered: WindowDriver) -> None:
    gathered.put("w", (OPENS_US, CLOSES_US))
    gathered.set_type_window("w")
    for number in range(30):
        gathered.put_job(str(number), queue_id=f"q{number}")
    assert gathered.dequeue_ids() == []
    assert gathered.set_type_window(None).window is None
    page = gathered.value(gathered.calls.get_windows(0, 0, 10, now_us=gathered.now_us))
    assert page.must_rescore
    gathered.rescore_all()
    assert len(gathered.dequeue_ids()) == 30
    assert_keys_agree(gathered)


def test_a_window_that_does_not_exist_is_refused_by_name(night: WindowDriver, gathered: WindowDriver) -> None:
    night.drop_window("night")
    statuses = [
        answer.status
        for answer in night.enqueue(
            windowed("a", "none"), windowed("b", "night"), windowed("c", "none", ignores=True)
        )
    ]
    assert statuses == [EnqueueStatus.UNKNOWN_WINDOW] * 3
    assert night.get_queue().is_known is False
    assert night.set_window("none").is_window_unknown
    assert night.get_queue().is_known is False
    assert gathered.set_type_window("none").is_window_unknown
    assert_keys_agree(night)


def test_a_queue_takes_jobs_of_26_windows_and_more_when_one_is_done(windows: WindowDriver) -> None:
    for number in range(27):
        windows.put(f"w{number}", (START_US, CLOSES_US))
    jobs = [windowed(str(number), f"w{number}") for number in range(25)]
    windows.enqueue(*jobs, windowed("ignoring", ignores=True), windowed("none"))
    full = [windowed("more", "w25"), windowed("known", "w3")]
    assert [answer.status for answer in windows.enqueue(*full)] == [
        EnqueueStatus.TOO_MANY_WINDOWS,
        EnqueueStatus.QUEUED,
    ]
    assert windows.state("more") is None
    leased = windows.dequeue(1)[0]
    assert windows.enqueue(full[0])[0].status is EnqueueStatus.TOO_MANY_WINDOWS
    windows.finish(leased.job_id, leased.lease)
    assert windows.enqueue(full[0])[0].status is EnqueueStatus.QUEUED
    assert_keys_agree(windows)


def test_a_stale_window_is_closed_and_is_looked_at_every_minute(windows: WindowDriver) -> None:
    windows.put("w", (START_US, START_US + DAY_US), until_us=OPENS_US)
    stored = windows.window("w")
    assert stored is not None
    windows.put_job("a", "w")
    windows.now_us = OPENS_US
    assert windows.dequeue_ids() == []
    assert windows.score() == OPENS_US + MINUTE_US
    stats = windows.get_queue()
    assert (stats.blocked_by, stats.next_ready_in_us) == (BlockedBy.WINDOW, None)
    windows.extend_window("w", stored.version, START_US + DAY_US, (START_US, START_US + DAY_US))
    windows.advance(MINUTE_US - 1)
    assert windows.dequeue_ids() == []
    windows.advance(1)
    assert windows.dequeue_ids() == ["a"]


def test_a_lease_may_outlast_its_window_but_a_waiting_job_is_not_taken_back(windows: WindowDriver) -> None:
    windows.put("w", (START_US, OPENS_US))
    for job_id in ("a", "b"):
        windows.put_job(job_id, "w")
    first, second = windows.dequeue(lease_us=2 * HOUR_US)
    windows.release(second.job_id, second.lease)
    windows.now_us = OPENS_US
    assert windows.extend(first.job_id, first.lease, HOUR_US) is LeaseStatus.DONE
    assert windows.extend(second.job_id, second.lease, HOUR_US) is LeaseStatus.LOST
    assert windows.finish(first.job_id, first.lease) is LeaseStatus.DONE
    assert_keys_agree(windows)


def test_a_window_of_the_queue_also_bars_an_extend_that_takes_a_job_back(windows: WindowDriver) -> None:
    windows.put("w", (START_US, OPENS_US))
    windows.put_job("a")
    windows.set_window("w")
    (leased,) = windows.dequeue()
    windows.release("a", leased.lease)
    assert windows.extend("a", leased.lease, HOUR_US) is LeaseStatus.DONE
    windows.release("a", leased.lease)
    windows.now_us = OPENS_US
    assert windows.extend("a", leased.lease, HOUR_US) is LeaseStatus.LOST


def test_a_job_that_becomes_queued_in_an_open_line_brings_its_queue_forward(night: WindowDriver) -> None:
    night.put_job("a", "night")
    night.enqueue(windowed("b", "day", delay_us=MINUTE_US))
    assert night.score() == CLOSES_US
    night.advance(MINUTE_US)
    assert night.dequeue_ids() == ["b"]
    night.advance(MINUTE_US)
    assert night.dequeue_ids() == ["b"]
    assert night.score() == CLOSES_US


def test_a_weight_ends_its_turn_where_the_open_jobs_end(gathered: WindowDriver) -> None:
    gathered.put("w", (OPENS_US, CLOSES_US))
    gathered.set_queue(QueueSettings(weight=5), "heavy")
    for job_id, window in (("a", None), ("b", "w"), ("c", None)):
        gathered.put_job(job_id, window, "heavy")
    gathered.put_job("d", queue_id="light")
    assert gathered.dequeue_ids() == ["a", "c", "d"]
    assert gathered.score("heavy") == OPENS_US
    assert gathered.dequeue_ids() == []
    assert_keys_agree(gathered)


def test_a_step_of_the_clock_lets_nothing_out_and_a_walk_brings_the_openings(windows: WindowDriver) -> None:
    windows.put("w", (OPENS_US, CLOSES_US))
    windows.put_job("a", "w")
    windows.advance(-10 * MINUTE_US)
    windows.put_job("b", "w")  # the partition's time goes on, so it is now ten minutes ahead of the clock
    windows.now_us = OPENS_US - 1
    assert windows.dequeue_ids() == []
    assert windows.rescore_all("0") > 0
    windows.now_us = OPENS_US
    assert windows.dequeue_ids() == ["a", "b"]
    windows.now_us = CLOSES_US
    windows.advance(MINUTE_US)
    assert windows.dequeue_ids() == []
    assert_keys_agree(windows)
