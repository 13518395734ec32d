"""The directory of a router whose calls to shards have spans. Without tracing there is none (router/main.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from router.shards.directory import Directory
from router.shards.link import ShardLink
from sharq_core.link.messages import ShardPort
from sharq_core.link.traced_port import TracedPort

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import Spans


class TracedDirectory:
    """A Directory that gives out each shard as a TracedPort, always the same one."""

    def __init__(self, directory: Directory, spans: Spans) -> None:
        self._directory = directory
        self._spans = spans
        self._ports: dict[ShardPort, TracedPort] = {}
        directory.on_change(self._forget_parted)

    @property
    def formats(self) -> int:
        """The newest record format that every member can handle."""
        return self._directory.formats

    @property
    def second_tries(self) -> int:
        """The number of calls repeated at another shard so far."""
        return self._directory.second_tries

    @second_tries.setter
    def second_tries(self, number: int) -> None:
        self._directory.second_tries = number

    @property
    def partitions(self) -> int:
        """The number of partitions, P."""
        return self._directory.partitions

    @property
    def sole_owner(self) -> ShardPort | None:
        """The shard to ask about every partition; see Directory."""
        shard = self._directory.sole_owner
        return None if shard is None else self._traced(shard)

    def owner(self, partition: int, /) -> ShardPort:
        """Return the shard to ask about a partition; see Directory."""
        return self._traced(self._directory.owner(partition))

    def shards(self) -> Sequence[ShardPort]:
        """Return every shard that can be reached."""
        return [self._traced(shard) for shard in self._directory.shards()]

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        """Return those of all shards that dequeues ask first; see Directory."""
        informed = self._directory.informed([_bare(shard) for shard in shards])
        return [shard for shard in shards if _bare(shard) in informed]

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever `shards` may have changed."""
        self._directory.on_change(tell)

    def stand_in(self, partition: int, failed: ShardPort, /) -> ShardPort | None:
        """Return the shard to ask instead of one that does not reach its store; None if there is none."""
        other = self._directory.stand_in(partition, _bare(failed))
        return None if other is None else self._traced(other)

    def doubt(self, shard: ShardPort) -> None:
        """Pass over a shard for a moment; see Directory."""
        self._directory.doubt(_bare(shard))

    async def covered(self) -> None:
        """Return once the shards that were told to cover partitions of others do so; see Directory."""
        await self._directory.covered()

    def _traced(self, shard: ShardPort) -> TracedPort:
        traced = self._ports.get(shard)
        if traced is None:
            from sharq_core.telemetry.spans import SpanKind  # noqa: PLC0415 - it needs the extra otel

            name = shard.address if isinstance(shard, ShardLink) else ""
            traced = self._ports[shard] = TracedPort(shard, self._spans, SpanKind.CLIENT, "call", name)
        return traced

    def _forget_parted(self) -> None:
        """Drop the ports of shards that are gone; those that come back get a new one."""
        present = set(self._directory.shards())
        self._ports = {shard: port for shard, port in self._ports.items() if shard in present}


def _bare(shard: ShardPort) -> ShardPort:
    return shard.port if isinstance(shard, TracedPort) else shard
