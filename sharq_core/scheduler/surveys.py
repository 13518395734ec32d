"""Makes the calls that tell a shard which types its partitions hold and when these are due, and decodes the replies.

A partition may hold 100,000 types, so no call reads all of them at once: a survey reads one bounded page, and
`get_type` one type. shard/index/refresher.py decides when to make them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import (
    ClockShift,
    Reply,
    TypeTotals,
    decode_nothing,
    decoder,
)
from sharq_core.store.commands import Word

T = TypeVar("T")

_PLACES = 64
"""touched.lua's PLACES."""

_ROWS_A_JOB = 20
"""Rows that cost the store about as much as one job; the weight of a call in the bounds of a joint call."""

_TOTALS_REPLY = 8
_NUMBER_BYTES = 7
_READY_AT, _TIMER_AT, _ROW_BYTES = 49, 56, 63
"""Offsets in counters.lua's row: seven totals, then the times of the next due queue and the next timer (0: none).

The number of the latest change of parked queues follows, if queues of the type have or had caps.
"""


class TypeRow(msgspec.Struct, frozen=True, gc=False):
    """The totals and due times of a type in a partition, kept as bytes and unpacked only if they changed.

    Its times are the partition's (lua/clock.lua).

    Attributes:
        raw: the row's bytes; rows of equal bytes are equal.
    """

    raw: bytes

    @property
    def ready_us(self) -> int | None:
        """The time (µs) of the type's next due queue, perhaps too early, never too late; None if none waits."""
        return int.from_bytes(self.raw[_READY_AT:_TIMER_AT], "big") or None

    @property
    def timer_us(self) -> int | None:
        """The time (µs) of the type's next timer, perhaps too early, never too late; None if there is none."""
        return int.from_bytes(self.raw[_TIMER_AT:_ROW_BYTES], "big") or None

    @property
    def changed(self) -> int:
        """The number of the latest change of queues with caps, for CappedCalls.list_parked; 0 for none."""
        return int.from_bytes(self.raw[_ROW_BYTES : _ROW_BYTES + _NUMBER_BYTES], "big")

    @property
    def has_jobs(self) -> bool:
        """True if the type ever had a job in this partition."""
        return any(self.raw[:_NUMBER_BYTES])

    def totals(self) -> list[int]:
        """Return the numbers of jobs in the order of TypeTotals.

        That is: enqueued, queued, delayed, leased, finished, dead, cancelled.
        """
        raw = self.raw
        return [
            int.from_bytes(raw[at : at + _NUMBER_BYTES], "big") for at in range(0, _READY_AT, _NUMBER_BYTES)
        ]


class SurveyReply(msgspec.Struct, frozen=True):
    """The reply of a survey.

    Attributes:
        tombstones: number of jobs remembered as finished.
        forgotten_early: number of finished jobs, since the data set began, that were forgotten within a minute.
        turn_us: the time at which the tombstones turn; None if there are none.
        fields: the number of types of the partition, plus a few.
        touches: the number to pass to the next survey.
        is_cut: True if other nodes touched more types than `touched` holds.
        touched: the types that other nodes changed, with their rows; None for a type that has nothing left.
        scan: the cursor of the next page; 0 after the last.
        page: types with their rows.
        data_id: the id of the data set that the partition belongs to; empty for none.
        clock: the partition's time, by which the rows' times are given.
        result_bytes: the bytes of the results of finished jobs.
        results_dropped: number of results, since the data set began, that were dropped to make room.
        oldest_result_us: the time of the oldest result, perhaps too early, never too late; None if there is none.
    """

    tombstones: int
    forgotten_early: int
    turn_us: int | None
    fields: int
    touches: int
    is_cut: bool
    touched: list[tuple[str, TypeRow | None]]
    scan: int
    page: list[tuple[str, TypeRow]]
    data_id: str
    clock: ClockShift
    result_bytes: int
    results_dropped: int
    oldest_result_us: int | None


class RefreshReply(msgspec.Struct, frozen=True):
    """The reply of a refresh.

    Attributes:
        ready_us, timers_us: for each type, the times at which its next queue and its next timer are due; perhaps too
            early, never too late.
        turn_us: the time at which the tombstones turn; None if there are none.
        tombstones: number of jobs remembered as finished.
        forgotten_early: number of finished jobs, since the data set began, that were forgotten within a minute.
        data_id: the id of the data set that the partition belongs to; empty for none, None from an older library.
        clock: the partition's time; the store's clock with an older library.
    """

    ready_us: dict[str, int]
    timers_us: dict[str, int]
    turn_us: int | None
    tombstones: int
    forgotten_early: int
    totals: list[TypeTotals]
    clock: ClockShift = ClockShift()
    data_id: str | None = None


class TypesReply(msgspec.Struct, frozen=True):
    """A page of a partition's types.

    Attributes:
        scan: the cursor of the next page; 0 after the last.
        queue_types: the types with live jobs.
        minutes: rows of (minute of the epoch, enqueued, leased), keyed by a type, or by an older minute for all types.
            A scan may return a key twice; then the later row counts.
    """

    scan: int
    queue_types: list[str]
    minutes: dict[str, tuple[int, int, int]]


