"""The shapes of GET /cluster/: the shards as this router knows them, and the state of their stores."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType


class StoreView(Struct, frozen=True, kw_only=True):
    """The store as one node sees it."""

    mode: Annotated[str, Meta(description="The kind of store: embedded, single, sentinel or cluster.")]
    is_reachable: Annotated[bool, Meta(description="True if the node reaches the store.")]
    notices: Annotated[list[str], Meta(description="The problems of the store, in plain text.")] = []
    partitions_away: Annotated[
        int,
        Meta(
            description="Number of the node's partitions that it leaves to other nodes, because it does not reach "
            "their server."
        ),
    ] = 0
    reason: (
        Annotated[
            str,
            Meta(
                description="Why the store or a part of it cannot be used, in plain text; absent while it can."
            ),
        ]
        | UnsetType
    ) = UNSET


class MemberInfo(Struct, frozen=True, kw_only=True):
    """One shard node."""

    node: Annotated[str, Meta(description="The id of the node.")]
    address: Annotated[
        str | None, Meta(description="The host and port of the node; null if it has no address of its own.")
    ]
    is_draining: Annotated[
        bool, Meta(description="True if the node finishes the work it has and takes on nothing new.")
    ]
    partitions: Annotated[int, Meta(description="Number of partitions that the node owns.")]
    store: Annotated[
        StoreView | None,
        Meta(description="The store as the node sees it; null if it has not reported it yet."),
    ]
    reason: (
        Annotated[
            str,
            Meta(description="Why this router does not reach the node, in plain text; absent while it does."),
        ]
        | UnsetType
    ) = UNSET
    notices: Annotated[
        list[str],
        Meta(
            description="The problems of the node itself, such as a certificate that ends soon, in plain text; each "
            "names the setting to change."
        ),
    ] = []


class ClusterInfo(Struct, frozen=True, kw_only=True, tag_field="status", tag="success"):
    """The cluster as this router knows it now."""

    version: Annotated[
        int, Meta(description="The version of the ring, which grows with each change of members.")
    ]
    partitions: Annotated[
        int, Meta(description="Number of partitions of the data, fixed for the life of the data.")
    ]
    members: Annotated[list[MemberInfo], Meta(description="The shard nodes.")]
    reason: (
        Annotated[str, Meta(description="Why no member can be reached, in plain text; absent while one can.")]
        | UnsetType
    ) = UNSET
    notices: Annotated[
        list[str],
        Meta(
            description="The problems of this router itself, such as a certificate that ends soon, in plain text; each "
            "names the setting to change."
        ),
    ] = []
