"""Defines the answers about the cluster as a whole, and about the foremost queues of a type."""

from __future__ import annotations

from typing import Literal

import msgspec


class MemberStore(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a shard, as the shard sees it.

    Attributes:
        mode: the kind of the store.
        is_reachable: True if it answered when it was last asked.
        notices: what is wrong with it, in words.
        partitions_away: the number of partitions that the shard leaves to others, since it does not reach their server.
        reason: why the store, or a part of it, cannot be used; None while it can.
    """

    mode: Literal["embedded", "single", "sentinel", "cluster"]
    is_reachable: bool
    notices: tuple[str, ...] = ()
    partitions_away: int = 0
    reason: str | None = None


class ClusterMember(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of the cluster.

    Attributes:
        node: its id.
        address: the address at which it takes calls of routers; None in one process.
        is_draining: True if it finishes what it has and takes nothing new.
        partitions: the number of partitions that it owns.
        reason: why the router does not reach it; None while it does.
        store: its store; None if it has not said yet.
    """

    node: str
    address: str | None
    is_draining: bool
    partitions: int
    reason: str | None = None
    store: MemberStore | None


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster, as the router that answered sees it.

    Attributes:
        version: the version of the assignment of partitions to shards.
        partitions: the number of partitions of the data.
        reason: why no member can be asked; None while one can.
        members: the shards.
    """

    version: int
    partitions: int
    reason: str | None = None
    members: list[ClusterMember]


class TopRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the queues of a type that have been ready longest, or that hold most jobs.

    Attributes:
        queued, delayed, leased: the numbers of its jobs in these states.
        due_for: the time for which it has been ready, in ms; None if it is not ready now.
        oldest_age: the time since its first queued job was enqueued, in ms; None if nothing is queued.
    """

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_for: float | None
    oldest_age: float | None
