"""Makes the calls about limits: those of a queue, and those of a type as a whole, with its pauses.

All methods take `now_us` (None for the store's clock), for tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import UNSET

from sharq_core.limits import (
    Explanation,
    Limit,
    QueueSettings,
    TypePage,
    TypeSettings,
    TypeStats,
    TypeSummary,
)
from sharq_core.models import QueueStats, QueueStatsPage
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library, status_replies
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.campaigns import quotas as packed_quotas
from sharq_core.scheduler.campaigns.quotas import UNITS, Bounds
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.keys import Keys, stored_id
from sharq_core.scheduler.replies import decode_nothing, decoder
from sharq_core.scheduler.status_replies import BLOCKED_BY, as_short, cap_names_of, fate_of, retry_of
from sharq_core.store.commands import Word

RECORDS_COMPARED = 2000
"""Ids that one page of a search compares with its text, which takes the store about half a millisecond."""

_TYPES_A_JOB = 4
"""Explanations of types that cost the store about as much as a job."""

_EXPLANATION_REPLY = 3

T = TypeVar("T")

_CHANGE = struct.Struct(">QBIQB")
"""set_type.lua's CHANGE: not_after_us, which settings are named, max_leased, hold (µs), number of limits."""

_LIMIT = struct.Struct(">B6sIB")
"""set_type.lua's LIMIT: unit, interval (µs), burst, hundredths of the burst."""

_LIFE = struct.Struct(">6sB")
"""type_settings.lua's LIFE, which follows the limits and a retry policy: expires (µs, 0 for None), on_expiry."""

_LIMITS, _MAX_LEASED, _HOLD, _RETRY, _EXPIRES, _ON_EXPIRY, _KNOWS_LIFE = 1, 2, 4, 8, 16, 32, 64
_KNOWS_CAMPAIGNS = 128

WITH_CAPS = "3"
"""The argument with which get_type_stats.lua adds the defaults of lives, the settings of campaigns, which a node of
revision 5 cannot decode, and caps as a reason, which a node of revision 9 cannot decode.
"""

KNOWS_CAPS = "1"
"""The argument with which set_type.lua and explain.lua tell caps as a reason."""

_INTERVAL_BYTES = 6

_STATS = 14
_DEFAULTS = 6
_LIMIT_REPLY = 3
_SUMMARY_REPLY = 8
_ROWS_A_JOB = 20
"""Rows that cost the store about as much as one job; the weight of a call in the bounds of a joint call."""


_UNKNOWN_WINDOW = TypeStats(
    is_paused=False,
    limits=[],
    max_leased=None,
    held_until_us=None,
    queued=0,
    delayed=0,
    leased=0,
    dead=0,
    queues=0,
    blocked_by=None,
    next_ready_in_us=None,
    is_window_unknown=True,
)


