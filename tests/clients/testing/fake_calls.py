"""The random calls of the client that the fake server and the real one both get (test_fake_rules.py).

Values are few, so that they meet often. Times `at` and `expires_at` are drawn as times from now.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET

from sharq_client import Limit, RetryPolicy

TYPES = ["sms", "sms~a"]
BATCHES = ["b1", "b2"]


def seldom(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly UNSET, which leaves a field out."""
    return st.one_of(st.just(UNSET), st.just(UNSET), st.just(UNSET), values)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with the fields that are not UNSET."""
    return st.fixed_dictionaries(fields).map(
        lambda found: {name: value for name, value in found.items() if value is not UNSET}
    )


KIND = st.sampled_from(TYPES)
QUEUE = st.sampled_from(["a", "ab"])
JOB = st.sampled_from(["1", "2", "3", "12"])
INTERVALS = [0.5, 33.333, 1000, 1000, 60_000]
INTERVAL = st.sampled_from([0, *INTERVALS])
BURST = st.sampled_from([1, 2, 5, 1.1, 2.35])
HOLD = st.sampled_from([1, 1000, 60_000])
RETRY = st.sampled_from(
    [
        RetryPolicy(delay=0),
        RetryPolicy(delay=1000, factor=1),
        RetryPolicy(delay=1000, factor=2, max=2500),
        RetryPolicy(delay=1000, factor=10, jitter=1),
        RetryPolicy(delay=60_000, factor=1.5, max=120_000, jitter=0.25),
    ]
)
EXPIRES = st.sampled_from([0.001, 1000, 60_000])
FATE = st.sampled_from(["dead", "drop"])
BATCH = st.sampled_from(BATCHES)
TRACEPARENT = st.sampled_from(
    [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-f8-more",
    ]
)
COST = st.sampled_from([1, 2, 5])
PRIORITY = st.sampled_from([1, 4, 6, 9])
FROM_NOW_MS = st.sampled_from([-60_000, 0, 1, 1000, 60_000])

EXTRAS = [
    st.fixed_dictionaries({name: values})
    for name, values in {
        "interval": st.sampled_from([UNSET, *INTERVALS]),
        "burst": BURST,
        "delay": st.sampled_from([0.001, 1000, 60_000]),
        "max_queued_length": st.sampled_from([0, 1, 2]),
        "repeat": st.just(True),
        "cost": COST,
        "max_leased": st.sampled_from([1, 2]),
        "at": FROM_NOW_MS,
        "priority": PRIORITY,
        "expires": EXPIRES,
        "expires_at": FROM_NOW_MS,
        "on_expiry": FATE,
        "batch": BATCH,
        "traceparent": TRACEPARENT,
        "rate": st.sampled_from(["40/s", "7/min", "0/s", "2000000/s"]),
    }.items()
]
NEW_JOB = st.builds(
    lambda job, extras: {
        name: value
        for name, value in {key: item for part in (job, *extras) for key, item in part.items()}.items()
        if value is not UNSET
    },
    st.fixed_dictionaries(
        {
            "queue_type": KIND,
            "queue_id": QUEUE,
            "job_id": JOB,
            "payload": st.sampled_from([1, 1, {"text": "Hallo"}, {"max_queued_length": 2}]),
            "interval": st.sampled_from([0, 0, *INTERVALS]),
            "requeue_limit": st.sampled_from([-1, 0, 1, 2]),
            "retry": st.one_of(st.none(), RETRY),
        }
    ),
    st.lists(st.one_of(EXTRAS), max_size=2),
)
"""Most of the jobs are valid, and have few fields that are not usual, so that rare fields meet usual ones."""
WRONG_FIELDS: list[dict[str, Any]] = [
    {"job_id": ""},
    {"priority": 10},
    {"priority": 1.5},
    {"cost": 0},
    {"interval": -1},
    {"interval": "1"},
    {"rate": "40"},
    {"rate": "40/s", "interval": 25},
    {"burst": 0.5},
    {"burst": 1.234},
    {"requeue_limit": -2},
    {"delay": 1e12},
    {"delay": 1, "at": 1},
    {"expires": 0},
    {"expires": 5, "expires_at": 5},
    {"on_expiry": "burn"},
    {"retry": {"delay": 1000}},
    {"retry": {"delay": -1}},
    {"retry": {"factor": 2}},
    {"retry": {"delay": 1, "factor": 11}},
    {"retry": {"delay": 1, "factor": 1.234}},
    {"retry": {"delay": 1, "jitter": 0.123}},
    {"max_leased": 0},
    {"max_queued_length": -1},
    {"job_id": "no spaces"},
    {"job_id": "x" * 101},
    {"queue_id": "no/slash"},
    {"queue_type": "~a"},
    {"batch": ""},
    {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"},
    {"tracestate": "vendor=1"},
    {"payload": {"max_queued_length": "many"}},
    {"payload": "x" * 262_144},
    {"repeat": 1},
]
WRONG_JOB = st.sampled_from(WRONG_FIELDS)
QUEUE_SETTINGS = some(
    interval=seldom(st.one_of(st.none(), INTERVAL)),
    burst=seldom(st.one_of(st.none(), BURST)),
    pin=seldom(st.sampled_from([None, True, False])),
    max_leased=seldom(st.sampled_from([None, 1, 2])),
    weight=seldom(st.sampled_from([None, 1, 3])),
    hold=seldom(st.one_of(st.none(), HOLD)),
    retry=seldom(st.one_of(st.none(), RETRY)),
    expires=seldom(st.one_of(st.none(), EXPIRES)),
    on_expiry=seldom(st.one_of(st.none(), FATE)),
)
LIMITS = st.lists(
    st.builds(
        Limit,
        interval=st.sampled_from([1, 33.333, 1000, 5000]),
        burst=BURST,
        unit=st.sampled_from(["job", "cost"]),
    ),
    max_size=3,
)
TYPE_SETTINGS = some(
    limits=seldom(st.one_of(st.none(), LIMITS)),
    max_leased=seldom(st.sampled_from([None, 1, 2])),
    hold=seldom(st.one_of(st.none(), HOLD)),
    retry=seldom(st.one_of(st.none(), RETRY)),
    expires=seldom(st.one_of(st.none(), EXPIRES)),
    on_expiry=seldom(st.one_of(st.none(), FATE)),
)
CHANGE = some(
    payload=seldom(st.just({"n": 2})),
    priority=seldom(PRIORITY),
    cost=seldom(COST),
    delay=seldom(st.sampled_from([0, 1000, 60_000])),
    at=seldom(FROM_NOW_MS),
    expires=seldom(st.one_of(st.none(), EXPIRES)),
    expires_at=seldom(st.one_of(st.none(), FROM_NOW_MS)),
)
REPORT = some(
    cost=seldom(st.sampled_from([0, 1, 3])),
    hold_ms=seldom(HOLD),
    hold_type_ms=st.sampled_from([UNSET] * 9 + [1000]),
)
RELEASE = some(
    delay_ms=st.sampled_from([UNSET, None, 0, 1000]),
    cost=seldom(st.sampled_from([0, 1, 3])),
    hold_ms=seldom(HOLD),
    counts=seldom(st.just(False)),
    error=seldom(st.sampled_from(["TimeoutError", "Größe: 0", "ü" * 2000])),
    prefer_retry=seldom(st.booleans()),
)
STEP_S = st.sampled_from([0.001, 0.0333, 0.5, 1, 1, 10, 60, 300, 660, 86_400, 8 * 86_400])
LEASE_MS = st.sampled_from([100, 1000, 60_000])
ANY = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5])
"""The number of a lease, 0 for the newest one."""

PAUSES = [
    ("pause", "sms", "a"),
    ("pause_type", "sms~a"),
    ("pause_all",),
    *[("resume", kind, queue_id) for kind in TYPES for queue_id in ("a", "ab")],
    *[("resume_type", kind) for kind in TYPES],
    *[("resume_all",)] * 3,
]
"""Resumes are more frequent than pauses, so that something is leased most of the time."""

_CALLS = [
    *[st.tuples(st.just("enqueue"), NEW_JOB)] * 10,
    st.tuples(st.just("enqueue_many"), st.lists(NEW_JOB, min_size=1, max_size=4)),
    st.tuples(st.just("enqueue_many"), st.tuples(NEW_JOB, WRONG_JOB)),
    *[st.tuples(st.just("dequeue"), KIND, st.integers(1, 4), LEASE_MS)] * 7,
    *[st.tuples(st.just("dequeue"), KIND, st.just(100), LEASE_MS)] * 7,
    *[st.tuples(st.just("advance"), STEP_S)] * 12,
    *[st.tuples(st.just("finish"), ANY, REPORT)] * 4,
    st.tuples(st.just("finish_many"), st.lists(ANY, max_size=3)),
    st.tuples(st.just("finish_by_id"), KIND, QUEUE, JOB),
    *[st.tuples(st.just("release"), ANY, RELEASE)] * 8,
    st.tuples(st.just("extend"), ANY, LEASE_MS, st.sampled_from([UNSET, 50])),
    st.tuples(
        st.just("set_interval"), KIND, QUEUE, INTERVAL, seldom(BURST), st.sampled_from([None, True, False])
    ),
    st.tuples(st.just("hold"), KIND, QUEUE, HOLD),
    st.tuples(st.just("hold_until"), KIND, QUEUE, FROM_NOW_MS),
    st.tuples(st.just("set_queue"), KIND, QUEUE, QUEUE_SETTINGS),
    st.tuples(st.just("set_type"), KIND, TYPE_SETTINGS),
    *[st.sampled_from(PAUSES)] * 2,
    st.tuples(st.just("delete_queue"), KIND, QUEUE, st.booleans()),
    st.tuples(st.just("cancel"), KIND, QUEUE, JOB, st.booleans()),
    st.tuples(st.just("cancel_matching"), KIND, QUEUE, st.sampled_from(["", "1"])),
    st.tuples(st.just("change"), KIND, QUEUE, JOB, CHANGE),
    st.tuples(st.just("redrive"), KIND),
    st.tuples(st.just("redrive_many"), KIND, QUEUE, JOB),
    st.tuples(st.just("drop_dead_letter"), KIND, QUEUE, JOB),
    st.tuples(st.just("drop_dead_many"), KIND, QUEUE, JOB),
    st.tuples(st.just("cancel_batch"), KIND, BATCH),
]
CALL = st.sampled_from(_CALLS).flatmap(lambda call: call)
"""One call. (`one_of` would count strategies that occur several times once.)"""


def job(job_id: str, queue_id: str = "a", kind: str = "sms", **fields: Any) -> dict[str, Any]:
    """An unlimited job without a retry policy."""
    usual = {"payload": 1, "interval": 0, "requeue_limit": -1, "retry": None}
    return {"queue_type": kind, "queue_id": queue_id, "job_id": job_id, **usual, **fields}


_JITTER = RetryPolicy(delay=1000, factor=10, jitter=1)

SCENARIOS: dict[str, list[tuple[Any, ...]]] = {
    "retries with a jitter": [
        ("enqueue", job("1", retry=_JITTER)),
        *[("dequeue", "sms", 1, 1000), ("release", 0, {}), ("advance", 86_400)] * 3,
        *[("dequeue", "sms", 1, 1000), ("advance", 60)] * 2,
    ],
    "rounds over queues": [
        ("enqueue_many", [job(job_id, queue_id) for queue_id in ("a", "ab") for job_id in ("1", "2", "3")]),
        ("set_queue", "sms", "a", {"weight": 3}),
        ("dequeue", "sms", 3, 1000),
        ("set_queue", "sms", "a", {"weight": None}),
        ("dequeue", "sms", 100, 1000),
        ("advance", 10),
        ("dequeue", "sms", 100, 1000),
    ],
    "changes of a rate": [
        ("enqueue_many", [job(job_id, interval=1000, burst=5) for job_id in ("1", "2", "3", "12")]),
        ("advance", 60),
        ("dequeue", "sms", 1, 60_000),
        ("set_interval", "sms", "a", 1000, 1, None),
        ("set_interval", "sms", "a", 60_000, 2.35, None),
        ("advance", 60),
        ("dequeue", "sms", 100, 60_000),
        ("finish", 0, {"cost": 3}),
        ("set_interval", "sms", "a", 33.333, UNSET, None),
        ("release", 1, {"cost": 0}),
    ],
    "holds of a type": [
        ("enqueue", job("1", kind="sms~a")),
        ("set_type", "sms~a", {"hold": 60_000}),
        ("dequeue", "sms~a", 1, 1000),
        ("resume_type", "sms~a"),
        ("dequeue", "sms~a", 1, 1000),
        ("release", 0, {"hold_ms": 1000, "counts": False}),
        ("dequeue", "sms~a", 1, 1000),
        ("finish", 0, {"hold_type_ms": 1000}),
    ],
    "limits of a type": [
        (
            "set_type",
            "sms~a",
            {"limits": [Limit(interval=1000, burst=2, unit="cost"), Limit(interval=33.333)]},
        ),
        ("enqueue_many", [job(f"{n}", "a", "sms~a", cost=n) for n in (1, 2, 3)]),
        ("enqueue_many", [job(f"{n}", "ab", "sms~a") for n in (1, 2, 3)]),
        *[("dequeue", "sms~a", 100, 60_000), ("advance", 1)] * 4,
        ("finish", 0, {"cost": 0}),
        ("set_type", "sms~a", {"limits": [Limit(interval=5000, unit="cost")], "max_leased": 2}),
        *[("dequeue", "sms~a", 100, 60_000), ("advance", 10)] * 3,
    ],
    "ends of jobs": [
        (
            "enqueue_many",
            [job("1", requeue_limit=0, batch="b1"), job("2", expires=1000, batch="b1"), job("3")],
        ),
        ("enqueue", job("12", expires=60_000, on_expiry="drop", delay=1000)),
        ("dequeue", "sms", 1, 1000),
        ("advance", 1),
        ("redrive", "sms"),
        ("advance", 60),
        ("dequeue", "sms", 100, 1000),
        ("cancel", "sms", "a", "1", True),
        ("finish", 1, {}),
        ("cancel_batch", "sms", "b1"),
        ("delete_queue", "sms", "a", True),
        ("advance", 660),
    ],
}
"""Calls for rules that few random ones meet."""
