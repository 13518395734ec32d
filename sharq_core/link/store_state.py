"""Defines what a shard node tells of its store."""

from __future__ import annotations

import msgspec


class StoreState(msgspec.Struct, frozen=True, array_like=True):
    """The state of a node's store, as the node reports it.

    Attributes:
        mode: embedded, single, sentinel or cluster.
        is_reachable: True if the store answered the last call.
        notices: the store's current problems, as text.
        partitions_away: number of partitions that the node leaves to other nodes, because it cannot reach their server
            or has not reached it reliably for long enough.
        data_lost: the reason why the node serves no partition, as text; None while it serves some.
        reason: the reason why the store or a part of it cannot be used, as text without its address; None while there
            is none.
        node_notices: the problems of the node itself, such as a certificate that ends soon, as text.
    """

    mode: str
    is_reachable: bool
    notices: tuple[str, ...] = ()
    partitions_away: int = 0
    data_lost: str | None = None
    reason: str | None = None
    node_notices: tuple[str, ...] = ()
