"""Puts windows into every partition, reads them and drops them.

Every partition has every window, so that the lease of a job needs no other partition. The home partition of a window
comes first in a put, and gives the definition its version, so that of two puts at once the same one wins everywhere. It
comes last in a removal. So a window exists if its home partition has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from router.shards.walks.everywhere import answers_in, confirmed, not_everywhere
from router.shards.walks.listings import PAGE, bad_cursor
from router.shards.walks.unread import Unread, is_broken
from sharq_core import errors
from sharq_core.campaigns.windows import (
    MAX_WINDOWS,
    DropStatus,
    PutStatus,
    StoredWindow,
    Window,
)
from sharq_core.link.campaigns.window_calls import DropWindow, GetWindow, GetWindows, PutWindow
from sharq_core.link.messages import PartitionCall
from sharq_core.partitions import partition_of

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT")

LISTED = 4
"""The number of partitions that may serve a list: evenly spread, so that different servers of a store have them."""

_MAX_NUMBER = 2**32 - 1
"""The largest number of a window."""


class Router(Protocol):
    """The part of the dispatch that a walk needs."""

    @property
    def partitions(self) -> int:
        """The number of partitions."""
        ...

    async def route(self, call: PartitionCall[ReplyT]) -> ReplyT:
        """Call the owner of a partition."""
        ...


async def put_window(dispatch: Router, name: str, window: Window) -> None:
    """Put a window into every partition: a new one, or another definition of a present one. It may be repeated.

    Raises:
        InvalidRequest, Unavailable: nothing was done.
        OutcomeUnknown: not every partition has confirmed it; the message says how many have.
    """
    definition, home = msgspec.json.encode(window), home_of(name, dispatch.partitions)
    try:
        outcome = await dispatch.route(PutWindow("", home, name, definition, version=0))
    except errors.SharqError as error:
        if not (is_broken(error) or isinstance(error, errors.OutcomeUnknown)):
            raise
        raise not_everywhere(0, dispatch.partitions, {home: error}) from error
    if outcome.status is PutStatus.FULL:
        raise errors.InvalidRequest(
            f"window: expected at most {MAX_WINDOWS} windows; delete unused ones first"
        )
    # A partition with a newer version has the definition of a put that came after this one.
    await confirmed(
        dispatch.route,
        lambda partition: PutWindow("", partition, name, definition, outcome.version),
        _others(dispatch, home),
        dispatch.partitions,
        done=1,
    )


async def read_window(dispatch: Router, name: str, unread: Unread) -> tuple[StoredWindow, int]:
    """Return a window, and its number of uses in all partitions.

    Args:
        unread: gets the partitions that are left out.

    Raises:
        NotFound: its home partition does not have it.
        SharqError: the home partition cannot be read.
    """
    copies = await asyncio.gather(
        *(_copy_in(dispatch, partition, name) for partition in range(dispatch.partitions))
    )
    home = copies[home_of(name, dispatch.partitions)]
    if home is None:
        raise _unknown(name)
    if isinstance(home, errors.SharqError):
        raise home
    for partition, copy in enumerate(copies):
        if isinstance(copy, errors.SharqError):
            unread.leave_out(partition, copy)
    return home, _uses([copy for copy in copies if isinstance(copy, StoredWindow)])


async def knows_window(dispatch: Router, partition: int, name: str) -> bool:
    """Return True if a partition has a window, so that jobs there may name it."""
    return await dispatch.route(GetWindow("", partition, name)) is not None


async def list_windows(
    dispatch: Router, limit: int, cursor: str | None
) -> tuple[list[StoredWindow], str | None]:
    """Return up to `limit` windows from a cursor on, as they were created, and the next cursor, None at the end.

    They are those of one partition: the first that answers of LISTED ones, and from then on the one that the cursor
    names. Asking each partition for the windows whose home it is would cost as many reads of all windows as there are
    partitions, for the sake of windows that not every partition has confirmed.

    Raises:
        InvalidRequest: the cursor was not made by this function.
        SharqError: none of the partitions answers, or the one of the cursor does not. Begin anew in the latter case.
    """
    if cursor is not None:
        return await _list_from(dispatch, limit, *_position(cursor, dispatch.partitions))
    places = sorted({number * dispatch.partitions // LISTED for number in range(LISTED)})
    for partition in places[:-1]:
        try:
            return await _list_from(dispatch, limit, partition, 0)
        except errors.SharqError as error:
            if not (is_broken(error) or isinstance(error, errors.Unavailable | errors.OutcomeUnknown)):
                raise
            log.debug("windows_not_listed partition=%d error=%r", partition, error.message)
    return await _list_from(dispatch, limit, places[-1], 0)


async def _list_from(
    dispatch: Router, limit: int, partition: int, scan: int
) -> tuple[list[StoredWindow], str | None]:
    """Return windows of a partition behind a number, and the next cursor."""
    windows: list[StoredWindow] = []
    while len(windows) < limit:
        page = await dispatch.route(GetWindows("", partition, scan, min(PAGE, limit - len(windows))))
        windows += page.windows
        scan = page.scan
        if not scan:
            return windows, None
    return windows, f"{partition}-{scan}"


async def drop_window(dispatch: Router, name: str) -> None:
    """Drop a window from every partition. It may be repeated.

    Raises:
        NotFound: no partition has it.
        WindowUsed, Unavailable: nothing was done, or what was done is undone.
        OutcomeUnknown: not every partition has confirmed it; the message says how many have.
    """
    copies, failures = await answers_in(
        dispatch.route, lambda partition: GetWindow("", partition, name), range(dispatch.partitions)
    )
    stored = [window for window in copies.values() if window is not None]
    uses = _uses(stored)
    if failures and not uses:
        # The window may be in use in a partition that cannot be read.
        raise _not_looked_up(failures, dispatch.partitions)
    if not stored:
        raise _unknown(name)
    newest = max(stored, key=lambda window: window.version)
    if uses:
        if len(stored) < len(copies):
            # An earlier removal was not confirmed by every partition, and the window has come into use.
            await put_window(dispatch, name, msgspec.json.decode(newest.definition, type=Window))
        raise _used(name, uses)
    home = home_of(name, dispatch.partitions)
    others = _others(dispatch, home)

    def drop(partition: int) -> DropWindow:
        return DropWindow("", partition, name)

    statuses: list[DropStatus] = await confirmed(dispatch.route, drop, others, dispatch.partitions)
    if DropStatus.USED not in statuses:
        statuses += await confirmed(dispatch.route, drop, [home], dispatch.partitions, done=len(others))
    if DropStatus.USED in statuses:
        # A job or a setting that names the window came after it was asked for. It must not wait for ever.
        await _put_back(dispatch, name, newest)
        raise _used(name, statuses.count(DropStatus.USED))


async def _put_back(dispatch: Router, name: str, window: StoredWindow) -> None:
    """Put a window back that some partitions have dropped; raise OutcomeUnknown if that fails."""
    try:
        await put_window(dispatch, name, msgspec.json.decode(window.definition, type=Window))
    except errors.SharqError as error:
        if error.perhaps_done:
            raise
        raise errors.OutcomeUnknown(
            f"window: it is used, but some partitions have dropped it; repeat the call: {error.message}"
        ) from error


def home_of(name: str, partitions: int) -> int:
    """Return the home partition of a window."""
    return partition_of("window", name, partitions)


def _others(dispatch: Router, home: int) -> list[int]:
    """Return all partitions but the home partition."""
    return [partition for partition in range(dispatch.partitions) if partition != home]


async def _copy_in(dispatch: Router, partition: int, name: str) -> StoredWindow | errors.SharqError | None:
    """Return a window as one partition has it, or the error of that partition."""
    try:
        return await dispatch.route(GetWindow("", partition, name))
    except errors.SharqError as error:
        return error.bare()


def _not_looked_up(failures: Mapping[int, errors.SharqError], of: int) -> errors.SharqError:
    """Return the error of a removal for which not every partition could be asked, so that nothing was dropped."""
    passing = next((error for error in failures.values() if not is_broken(error)), None)
    return not_everywhere(0, of, failures) if passing is None else passing


def _uses(copies: Sequence[StoredWindow]) -> int:
    return sum(window.uses for window in copies)


def _position(cursor: str, partitions: int) -> tuple[int, int]:
    """Return the partition of a cursor, and the number of the window after which the page begins.

    A cursor of an older version has no partition and is one of the first.

    Raises:
        InvalidRequest: no list made the cursor.
    """
    head, dash, number = cursor.partition("-") if "-" in cursor else ("0", "-", cursor)
    is_ours = dash and cursor.isascii() and head.isdecimal() and number.isdecimal()
    if not is_ours or int(head) >= partitions or int(number) > _MAX_NUMBER:
        raise bad_cursor()
    return int(head), int(number)


def _unknown(name: str) -> errors.NotFound:
    return errors.NotFound(f"window: there is no window {name}")


def _used(name: str, uses: int) -> errors.WindowUsed:
    return errors.WindowUsed(f"window: jobs or settings use {name} (uses: {uses}); nothing was dropped")
