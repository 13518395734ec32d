"""The shapes of GET /cluster/: what a router knows of the shards, and what they say of their store.

Not here: the other answers (router/http/response.py).
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class StoreView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one node says of its store.

    mode: embedded, single, sentinel or cluster; notices: what is off with it, in words; partitions_away: how many of
    its partitions the node leaves to others, because it does not reach their server; reason: why the store or a part of
    it cannot be used, absent while it can.
    """

    mode: str
    is_reachable: bool
    notices: list[str] = []
    partitions_away: int = 0
    reason: str | UnsetType = UNSET


class MemberInfo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shard node. partitions: how many it owns; store null: it has not said yet; reason: why this router does not
    reach it, absent while it does.
    """

    node: str
    address: str | None
    is_draining: bool
    partitions: int
    store: StoreView | None
    reason: str | UnsetType = UNSET


class ClusterInfo(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The cluster as this router knows it now. version: of the ring; partitions: of the data, P; reason: why no member
    can be asked, absent while one can.
    """

    version: int
    partitions: int
    members: list[MemberInfo]
    reason: str | UnsetType = UNSET
