"""Reads, puts and drops named caps, each in the home partition of its name, and counts the queues that have one."""

from __future__ import annotations

import asyncio

from router.shards.dispatch import Dispatch
from router.shards.walks.everywhere import changed_at_home
from router.shards.walks.listings import PartitionWalk
from router.shards.walks.unread import Unread
from sharq_core.caps import CapDefinition, CapPage, CapState
from sharq_core.errors import NotFound, SharqError, StoreFull
from sharq_core.link.cap_calls import DropCap, GetCap, GetCapUses, HoldCap, ListCaps, PutCap
from sharq_core.partitions import partition_of


def home_of(name: str, partitions: int) -> int:
    """Return the home partition of a cap."""
    return partition_of("cap", name, partitions)


async def put_cap(dispatch: Dispatch, name: str, definition: CapDefinition, hold_us: int | None) -> CapState:
    """Define a cap, and return its state.

    Args:
        hold_us: as in PutCap.

    Raises:
        StoreFull: its partition has as many caps as it may. Nothing was done.
    """
    call = PutCap("", home_of(name, dispatch.partitions), name, definition, hold_us)
    state = await changed_at_home(dispatch.route, call)
    if state is None:
        raise StoreFull("cap: its partition has as many caps as it may; delete unused ones first")
    return state


async def read_cap(dispatch: Dispatch, name: str) -> CapState:
    """Return the state of a cap; raise NotFound if there is none."""
    state = await dispatch.route(GetCap("", home_of(name, dispatch.partitions), name))
    if state is None:
        raise _unknown(name)
    return state


async def hold_cap(dispatch: Dispatch, name: str, hold_us: int) -> None:
    """Hold a cap for a time from now; raise NotFound if there is none."""
    call = HoldCap("", home_of(name, dispatch.partitions), name, hold_us)
    if not await changed_at_home(dispatch.route, call):
        raise _unknown(name)


async def drop_cap(dispatch: Dispatch, name: str, unread: Unread) -> int:
    """Drop a cap, and return how many queues stand still without it; raise NotFound if there is none.

    Args:
        unread: gets the partitions whose queues are not counted.
    """
    # The count comes first: if it failed after the drop, its error would say that nothing was done.
    queues, _ = await count_uses(dispatch, name, unread)
    call = DropCap("", home_of(name, dispatch.partitions), name)
    if not await changed_at_home(dispatch.route, call):
        raise _unknown(name)
    return queues


def list_caps(dispatch: Dispatch, limit: int, cursor: str | None) -> PartitionWalk[CapPage, CapState]:
    """Return the list of all caps from a cursor on; raise InvalidRequest if no such list made the cursor."""
    return PartitionWalk(
        dispatch.route,
        lambda partition, scan, count: ListCaps("", partition, scan, count),
        lambda page: ((state.name, state) for state in page.caps),
        dispatch.partitions,
        limit,
        cursor,
    )


async def count_uses(dispatch: Dispatch, name: str, unread: Unread) -> tuple[int, int]:
    """Return how many queues of all partitions have a cap, and how many jobs they have queued.

    Cost: one bounded read of each partition, and further ones of a partition with very many sets of caps.

    Args:
        unread: gets the partitions that are left out.
    """
    parts = await asyncio.gather(
        *(_uses_in(dispatch, partition, name, unread) for partition in range(dispatch.partitions))
    )
    return sum(queues for queues, _ in parts), sum(queued for _, queued in parts)


async def _uses_in(dispatch: Dispatch, partition: int, name: str, unread: Unread) -> tuple[int, int]:
    """Return the numbers of queues and of queued jobs of one partition."""
    queues = queued = after = 0
    while True:
        try:
            part = await dispatch.route(GetCapUses("", partition, name, after))
        except SharqError as error:
            unread.leave_out(partition, error)
            return queues, queued
        queues, queued, after = queues + part.queues, queued + part.queued, part.after
        if not after:
            return queues, queued


def _unknown(name: str) -> NotFound:
    return NotFound(f"cap: there is no cap {name}")
