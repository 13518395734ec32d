"""When each shard's next job of a type is due, as this router last heard it: whom a dequeue should ask first.

Hints only order the shards. Before it says that nothing is ready the router asks every shard
(router/longpoll/dequeues.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import msgspec

from sharq_core.link.messages import ShardPort

FRESH_S = 0.02
"""How old a hint may be that others are judged by: a shard that was not heard of for longer is asked, so that none
starves behind one that always has jobs.
"""

MAX_TYPES = 10_000


class _Hint(msgspec.Struct, frozen=True):
    due_at: float | None
    heard_at: float


class Hints:
    """Per type and shard, when its next job is due, by time.monotonic."""

    def __init__(self) -> None:
        self._types: dict[str, dict[ShardPort, _Hint]] = {}

    def hear(self, queue_type: str, shard: ShardPort, due_in_us: int | None) -> None:
        """A shard said when its next job of the type is due (negative: since), None for never."""
        now = monotonic()
        if queue_type not in self._types and len(self._types) >= MAX_TYPES:
            self._types.clear()
        due_at = None if due_in_us is None else now + due_in_us / 1e6
        self._types.setdefault(queue_type, {})[shard] = _Hint(due_at, now)

    def stale(self, queue_type: str, shards: Sequence[ShardPort]) -> list[ShardPort]:
        """The shards that were not heard of lately."""
        known, oldest = self._types.get(queue_type, {}), monotonic() - FRESH_S
        return [shard for shard in shards if shard not in known or known[shard].heard_at < oldest]

    def due(self, queue_type: str, shards: Sequence[ShardPort]) -> list[ShardPort]:
        """The shards that have a job due, longest due first."""
        known, now = self._types.get(queue_type, {}), monotonic()
        found = [
            (hint.due_at, index)
            for index, shard in enumerate(shards)
            if (hint := known.get(shard)) is not None and hint.due_at is not None and hint.due_at <= now
        ]
        return [shards[index] for _, index in sorted(found)]

    def keep(self, shards: Sequence[ShardPort]) -> None:
        """Forget shards that are no more."""
        there = set(shards)
        for known in self._types.values():
            for shard in known.keys() - there:
                del known[shard]