class LimitCalls:
    """The maker of one deployment's calls about the limits of queues."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def set_queue(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        settings: QueueSettings,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[QueueStats]:
        """Change the settings of a queue, which is created if need be. Value: the queue afterwards."""
        arguments: list[Word] = [stored_id(queue_id), not_after_us or 0, *packed.queue_settings(settings)]
        decode = status_replies.decode_queue
        return make_call(self._keys, library.SET_QUEUE, partition, queue_type, now_us, arguments, decode)

    def list_queue_stats(
        self,
        partition: int,
        queue_type: str,
        scan: int,
        count: int,
        *,
        search: str = "",
        with_ages: bool = False,
        now_us: int | None = None,
    ) -> FunctionCall[QueueStatsPage]:
        """Read about `count` (1 to MAX_BATCH) queues of a type from the cursor `scan` on (0 at first).

        A queue without jobs is included while its record is kept, or while it has dead letters.

        Args:
            search: only queues whose ids contain this text, of characters of ids; empty for all. A page compares about
                RECORDS_COMPARED ids with it.
            with_ages: read the ages of the queues' heads, too.
        """
        pattern = f"*{stored_id(search)}*" if search else ""
        arguments: list[Word] = [
            scan,
            min(count, MAX_BATCH),
            status_replies.WITH_CAPS,
            "1" if with_ages else "",
            pattern,
            RECORDS_COMPARED,
        ]
        decode = status_replies.decode_queue_stats_page
        return make_call(
            self._keys, library.LIST_QUEUE_STATS, partition, queue_type, now_us, arguments, decode, count
        )


class TypeCalls:
    """The maker of one deployment's calls about types."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def pause_all(
        self,
        partition: int,
        *,
        is_paused: bool,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[None]:
        """Pause everything in a partition, or resume it. Pauses of types and queues are kept apart from it."""
        arguments: list[Word] = [int(is_paused), not_after_us or 0]
        return make_call(self._keys, library.PAUSE_ALL, partition, "", now_us, arguments, decode_nothing)

    def pause_type(
        self,
        partition: int,
        queue_type: str,
        *,
        is_paused: bool,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[None]:
        """Pause all present and later queues of a type in a partition, or resume them, which ends the type's hold."""
        arguments: list[Word] = [int(is_paused), not_after_us or 0]
        return make_call(
            self._keys, library.PAUSE_TYPE, partition, queue_type, now_us, arguments, decode_nothing
        )

    def set_type(
        self,
        partition: int,
        queue_type: str,
        settings: TypeSettings,
        *,
        bounds: Bounds | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[TypeStats]:
        """Change the settings of a gathered type. Value: the type afterwards.

        A limit that is among the present ones goes on as it is. A new one begins one interval after the type's last
        lease, or as many as an old limit of its unit still waits.

        Args:
            bounds: the bounds of the periods of each quota's zone. Without them, a type with quotas leases nothing
                until put_periods brings them.
        """
        arguments: list[Word] = [_change(settings, not_after_us or 0, bounds or {}), KNOWS_CAPS]
        return make_call(
            self._keys, library.SET_TYPE, partition, queue_type, now_us, arguments, _decode_stats
        )

    def get_type_stats(
        self, partition: int, queue_type: str, *, now_us: int | None = None
    ) -> FunctionCall[TypeStats]:
        """Read the settings and the statistics of a type in a partition."""
        return make_call(
            self._keys, library.GET_TYPE_STATS, partition, queue_type, now_us, [WITH_CAPS], _decode_stats
        )

    def explain(
        self, partition: int, queue_type: str, *, now_us: int | None = None
    ) -> FunctionCall[Explanation]:
        """Read the reason why a type leases nothing in a partition."""
        return make_call(
            self._keys, library.EXPLAIN, partition, queue_type, now_us, [KNOWS_CAPS], _decode_explanation
        )

    def explain_types(
        self, partition: int, queue_types: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[list[Explanation]]:
        """Read the reasons why some types lease nothing in a partition. Value: one for each, in order."""
        parts = [self._keys.of(partition, name, library.KEYS_OF_TYPE) for name in queue_types]
        keys = self._keys.of(partition, "", library.EXPLAIN_TYPES.keys).joined(parts)
        weight = 1 + len(queue_types) // _TYPES_A_JOB
        return make_call(
            self._keys,
            library.EXPLAIN_TYPES,
            partition,
            "",
            now_us,
            [*queue_types],
            _decode_explanations,
            weight,
            key_list=keys,
        )

    def list_type_stats(
        self, partition: int, scan: int, count: int, *, now_us: int | None = None
    ) -> FunctionCall[TypePage]:
        """Read about `count` types of a partition from the cursor `scan` on (0 at first).

        Their blocked_by comes from the type's counts alone, and explain is exact: a hold of the queue that comes first
        shows as `rate`, and None may also mean that the queues with jobs are paused or full.
        """
        weight = 1 + count // _ROWS_A_JOB
        return make_call(
            self._keys, library.LIST_TYPE_STATS, partition, "", now_us, [scan, count], _decode_page, weight
        )


def _change(settings: TypeSettings, not_after_us: int, bounds: Bounds) -> bytes:
    """Return the change as set_type.lua reads it.

    To the function, a named hold of 0 µs clears the present hold. A caller who says 0 wants no further hold, so that
    value is left out; None clears.
    """
    named = (
        _KNOWS_LIFE
        + _KNOWS_CAMPAIGNS
        + _LIMITS * (settings.limits is not UNSET)
        + _MAX_LEASED * (settings.max_leased is not UNSET)
        + _HOLD * (settings.hold_us is not UNSET and settings.hold_us != 0)
        + _RETRY * (settings.retry is not UNSET)
        + _EXPIRES * (settings.expires_us is not UNSET)
        + _ON_EXPIRY * (settings.on_expiry is not UNSET)
    )
    limits = settings.limits or []
    head = _CHANGE.pack(not_after_us, named, settings.max_leased or 0, settings.hold_us or 0, len(limits))
    campaign = packed_quotas.campaign_settings(settings, bounds)
    return head + b"".join(map(_limit, limits)) + _defaults(settings) + campaign


def _defaults(settings: TypeSettings) -> bytes:
    """Return the defaults of the lives of jobs; those that are not named count as None."""
    expires_us = (settings.expires_us or 0).to_bytes(_INTERVAL_BYTES)
    return packed.retry(settings.retry or None) + _LIFE.pack(
        expires_us, packed.on_expiry(settings.on_expiry or None)
    )


def _limit(limit: Limit) -> bytes:
    interval = limit.interval_us.to_bytes(_INTERVAL_BYTES)
    return _LIMIT.pack(1 + UNITS.index(limit.unit), interval, *packed.burst_parts(limit.burst))


def _summary(queue_type: str, row: list[int]) -> TypeSummary:
    queued, delayed, leased, dead, enqueued_in_minute, leased_in_minute, reason = row
    return TypeSummary(
        queue_type, queued, delayed, leased, dead, enqueued_in_minute, leased_in_minute, BLOCKED_BY[reason]
    )


def _not_negative(number: int) -> int | None:
    return number if number >= 0 else None


@decoder
def _decode_stats(raw: list[Any]) -> TypeStats:
    if raw[4:] == status_replies.UNKNOWN_WINDOW:
        return _UNKNOWN_WINDOW
    paused, max_leased, held_until_us, queued, delayed, leased, dead, queues, reason, ready_in_us = raw[
        4:_STATS
    ]
    campaigns_at = _STATS + _DEFAULTS
    *retry, expires_us, on_expiry = raw[_STATS:campaigns_at]
    window, quotas, caps_at = packed_quotas.read_campaign_settings(raw, campaigns_at)
    return TypeStats(
        is_paused=bool(paused),
        limits=[
            Limit(UNITS[raw[at] - 1], raw[at + 1], as_short(raw[at + 2]))
            for at in range(caps_at + 1, len(raw), _LIMIT_REPLY)
        ],
        max_leased=max_leased or None,
        held_until_us=_not_negative(held_until_us),
        queued=queued,
        delayed=delayed,
        leased=leased,
        dead=dead,
        queues=queues,
        blocked_by=BLOCKED_BY[reason],
        next_ready_in_us=_not_negative(ready_in_us),
        retry=retry_of(*retry),
        expires_us=expires_us or None,
        on_expiry=fate_of(on_expiry),
        window=window,
        quotas=quotas,
        caps=cap_names_of(raw[caps_at]),
    )


@decoder
def _decode_explanation(raw: list[Any]) -> Explanation:
    return Explanation(BLOCKED_BY[raw[4]], _not_negative(raw[5]), cap_names_of(raw[6]))


@decoder
def _decode_explanations(raw: list[Any]) -> list[Explanation]:
    return [
        Explanation(BLOCKED_BY[raw[at]], _not_negative(raw[at + 1]), cap_names_of(raw[at + 2]))
        for at in range(4, len(raw), _EXPLANATION_REPLY)
    ]


@decoder
def _decode_page(raw: list[Any]) -> TypePage:
    types = [
        _summary(raw[at].decode(), raw[at + 1 : at + _SUMMARY_REPLY])
        for at in range(5, len(raw), _SUMMARY_REPLY)
    ]
    return TypePage(types, int(raw[4]))
