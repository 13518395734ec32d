"""The examples of the document: requests and answers of the main operations, and a failure of every code."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from router.api.openapi.forms import Json

Named: TypeAlias = dict[str, Json]
"""The name of each example → its value. The name is shown as a heading."""


class Examples(Struct, frozen=True, kw_only=True):
    """The examples of one operation.

    Attributes:
        request: the bodies.
        answers: status → the answers.
    """

    request: Named = {}
    answers: dict[int, Named] = {}


PATH_VALUES: Final = {
    "queue_type": "sms",
    "queue_id": "acme",
    "job_id": "order-17",
    "batch": "spring-sale",
    "schedule": "daily-report",
    "window": "office-hours",
    "cap": "acct17",
}
"""The example of each parameter in a path."""

_LEASE: Final = "0000000000000001d8aa73746ee239f4"
_JOB: Final[Named] = {"queue_type": "sms", "queue_id": "acme", "job_id": "order-17"}
_LEASED_JOB: Final[Named] = {**_JOB, "lease": _LEASE}
_PAYLOAD: Final[Named] = {"to": "+15550100", "text": "Your order has left."}
_NOW: Final = 1_795_922_396_718
_DONE: Final[Named] = {"status": "success"}
_LOST: Final[Named] = {
    "status": "failure",
    "code": "lease_lost",
    "message": "lease: another lease of this job exists, or it is finished, dead or deleted",
}
_DELIVERY: Final[Named] = {
    "queue_id": "acme",
    "job_id": "order-17",
    "payload": _PAYLOAD,
    "requeues_remaining": 5,
    "current_queue_length": 2,
    "lease": _LEASE,
    "lease_expires_at": _NOW + 60_000,
    "enqueued_at": _NOW - 250,
    "attempt": 1,
    "cost": 1,
    "priority": 5,
    "expires_at": None,
}
_DEQUEUE: Final = Examples(
    answers={
        200: {
            "One job, without count": {"status": "success", **_DELIVERY},
            "Several jobs, with count": {"status": "success", "jobs": [_DELIVERY]},
        },
        404: {
            "The rate of the queue lets nothing out yet": {
                "status": "failure",
                "blocked_by": "rate",
                "next_ready_in": 25,
            }
        },
    }
)
_CAP: Final[Named] = {
    "name": "acct17",
    "limits": [{"interval": 25, "rate": "40/s", "burst": 1.8, "unit": "job"}],
    "max_leased": None,
    "held_until": None,
    "leased": None,
    "next_slot_in": 12,
    "slots_used": 17,
    "blocked_by": "rate",
}
_BULK_LEASES: Final[Named] = {"jobs": [_LEASED_JOB, {**_LEASED_JOB, "job_id": "order-18"}]}
_BULK_RESULTS: Final[Named] = {
    "One success and one failure": {"status": "success", "failed": 1, "results": [_DONE, _LOST]}
}
_QUEUE: Final[Named] = {
    "status": "success",
    "interval": 25,
    "rate": "40/s",
    "burst": 1,
    "pinned": False,
    "paused": False,
    "queued": 3,
    "delayed": 0,
    "leased": 1,
    "dead": 0,
    "max_leased": 10,
    "weight": 1,
    "held_until": None,
    "retry": {"delay": 1000, "factor": 2, "max": 60_000, "jitter": 0.1},
    "expires": None,
    "on_expiry": None,
    "window": None,
    "caps": ["acct17"],
    "settings": ["max_leased", "rate", "retry"],
    "blocked_by": "rate",
    "next_ready_in": 12,
    "oldest_age": 250,
}

OPERATIONS: Final[dict[str, Examples]] = {
    "enqueue": Examples(
        request={
            "A job of a queue with 40 jobs a second": {"payload": _PAYLOAD, "rate": "40/s"},
            "A job with an id, a delay and a requeue limit": {
                "payload": _PAYLOAD,
                "job_id": "order-17",
                "interval": 25,
                "delay": 5000,
                "requeue_limit": 5,
            },
        },
        answers={
            201: {
                "The server made the id": {
                    "status": "queued",
                    "job_id": "019abc8e-6a2e-7c41-9d0b-2f6f2b8c3e55",
                },
                "The queue has this job already": {"status": "queued", "duplicate": True},
            }
        },
    ),
    "enqueue_bulk": Examples(
        request={
            "Two jobs of two queues": {
                "jobs": [
                    {**_JOB, "payload": _PAYLOAD, "rate": "40/s"},
                    {"queue_type": "mail", "queue_id": "initech", "payload": {"to": "a@example.com"}},
                ]
            }
        },
        answers={
            200: {
                "One success and one failure": {
                    "status": "success",
                    "failed": 1,
                    "results": [
                        {"status": "queued", "job_id": "order-17"},
                        {
                            "status": "failure",
                            "code": "invalid_request",
                            "message": "jobs[1].interval: required (or rate, such as 40/s), as this queue has none",
                        },
                    ],
                }
            }
        },
    ),
    "dequeue_type": _DEQUEUE,
    "dequeue": _DEQUEUE,
    "finish": Examples(
        request={
            "The lease ends": {"lease": _LEASE},
            "With a result": {"lease": _LEASE, "result": {"message_id": "c0ffee"}},
        },
        answers={200: {"The job is finished": _DONE}},
    ),
    "extend": Examples(
        request={"One more minute from now": {"lease": _LEASE, "by": 60_000}},
        answers={200: {"The new end": {"status": "success", "lease_expires_at": _NOW + 90_000}}},
    ),
    "release": Examples(
        request={
            "The work failed": {"lease": _LEASE, "error": "the carrier answered 500", "prefer_retry": True},
            "The carrier throttles": {"lease": _LEASE, "count": False, "hold": 2000},
        },
        answers={200: {"The job is back in its queue": _DONE}},
    ),
    "finish_bulk": Examples(request={"Two leases": _BULK_LEASES}, answers={200: _BULK_RESULTS}),
    "extend_bulk": Examples(
        request={"One lease": {"jobs": [{**_LEASED_JOB, "by": 60_000}]}},
        answers={
            200: {
                "The new end": {
                    "status": "success",
                    "failed": 0,
                    "results": [{"status": "success", "lease_expires_at": _NOW + 90_000}],
                }
            }
        },
    ),
    "release_bulk": Examples(request={"Two leases": _BULK_LEASES}, answers={200: _BULK_RESULTS}),
    "get_job": Examples(
        answers={
            200: {
                "A leased job": {
                    "status": "success",
                    "state": "leased",
                    "attempt": 1,
                    "enqueued_at": _NOW - 250,
                    "lease_expires_at": _NOW + 60_000,
                    "payload": _PAYLOAD,
                    "priority": 5,
                    "cost": 1,
                    "requeue_limit": 5,
                }
            }
        }
    ),
    "cancel_job": Examples(
        answers={200: {"The job was waiting": {"status": "success", "was": "queued"}}},
    ),
    "set_interval": Examples(
        request={
            "40 jobs a second": {"rate": "40/s"},
            "One job every 33.333 ms, pinned": {"interval": 33.333, "pin": True},
        },
        answers={200: {"The rate is set": _DONE}},
    ),
    "get_queue": Examples(answers={200: {"A queue with 40 jobs a second": _QUEUE}}),
    "set_queue": Examples(
        request={
            "A rate, a maximum and a retry policy": {
                "rate": "40/s",
                "max_leased": 10,
                "retry": {"delay": 1000, "max": 60_000, "jitter": 0.1},
            },
            "Clear the maximum": {"max_leased": None},
        },
        answers={200: {"The queue after the call": _QUEUE}},
    ),
    "set_type": Examples(
        request={"A carrier's limits": {"limits": [{"rate": "100/s"}], "max_leased": 50}},
    ),
    "list_dead_letters": Examples(
        answers={
            200: {
                "The last page": {
                    "status": "success",
                    "jobs": [
                        {
                            "queue_id": "acme",
                            "job_id": "order-17",
                            "payload": _PAYLOAD,
                            "attempt": 6,
                            "enqueued_at": _NOW - 3_600_000,
                            "dead_at": _NOW,
                            "reason": "limit",
                            "error": "the carrier answered 500",
                            "error_attempt": 6,
                            "error_at": _NOW,
                        }
                    ],
                    "cursor": None,
                }
            }
        }
    ),
    "drop_named_dead_letters": Examples(
        request={"Two letters": {"jobs": [{"queue_id": "acme", "job_id": f"order-{n}"} for n in (17, 18)]}},
        answers={200: {"Both were there": {"status": "success", "dropped": 2}}},
    ),
    "redrive_dead_letters": Examples(
        request={
            "All letters of the type": {},
            "One letter": {"jobs": [{"queue_id": "acme", "job_id": "order-17"}]},
        },
        answers={
            200: {
                "All letters of the type": {"status": "success", "redriven": 12},
                "One letter": {
                    "status": "success",
                    "failed": 0,
                    "results": [{"status": "queued", "job_id": "order-17"}],
                },
            }
        },
    ),
    "put_schedule": Examples(
        request={
            "Every working day at nine": {
                "cron": "0 9 * * mon-fri",
                "tz": "Europe/Berlin",
                "job": {"queue_type": "report", "queue_id": "acme", "payload": None, "interval": 0},
            }
        }
    ),
    "put_cap": Examples(
        request={"At most 40 messages a second for the account": {"rate": "40/s", "burst": 1.8}},
        answers={200: {"The cap as it is now": {"status": "success", **_CAP}}},
    ),
    "get_cap": Examples(
        answers={
            200: {"Jobs wait for its next slot": {"status": "success", **_CAP, "queues": 12, "queued": 310}}
        },
    ),
    "delete_cap": Examples(answers={200: {"Queues still name it": {"status": "success", "queues": 12}}}),
    "hold_cap": Examples(request={"For half a minute": {"for": 30_000}}),
    "put_window": Examples(
        request={
            "Working days from eight to eight": {
                "tz": "America/New_York",
                "open": [{"days": "mon-fri", "from": "08:00", "to": "20:00"}],
                "except": ["2027-01-01"],
            }
        },
        answers={200: {"The window is defined": _DONE}},
    ),
}
"""Operation id → its examples. The GET form of a dequeue has those of the POST form."""

MESSAGES: Final[dict[str, str]] = {
    "invalid_request": "interval: expected a number of milliseconds from 0 to 31536000000, fractions allowed",
    "unauthorized": "the token is unknown",
    "forbidden": "Origin: web pages of other sites may not call this API; nothing was done",
    "not_found": "no such queue",
    "too_slow": "body: not received within 30 s",
    "lease_lost": "lease: another lease of this job exists, or it is finished, dead or deleted",
    "duplicate": "job_id: another live job of this queue has this id",
    "leased": "job_id: a worker holds this job; with force it is cancelled all the same",
    "not_waiting": "job_id: this job is leased, finished, dead, cancelled or expired; only one that waits can be "
    "changed",
    "batch_cancelled": "batch: this batch is cancelled",
    "too_many_windows": "job_id: the queue of this dead letter has waiting or leased jobs of too many windows",
    "window_used": "window: jobs or settings use office-hours (uses: 2); nothing was dropped",
    "too_large": "payload: 300000 bytes, the limit is 262144",
    "unsupported_encoding": "Content-Encoding: 'br' is not supported, only gzip and deflate; nothing was done",
    "queue_full": "Max queue length reached",
    "overloaded": "2000 requests are in flight already",
    "unavailable": "no shard can be reached",
    "outcome_unknown": "the shard did not answer: the call may have been done",
    "store_full": "the store's memory is full: it takes no more jobs until some are finished",
    "internal_error": "internal error; the request may have been carried out, see the server's log",
}
"""Code of a failure → a message that it may have."""


def shown(examples: Named) -> Json:
    """Return named examples in the form of the document: a key for links, and the name as the heading."""
    return {
        "".join(character if character.isalnum() else "_" for character in name.lower()): {
            "summary": name,
            "value": value,
        }
        for name, value in examples.items()
    }


def failure(code: str) -> Json:
    """Return the example of a failure."""
    length: Named = {"current_queue_length": 500} if code == "queue_full" else {}
    return {"status": "failure", "code": code, "message": MESSAGES[code], **length}
