"""The values that the machines draw: ids, times, jobs, reports and settings. Small numbers of them meet often."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import UNSET

from sharq_core.limits import MAX_HOLD_US, QueueSettings
from sharq_core.models import NewJob
from tests.scheduler.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, TYPE

QUEUE_IDS = st.sampled_from(["a", "ab"])
JOB_IDS = st.sampled_from(["1", "2", "12"])
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

Lease = tuple[str, str, str | None]
"""queue_id, job_id, token"""

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
)
REPORTS = st.fixed_dictionaries(
    {"cost": ACTUAL_COSTS, "hold_us": st.one_of(st.just(0), st.just(0), st.just(0), HOLDS_US)}
)
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
        }.items()
    },
)
GUESSES = st.tuples(QUEUE_IDS, JOB_IDS, st.sampled_from([None, None, "", "zz", "00" * 16]))
