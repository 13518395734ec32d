"""Which server of the store holds which slots, and the seam through which one finds out.

Not here: the ways to find out (single.py, sentinel.py, redis_cluster.py), and sending calls (store.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from sharq_core.store.node import StoreNode
from sharq_core.store.replication.successors import Successors

SLOTS = 16384
"""Redis Cluster's slot space; a key's slot is the CRC-16 of its hash tag modulo this (Redis Cluster specification)."""

ASK_TIMEOUT_S = 0.5
"""Longest wait for what one server says of the others."""

UrlOf: TypeAlias = Callable[[str, int], str]
"""The driver's URL, user, password and TLS included, of the server at (host, port)."""

NodeAt: TypeAlias = Callable[[str], StoreNode]
"""The server at a URL; the same object each time."""


class Layout(msgspec.Struct, frozen=True):
    """The primaries and their slots.

    Attributes:
        ranges: (first slot, last slot, URL), no slot twice. A slot may be in nobody's hands.
        successors: by URL of a primary, the servers that may be promoted in its place.
    """

    ranges: tuple[tuple[int, int, str], ...]
    successors: Mapping[str, Successors] = {}

    @classmethod
    def of_one(cls, url: str, successors: Successors | None) -> Layout:
        """Return the layout in which one server holds everything; successors are None if nobody has asked for them."""
        return cls(((0, SLOTS - 1, url),), {} if successors is None else {url: successors})

    @property
    def has_excuses(self) -> bool:
        """Some server is passed over because it cannot be promoted now."""
        return any(successors.excused for successors in self.successors.values())

    def urls(self) -> tuple[str, ...]:
        """The primaries, each once."""
        return tuple(dict.fromkeys(url for _, _, url in self.ranges))


class Topology(Protocol):
    """How the servers of a store are found."""

    @property
    def mode(self) -> str:
        """single, sentinel or cluster."""
        ...

    @property
    def is_fixed(self) -> bool:
        """What `read` found holds for good."""
        ...

    @property
    def takes_joint_calls(self) -> bool:
        """A server takes calls about keys of several slots: it is certain that it is none of a Cluster."""
        ...

    @property
    def seeds(self) -> Sequence[str]:
        """URLs of servers that are asked for the layout, whether they are in it or not."""
        ...

    async def read(self, node_at: NodeAt) -> Layout:
        """Find out who holds what.

        Raises:
            Unavailable: nobody could tell.
        """
        ...

    async def listen(self, news: asyncio.Event) -> None:
        """Set `news` whenever the layout is said to have changed; until cancelled, or at once when nobody says so."""
        ...
