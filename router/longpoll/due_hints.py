"""Keeps hints: the time at which each shard's next job of a type is due, as last heard by this router.

Hints only decide the order in which a dequeue asks the shards. Before the router answers that nothing is ready, it asks
every shard (router/longpoll/dequeues.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TypeAlias

import msgspec

from sharq_core.link.messages import ShardPort

Place: TypeAlias = tuple[str, ShardPort]
"""A queue type and a shard."""

FRESH_S = 0.02
"""Maximum age of a hint. A shard with an older hint is asked, so that it does not starve behind one that always has
jobs.
"""

MAX_TYPES = 10_000


class _Hint(msgspec.Struct, frozen=True):
    due_at: float | None
    heard_at: float


class Hints:
    """For each type and shard, the due time of its next job, by time.monotonic."""

    def __init__(self) -> None:
        self._types: dict[str, dict[ShardPort, _Hint]] = {}

    def hear(self, queue_type: str, shard: ShardPort, due_in_us: int | None) -> None:
        """Record the due time of a shard's next job of a type, relative to now.

        Args:
            due_in_us: negative if the job is already due; None if there is no job.
        """
        now = monotonic()
        if queue_type not in self._types and len(self._types) >= MAX_TYPES:
            self._types.clear()
        due_at = None if due_in_us is None else now + due_in_us / 1e6
        self._types.setdefault(queue_type, {})[shard] = _Hint(due_at, now)

    def stale(self, places: Sequence[Place]) -> list[Place]:
        """Return the places whose hint is missing or older than FRESH_S."""
        oldest = monotonic() - FRESH_S
        return [place for place in places if (hint := self._at(place)) is None or hint.heard_at < oldest]

    def due(self, places: Sequence[Place]) -> list[Place]:
        """Return the places that have a due job, longest due first."""
        now = monotonic()
        due = [
            (hint.due_at, index)
            for index, place in enumerate(places)
            if (hint := self._at(place)) is not None and hint.due_at is not None and hint.due_at <= now
        ]
        return [places[index] for _, index in sorted(due)]

    def keep(self, shards: Sequence[ShardPort]) -> None:
        """Forget the hints of all other shards."""
        kept = set(shards)
        for hints in self._types.values():
            for shard in hints.keys() - kept:
                del hints[shard]

    def _at(self, place: Place) -> _Hint | None:
        queue_type, shard = place
        return self._types.get(queue_type, {}).get(shard)
