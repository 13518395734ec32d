"""The values that the machines draw: ids, times, jobs, reports and settings. Small numbers of them meet often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from sharq_core.job_changes import JobChange
from sharq_core.job_life import OnExpiry, Retry
from sharq_core.limits import MAX_HOLD_US, QueueSettings
from sharq_core.models import NewJob
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, TYPE

QUEUE_IDS = st.sampled_from(["a", "a:1"])
JOB_IDS = st.sampled_from(["1", "2", "1:2"])
"""("a:1", "2") and ("a", "1:2") would be one job if the ids were joined as they are."""
INTERVALS_US = st.sampled_from([0, 1, 33_334, SECOND_US, SECOND_US, MINUTE_US, HOUR_US, 365 * DAY_US])
BURSTS = st.sampled_from([None, None, 1, 2, 5, 1_000_000, 1.1, 2.35])
COSTS = st.sampled_from([1, 1, 1, 1, 2, 5, 1_000_000])
ACTUAL_COSTS = st.sampled_from([None, None, None, 0, 1, 3, 1_000_000])
MAX_LEASED = st.sampled_from([1, 1, 2])
HOLDS_US = st.sampled_from([1, SECOND_US, MINUTE_US, HOUR_US, MAX_HOLD_US])
DELAYS_US = st.sampled_from([0, 0, 0, 1, SECOND_US, MINUTE_US, DAY_US])
NOT_AFTER_US = st.sampled_from([None, None, None, None, None, None, None, -1, 0, SECOND_US])
LEASES_US = st.sampled_from([100_000, SECOND_US, MINUTE_US, DAY_US])
SHORT_STEPS_US = [1, 999, 33_334, 500_000, SECOND_US, SECOND_US + 1, 10 * SECOND_US]
LONG_STEPS_US = [MINUTE_US, 5 * MINUTE_US, 10 * MINUTE_US + 1, 11 * MINUTE_US, HOUR_US, DAY_US, 400 * DAY_US]
STEPS_US = st.one_of(st.sampled_from(SHORT_STEPS_US), st.sampled_from(LONG_STEPS_US))
CLOCK_STEPS_US = st.sampled_from(
    [1, 33_334, SECOND_US, 5 * SECOND_US, 20 * SECOND_US, 5 * MINUTE_US, HOUR_US, 400 * DAY_US]
)
PRIORITIES = st.sampled_from([5, 5, 5, 5, 1, 4, 6, 9])
EXPIRES_US = st.sampled_from([1, SECOND_US, SECOND_US, MINUTE_US, HOUR_US])
FROM_NOW_US = st.sampled_from([-DAY_US, -1, 0, 1, SECOND_US, MINUTE_US])
FATES = st.sampled_from([None, None, OnExpiry.DEAD, OnExpiry.DROP])
RETRIES = st.sampled_from(
    [
        Retry(0),
        Retry(1),
        Retry(1000, 1),
        Retry(1000, 2, 2500),
        Retry(1000, 10, jitter=1),
        Retry(60_000, 1.5, 120_000, 0.25),
    ]
)
BATCHES = st.sampled_from(["b1", "b:1"])
TRACES = st.sampled_from([bytes(range(25)), bytes(range(1, 26)) + b"vendor=1", bytes(25) + b"x" * 512])
ERRORS = st.sampled_from(["", "", "TimeoutError", "Größe: 0", "x" * 2048])

Lease = tuple[str, str, str | None]
"""queue_id, job_id, token"""


def seldom(values: st.SearchStrategy[Any], usual: object = None) -> st.SearchStrategy[Any]:
    """Mostly the usual value, so that jobs without the field meet those that have it."""
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), values)


def on_the_clock(job: NewJob, now_us: int) -> NewJob:
    """The same job, whose at_us and expires_at_us were drawn as times from now; `at` and `expires` win."""
    return replace(
        job,
        at_us=None if job.at_us is None else now_us + job.at_us,
        delay_us=job.delay_us if job.at_us is None else 0,
        expires_at_us=None
        if job.expires_at_us is None or job.expires_us is not None
        else now_us + job.expires_at_us,
    )


def change_on_the_clock(change: JobChange, now_us: int) -> JobChange:
    """The same change, whose at_us and expires_at_us were drawn as times from now."""
    times = {
        name: now_us + value
        for name in ("at_us", "expires_at_us")
        if isinstance(value := getattr(change, name), int)
    }
    return replace(change, **times)


NEW_JOBS = st.builds(
    NewJob,
    queue_type=st.just(TYPE),
    queue_id=QUEUE_IDS,
    job_id=JOB_IDS,
    payload=st.sampled_from([b"", b"1", b'""', b'{"text":"' + 60 * b"x" + b'"}']),
    requeue_limit=st.sampled_from([-1, 0, 0, 1, 2]),
    interval_us=st.one_of(st.none(), INTERVALS_US),
    burst=BURSTS,
    delay_us=DELAYS_US,
    max_queued_length=st.sampled_from([None, None, None, None, None, None, 0, 1, 2]),
    repeat=st.sampled_from([False, False, True]),
    cost=COSTS,
    max_leased=st.one_of(st.none(), st.none(), MAX_LEASED),
    priority=PRIORITIES,
    at_us=seldom(FROM_NOW_US),
    expires_us=st.one_of(st.none(), EXPIRES_US),
    expires_at_us=seldom(FROM_NOW_US),
    on_expiry=FATES,
    retry=seldom(RETRIES),
    batch=seldom(BATCHES),
    trace=seldom(TRACES, b""),
)
"""at_us and expires_at_us are times from now (on_the_clock)."""
CHANGES = st.one_of(
    st.builds(
        JobChange,
        payload=st.sampled_from([UNSET, b"2", b"{}"]),
        priority=st.one_of(st.just(UNSET), PRIORITIES),
        cost=st.one_of(st.just(UNSET), COSTS),
        delay_us=st.one_of(st.just(UNSET), st.just(UNSET), DELAYS_US),
        expires_us=st.one_of(st.just(UNSET), st.just(UNSET), st.none(), EXPIRES_US),
    ),
    st.builds(JobChange, at_us=FROM_NOW_US, expires_at_us=st.one_of(st.just(UNSET), FROM_NOW_US)),
)
"""at_us and expires_at_us are times from now (change_on_the_clock)."""
PREFIXES = st.sampled_from(["", "1", "1:", "3"])
REPORTS = st.fixed_dictionaries(
    {"cost": ACTUAL_COSTS, "hold_us": st.one_of(st.just(0), st.just(0), st.just(0), HOLDS_US)}
)
RESULTS = st.sampled_from([b"", b"", b"1", b'"' + b"x" * 98 + b'"', b'"' + b"x" * 398 + b'"'])
PROGRESS = st.sampled_from([b"", b"", b"50", b'{"done": 7}'])
FINISHES = st.builds(lambda report, result: {**report, "result": result}, REPORTS, RESULTS)
SETTINGS = st.builds(
    QueueSettings,
    **{
        name: st.one_of(st.just(UNSET), st.just(UNSET), st.none(), values)
        for name, values in {
            "interval_us": INTERVALS_US,
            "burst": BURSTS.filter(bool),
            "pin": st.booleans(),
            "max_leased": MAX_LEASED,
            "weight": st.sampled_from([1, 3, 100]),
            "hold_us": HOLDS_US,
            "retry": RETRIES,
            "expires_us": EXPIRES_US,
            "on_expiry": FATES.filter(bool),
        }.items()
    },
)
GUESSES = st.tuples(QUEUE_IDS, JOB_IDS, st.sampled_from([None, None, "", "zz", "00" * 16]))
