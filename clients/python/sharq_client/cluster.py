"""Defines the answers about the cluster as one router sees it, and about the rights of the caller."""

from __future__ import annotations

import msgspec


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """The store as one node sees it.

    Attributes:
        mode: the kind of store: embedded, single, sentinel or cluster.
        is_reachable: True if the node reaches the store.
        notices: the problems of the store, in plain text.
        partitions_away: the number of the node's partitions that it leaves to other nodes, because it does not reach
            their server.
        reason: the reason why the store or a part of it cannot be used; empty while it can.
    """

    mode: str
    is_reachable: bool
    notices: list[str] = []
    partitions_away: int = 0
    reason: str = ""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One shard node.

    Attributes:
        node: the id of the node.
        address: its host and port; None if it has no address of its own, as in one process with the router.
        is_draining: True if it finishes the work that it has and takes on nothing new.
        partitions: the number of partitions that it owns.
        store: the store as it sees it; None if it has not said yet.
        reason: the reason why the router does not reach the node; empty while it does.
        notices: the problems of the node itself, in plain text.
    """

    node: str
    address: str | None
    is_draining: bool
    partitions: int
    store: StoreState | None
    reason: str = ""
    notices: list[str] = []


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster as one router sees it.

    Attributes:
        version: the version of the ring, which grows with each change of the members.
        partitions: the number of partitions of the data.
        members: the shard nodes.
        reason: the reason why no member can be reached; empty while one can.
        notices: the problems of the router itself, in plain text.
    """

    version: int
    partitions: int
    members: list[Member]
    reason: str = ""
    notices: list[str] = []


class TokenRights(msgspec.Struct, frozen=True, kw_only=True):
    """The rights of the caller. A server that asks for no tokens gives everyone all of them.

    Attributes:
        name: the name of the token; None if the server asks for no tokens.
        ops: its permissions: produce, work, read, operate and admin.
        types: the patterns of its queue types, in which `*` stands for any text; None for all types.
        caps: the patterns of the named caps that it may use, likewise; None for all caps.
        max_queued: the most jobs that a queue may hold after an enqueue with this token; None for no limit.
        rps: the most requests per second of this token at one router; None for no limit.
    """

    name: str | None
    ops: list[str]
    types: list[str] | None
    caps: list[str] | None = None
    max_queued: int | None
    rps: int | None
