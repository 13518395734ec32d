"""The limits and defaults that the handlers apply. Not here: where they come from (sharq_core/config.py)."""

from __future__ import annotations

import msgspec


class RouterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and defaults of one router.

    Attributes:
        default_lease_us: a lease's length where the dequeue names none.
        default_requeue_limit: for jobs that name none; -1 for ever.
        max_payload_bytes: of one job's payload, as it came.
        max_body_bytes: of one request's body, decompressed.
        max_in_flight: unanswered requests at once, dequeues with `wait` apart.
        max_waiting: unanswered dequeues with `wait` at once.
        max_in_flight_bytes: bodies of unanswered requests at once, what has come of them, but for
        free_body_bytes: of each body.
    """

    default_lease_us: int = 60_000_000
    default_requeue_limit: int = -1
    max_payload_bytes: int = 262_144
    max_body_bytes: int = 16_777_216
    max_in_flight: int = 10_000
    max_waiting: int = 30_000
    max_in_flight_bytes: int = 268_435_456
    free_body_bytes: int = 65_536