class SurveyCalls:
    """The maker of one deployment's calls. Reads take `now_us` (None for the store's clock), for tests.

    Args:
        tombstone_limit: the maximum number of finished jobs in one generation of a partition.
    """

    def __init__(self, keys: Keys, tombstone_limit: int) -> None:
        self._keys = keys
        self._tombstone_limit = tombstone_limit

    def survey(
        self,
        partition: int,
        *,
        touches: int = -1,
        scan: int = 0,
        count: int = 0,
        now_us: int | None = None,
    ) -> FunctionCall[SurveyReply]:
        """Read a partition's state, and a page of about `count` types, starting at the cursor `scan` (0 at first).

        Args:
            touches: `touches` of the previous reply, to get the types that other nodes changed since; -1 for none.
        """
        arguments: list[Word] = [touches, scan, count, self._tombstone_limit]
        weight = 1 + count // _ROWS_A_JOB
        return self._call(library.SURVEY, partition, "", now_us, arguments, _decode_survey, weight)

    def get_type(
        self, partition: int, queue_type: str, *, now_us: int | None = None
    ) -> FunctionCall[tuple[TypeRow | None, int]]:
        """Read one type's row.

        Value: the row, or None if the partition has nothing of the type; and how far the partition's time is ahead of
        the store's clock (µs).
        """
        return self._call(library.GET_TYPE, partition, queue_type, now_us, [], _decode_type)

    def list_types(
        self, partition: int, scan: int, count: int, *, now_us: int | None = None
    ) -> FunctionCall[TypesReply]:
        """Read about `count` types from the cursor `scan` on (0 at first): those with live jobs, and minute counts."""
        weight = 1 + count // _ROWS_A_JOB
        return self._call(library.LIST_TYPES, partition, "", now_us, [scan, count], _decode_types, weight)

    def refresh(
        self, partition: int, *, limit: int = 1000, now_us: int | None = None
    ) -> FunctionCall[RefreshReply]:
        """Read all types of a partition at once, with at most `limit` agenda entries.

        Only nodes of library revision 1, which may run beside newer ones during an upgrade, call it.
        """
        arguments: list[Word] = [limit, self._tombstone_limit]
        return self._call(library.REFRESH, partition, "", now_us, arguments, _decode_refresh)

    def touch(self, partition: int, queue_type: str) -> FunctionCall[None]:
        """Notify a partition's owner that another node changed a type; "" for any number of types."""
        place = crc32(queue_type.encode()) % _PLACES
        return self._call(library.TOUCH, partition, queue_type, None, [place], decode_nothing)

    def _call(
        self,
        function: library.Function,
        partition: int,
        queue_type: str,
        now_us: int | None,
        arguments: list[Word],
        decode: Callable[[list[Any]], Reply[T]],
        weight: int = 1,
    ) -> FunctionCall[T]:
        keys = self._keys.of(partition, "", function.keys)
        return make_call(
            self._keys, function, partition, queue_type, now_us, arguments, decode, weight, key_list=keys
        )


@decoder
def _decode_refresh(raw: list[Any]) -> RefreshReply:
    due: dict[str, dict[str, int]] = {"r": {}, "t": {}, "g": {}}
    for i in range(0, len(raw[6]), 2):
        entry = raw[6][i].decode()
        due.setdefault(entry[0], {})[entry[1:]] = raw[6][i + 1]
    totals = [
        TypeTotals(raw[7][i].decode(), *raw[7][i + 1 : i + _TOTALS_REPLY])
        for i in range(0, len(raw[7]), _TOTALS_REPLY)
    ]
    clock, data_id = ClockShift(*raw[8:11]), raw[11].decode() if len(raw) > 11 else None
    return RefreshReply(due["r"], due["t"], due["g"].get(""), raw[4], raw[5], totals, clock, data_id)


@decoder
def _decode_survey(raw: list[Any]) -> SurveyReply:
    touched = (
        [(name.decode(), TypeRow(row) if row else None) for name, row in _pairs(raw[10])] if raw[10] else []
    )
    page = [(name.decode(), TypeRow(row)) for name, row in _pairs(raw[12])] if raw[12] else []
    return SurveyReply(
        tombstones=raw[4],
        forgotten_early=raw[5],
        turn_us=raw[6] if raw[6] >= 0 else None,
        fields=raw[7],
        touches=raw[8],
        is_cut=bool(raw[9]),
        touched=touched,
        scan=int(raw[11]),
        page=page,
        data_id=raw[13].decode(),
        clock=ClockShift(*raw[14:17]),
        result_bytes=raw[17],
        results_dropped=raw[18],
        oldest_result_us=raw[19] if raw[19] >= 0 else None,
    )


@decoder
def _decode_type(raw: list[Any]) -> tuple[TypeRow | None, int]:
    return TypeRow(raw[4]) if raw[4] else None, raw[5]


@decoder
def _decode_types(raw: list[Any]) -> TypesReply:
    numbers = raw[5]
    rows = [(numbers[at], numbers[at + 1], numbers[at + 2]) for at in range(0, len(numbers), 3)]
    minutes = zip((name.decode() for name in raw[7]), rows, strict=True)
    return TypesReply(int(raw[4]), [name.decode() for name in raw[6]], dict(minutes))


def _pairs(flat: list[Any]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
