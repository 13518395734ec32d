"""Models the owners of the slots, and the interface through which they are found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from sharq_core.store.node import StoreNode
from sharq_core.store.replication.successors import Successors

SLOTS = 16384
"""The number of Redis Cluster's slots; a key's slot is the CRC-16 of its hash tag modulo this (Redis Cluster
specification).
"""

ASK_TIMEOUT_S = 0.5
"""The longest wait in seconds for a server's report about the others."""

UrlOf: TypeAlias = Callable[[str, int], str]
"""Returns the driver's URL, user, password and TLS included, of the server at (host, port)."""

NodeAt: TypeAlias = Callable[[str], StoreNode]
"""Returns the server at a URL; the same object each time."""


class Layout(msgspec.Struct, frozen=True):
    """The primaries and their slots.

    Attributes:
        ranges: (first slot, last slot, URL), no slot twice. A slot may have no owner.
        successors: by URL of a primary, the servers that may be promoted in its place.
    """

    ranges: tuple[tuple[int, int, str], ...]
    successors: Mapping[str, Successors] = {}

    @classmethod
    def of_one(cls, url: str, successors: Successors | None) -> Layout:
        """Return the layout in which one server holds everything; successors are None if they were not asked for."""
        return cls(((0, SLOTS - 1, url),), {} if successors is None else {url: successors})

    @property
    def has_excuses(self) -> bool:
        """Some server is passed over because it cannot be promoted now."""
        return any(successors.excused for successors in self.successors.values())

    def urls(self) -> tuple[str, ...]:
        """Return the URLs of the primaries, each once."""
        return tuple(dict.fromkeys(url for _, _, url in self.ranges))


class Topology(Protocol):
    """The interface for finding the servers of a store."""

    @property
    def mode(self) -> str:
        """The kind of the store: single, sentinel or cluster."""
        ...

    @property
    def is_fixed(self) -> bool:
        """The result of `read` never changes."""
        ...

    @property
    def takes_joint_calls(self) -> bool:
        """A server accepts calls about keys of several slots: it is certainly not a node of a Cluster."""
        ...

    @property
    def seeds(self) -> Sequence[str]:
        """The URLs of servers that are asked for the layout, even if they are not in it."""
        ...

    async def read(self, node_at: NodeAt, /) -> Layout:
        """Find the owners of the slots.

        Raises:
            Unavailable: no server could tell.
        """
        ...

    async def listen(self, changed: asyncio.Event) -> None:
        """Set `changed` at each announced change of the layout, until cancelled.

        Return at once if changes are not announced.
        """
        ...
