"""The settings of one shard node, as shard/node_start.py takes them from the configuration."""

from __future__ import annotations

import msgspec

from sharq_core.partitions import DEFAULT_PARTITIONS
from sharq_core.scheduler.functions import Retention


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a node.

    Attributes:
        key_prefix: the prefix of every key, without braces.
        partitions: P; the store remembers the first value that it was given.
        reaps: False if the node runs no reaper.
        reap_every_s: the longest time between two looks at a partition's timers, in seconds.
        finished_retention_us, dead_retention_us: the times for which finished jobs and dead letters are kept, in µs.
        tombstone_limit: the most finished jobs remembered, over all types.
        dead_limit: the most dead letters kept, per type.
        results_bytes: the most memory for the results of finished jobs, over all partitions.
        serves_all: if True, the node serves every partition, and the ring says which timers and schedules are its own:
            it is one of the workers of a sharq-server.
        continues_on_data_loss: if True, the node accepts a loss of the store's data; else calls are refused.
    """

    node_id: str = "local"
    key_prefix: str = "sharq_server"
    partitions: int = DEFAULT_PARTITIONS
    reaps: bool = True
    reap_every_s: float = 1.0
    finished_retention_us: int = 300_000_000
    dead_retention_us: int = 604_800_000_000
    tombstone_limit: int = 1_000_000
    dead_limit: int = 100_000
    results_bytes: int = 64 << 20
    continues_on_data_loss: bool = False
    serves_all: bool = False

    def retention(self) -> Retention:
        """Return the retention for the functions: one partition may hold all jobs, so it gets the whole limits.

        Two generations of tombstones share one limit.
        """
        return Retention(
            self.finished_retention_us,
            self.dead_retention_us,
            self.tombstone_limit // 2,
            self.dead_limit,
            self.results_bytes,
        )
