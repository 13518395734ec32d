"""Makes the calls about windows, and decodes their replies.

All methods take `now_us` (None for the store's clock), for tests. Some take `not_after_us`: after that time by the
store's clock nothing is done and the reply is expired.
"""

from __future__ import annotations

import struct
from typing import Any

from sharq_core.campaigns.windows import (
    MAX_WINDOWS,
    DropStatus,
    Openings,
    PutOutcome,
    PutStatus,
    StoredWindow,
    WindowPage,
)
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import decoder
from sharq_core.store.commands import Word

MAX_PAGE_BYTES = 262_144
"""Bytes of records after which a page of windows ends."""

_OPENING = struct.Struct(">7s7s")
"""windows.lua's OPENING: from, to (µs)."""
_TIME_BYTES = 7
_WINDOW_REPLY = 6


class WindowCalls:
    """The maker of one deployment's calls about windows."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def put_window(
        self,
        partition: int,
        name: str,
        definition: bytes,
        version: int,
        until_us: int,
        openings: Openings,
        *,
        most: int = MAX_WINDOWS,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[PutOutcome]:
        """Define a window in a partition, or define it anew.

        Args:
            definition: its JSON text, not empty.
            version: grows with each definition of the window; 0 lets the partition give it.
            until_us: the openings are known up to this time by the store's clock.
            openings: those that are not over, in order; no two touch.
            most: the maximum number of windows of a partition.
        """
        terms = self._terms(name, definition, version, until_us, openings, most, not_after_us)
        return make_call(
            self._keys, library.PUT_WINDOW, partition, "", now_us, terms, _decode_put, size=len(definition)
        )

    def extend_window(
        self,
        partition: int,
        name: str,
        version: int,
        until_us: int,
        openings: Openings,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Give a window of this very version other openings.

        Value: True if the queues that use it need their ready times anew (rescore_windows). False also if the partition
        has another version, or none; then nothing was done.
        """
        terms = self._terms(name, b"", version, until_us, openings, 0, not_after_us)
        return make_call(self._keys, library.PUT_WINDOW, partition, "", now_us, terms, _decode_extension)

    def drop_window(
        self, partition: int, name: str, *, not_after_us: int | None = None, now_us: int | None = None
    ) -> FunctionCall[DropStatus]:
        """Remove a window from a partition, unless something uses it there."""
        arguments: list[Word] = [name, not_after_us or 0]
        return make_call(self._keys, library.DROP_WINDOW, partition, "", now_us, arguments, _decode_drop)

    def get_window(
        self, partition: int, name: str, *, now_us: int | None = None
    ) -> FunctionCall[StoredWindow | None]:
        """Read a window. Value: None if the partition has none of this name."""
        return make_call(self._keys, library.GET_WINDOW, partition, "", now_us, [name], _decode_window)

    def get_windows(
        self, partition: int, scan: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[WindowPage]:
        """Read up to `limit` windows of a partition, and about MAX_PAGE_BYTES, from `scan` on (0 at first)."""
        arguments: list[Word] = [scan, limit, MAX_PAGE_BYTES]
        return make_call(self._keys, library.GET_WINDOWS, partition, "", now_us, arguments, _decode_page)

    def rescore_windows(
        self,
        partition: int,
        cursor: str,
        *,
        count: int = MAX_BATCH,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[str]:
        """Give queues that use windows their ready times anew, one step of a walk over about `count` types or queues.

        Args:
            cursor: the cursor of the step before; empty to go on where the partition keeps it, "0" to begin anew.

        Value: the next cursor, empty at the end.
        """
        arguments: list[Word] = [cursor, count, not_after_us or 0]
        queue_type = cursor.rpartition(":")[2].partition(",")[0] if ":" in cursor else ""
        return make_call(
            self._keys,
            library.RESCORE_WINDOWS,
            partition,
            queue_type,
            now_us,
            arguments,
            _decode_cursor,
            count,
        )

    def _terms(
        self,
        name: str,
        definition: bytes,
        version: int,
        until_us: int,
        openings: Openings,
        most: int,
        not_after_us: int | None,
    ) -> list[Word]:
        times = b"".join(_OPENING.pack(*(at_us.to_bytes(_TIME_BYTES) for at_us in span)) for span in openings)
        return [name, definition, version, until_us, times, most, not_after_us or 0]


@decoder
def _decode_put(raw: list[Any]) -> PutOutcome:
    status, version, must_rescore = raw[4:]
    return PutOutcome(PutStatus(status), version, bool(must_rescore))


@decoder
def _decode_extension(raw: list[Any]) -> bool:
    return bool(raw[6])


@decoder
def _decode_drop(raw: list[Any]) -> DropStatus:
    return DropStatus(raw[4])


def _stored(now_us: int, row: list[Any]) -> StoredWindow:
    name, version, until_us, uses, times, definition = row
    openings = [(int.from_bytes(begin), int.from_bytes(end)) for begin, end in _OPENING.iter_unpack(times)]
    return StoredWindow(name.decode(), version, until_us, openings, uses, definition, now_us)


@decoder
def _decode_window(raw: list[Any]) -> StoredWindow | None:
    return _stored(raw[1], raw[4:]) if len(raw) > 4 else None


@decoder
def _decode_page(raw: list[Any]) -> WindowPage:
    rows = [_stored(raw[1], raw[at : at + _WINDOW_REPLY]) for at in range(6, len(raw), _WINDOW_REPLY)]
    return WindowPage(rows, raw[4], bool(raw[5]))


@decoder
def _decode_cursor(raw: list[Any]) -> str:
    cursor = raw[4]
    return cursor.decode() if isinstance(cursor, bytes) else str(cursor)
