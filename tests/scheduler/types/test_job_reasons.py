"""Why a waiting job is not leased, as get_job, list_jobs and change_job tell it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharq_core.job_changes import JobChange
from sharq_core.limits import BlockedBy, QueueSettings, TypeSettings
from sharq_core.models import JobState, JobStatus
from tests.scheduler.drivers.capped import CappedDriver, capped
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, SECOND_US, START_US, Driver
from tests.scheduler.drivers.types import TypeDriver, job, job_limit, lease
from tests.scheduler.drivers.windows import WindowDriver, windowed

QUEUED, LATER = "queued", "later"
"""The jobs of queue `q` that are looked at: one that is queued behind another, and one that is delayed."""


def told(driver: Driver, job_id: str, state: JobState) -> JobStatus:
    """The status of a waiting job, of which all answers say the same."""
    at, kind, now_us = driver.partition, driver.queue_type, driver.now_us
    calls = driver.job_calls
    status = driver.value(calls.get_job(at, kind, "q", job_id, knows_life=True, now_us=now_us))
    assert status is not None
    listed = driver.value(calls.list_jobs(at, kind, "q", state, 10, job_id, "", now_us=now_us)).jobs
    changed = driver.value(calls.change_job(at, kind, "q", job_id, JobChange(priority=5), now_us=now_us)).job
    assert changed is not None
    (row,) = listed
    for other in (row.status, changed):
        assert (other.is_explained, other.blocked_by, other.caps) == (
            status.is_explained,
            status.blocked_by,
            status.caps,
        )
    assert status.is_explained
    return status


def reasons(driver: Driver) -> tuple[BlockedBy | None, BlockedBy | None]:
    """Why the queued job waits, and why the delayed one does."""
    return told(driver, QUEUED, JobState.QUEUED).blocked_by, told(driver, LATER, JobState.DELAYED).blocked_by


CASES: list[tuple[Callable[[TypeDriver], object], BlockedBy | None, BlockedBy]] = [
    (lambda _: None, None, BlockedBy.DELAYED),
    (lambda sms: sms.pause_all(), BlockedBy.ALL_PAUSED, BlockedBy.ALL_PAUSED),
    (lambda sms: sms.pause_type(), BlockedBy.TYPE_PAUSED, BlockedBy.TYPE_PAUSED),
    (lambda sms: sms.pause(True), BlockedBy.PAUSED, BlockedBy.PAUSED),
    (
        lambda sms: sms.set_type(TypeSettings(hold_us=SECOND_US)),
        BlockedBy.TYPE_HOLD,
        BlockedBy.TYPE_HOLD,
    ),
    (lambda sms: sms.hold(SECOND_US), BlockedBy.HOLD, BlockedBy.HOLD),
    (lambda sms: sms.limit(max_leased=1), BlockedBy.TYPE_MAX_LEASED, BlockedBy.DELAYED),
    (lambda sms: sms.set_queue(QueueSettings(max_leased=1)), BlockedBy.MAX_LEASED, BlockedBy.DELAYED),
    (lambda sms: sms.limit(job_limit()), BlockedBy.TYPE_RATE, BlockedBy.DELAYED),
    (lambda sms: sms.interval(HOUR_US), BlockedBy.RATE, BlockedBy.DELAYED),
]


@pytest.mark.parametrize(
    ("block", "of_queued", "of_delayed"), CASES, ids=[case[1] or "ready" for case in CASES]
)
def test_a_waiting_job_tells_the_first_reason(
    sms: TypeDriver,
    block: Callable[[TypeDriver], object],
    of_queued: BlockedBy | None,
    of_delayed: BlockedBy,
) -> None:
    sms.enqueue(job("0"), job("1"), job(QUEUED), job(LATER, delay_us=DAY_US))
    (held,) = lease(sms, 1)
    block(sms)
    assert reasons(sms) == (of_queued, of_delayed)
    leased = sms.value(
        sms.job_calls.get_job(0, sms.queue_type, "q", held.job_id, knows_life=True, now_us=sms.now_us)
    )
    assert leased is not None
    assert (leased.is_explained, leased.blocked_by) == (False, None)


def test_a_job_whose_window_is_closed_says_so_although_its_queue_gives_others(windows: WindowDriver) -> None:
    windows.put("night", (START_US + 90 * DAY_US, START_US + 91 * DAY_US))
    windows.enqueue(windowed("open"), windowed(QUEUED, "night"))
    assert windows.get_queue().blocked_by is None
    assert told(windows, "open", JobState.QUEUED).blocked_by is None
    assert told(windows, QUEUED, JobState.QUEUED).blocked_by is BlockedBy.WINDOW


def test_a_job_whose_queue_has_caps_names_them(caps: CappedDriver) -> None:
    caps.enqueue(capped(QUEUED, "acct", "brand"), capped(LATER, "acct", "brand", delay_us=DAY_US))
    assert reasons(caps) == (BlockedBy.CAP, BlockedBy.DELAYED)
    assert told(caps, QUEUED, JobState.QUEUED).caps == ("acct", "brand")
    assert told(caps, LATER, JobState.DELAYED).caps == ()
