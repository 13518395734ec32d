"""Holds the limits and defaults that the handlers apply."""

from __future__ import annotations

import msgspec


class RouterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and defaults of one router.

    Attributes:
        default_lease_us: the length of a lease if the dequeue gives none.
        default_requeue_limit: the requeue limit of jobs that give none; -1 for no limit.
        max_payload_bytes: the longest payload of one job, as received.
        max_body_bytes: the longest body of one request, decompressed.
        max_in_flight: the most unanswered requests at once, without dequeues that may wait.
        max_waiting: the most unanswered requests with `wait` at once.
        max_in_flight_bytes: the most received bytes of the bodies of unanswered requests at once, without the first
            `free_body_bytes` of each.
        free_body_bytes: the first bytes of each body, which are not counted.
        serves_console: False serves neither the console's page nor its stream.
    """

    default_lease_us: int = 60_000_000
    default_requeue_limit: int = -1
    max_payload_bytes: int = 262_144
    max_body_bytes: int = 16_777_216
    max_in_flight: int = 10_000
    max_waiting: int = 30_000
    max_in_flight_bytes: int = 268_435_456
    free_body_bytes: int = 65_536
    serves_console: bool = True
