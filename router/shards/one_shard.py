"""The directory of a router that has its only shard in the same process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sharq_core.link.messages import FORMATS, ShardPort


class OneShard:
    """The directory of a router whose only shard is in the same process."""

    def __init__(self, shard: ShardPort, partitions: int) -> None:
        self.partitions = partitions
        self.formats = FORMATS
        self.second_tries = 0
        self.sole_owner = shard
        self._shards = (shard,)

    def owner(self, _partition: int, /) -> ShardPort:
        """Return the only shard."""
        return self.sole_owner

    def shards(self) -> Sequence[ShardPort]:
        """Return the only shard."""
        return self._shards

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        """Return the only shard."""
        return shards

    def on_change(self, tell: Callable[[], None]) -> None:
        """Do nothing: the shard never changes."""

    def stand_in(self, _partition: int, _failed: ShardPort, /) -> ShardPort | None:
        """Return None: there is no other shard."""
        return None

    def doubt(self, shard: ShardPort) -> None:
        """Do nothing: there is no other shard."""

    async def covered(self) -> None:
        """Return at once: there is no other shard."""
