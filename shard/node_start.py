"""Makes a shard node from the configuration and starts it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from shard.data_identity.memory import NoMemory
from shard.node import ShardNode
from shard.node_settings import NodeSettings
from sharq_core.config import Config
from sharq_core.partitions import Ring
from sharq_core.store.store import Store


async def open_node(
    config: Config,
    store: Store,
    registry: CollectorRegistry,
    node_id: str,
    ring: Ring | None = None,
    memory: NoMemory | None = None,
    *,
    serves_all: bool = False,
) -> ShardNode:
    """Make the shard node and start it; the node keeps trying while its store is away.

    Args:
        ring: the ring at the start; None if the node owns every partition for good.
        memory: the knowledge of the data set that outlives the process; None for none.
        serves_all: True if the node serves every partition, whoever owns it by the ring.

    Raises:
        ConfigError: the store's data was made with another number of partitions.
    """
    node = ShardNode(_settings(config, node_id, serves_all=serves_all), store, registry, ring, memory)
    try:
        await node.start()
    except BaseException:
        await node.stop()
        raise
    return node


def _settings(config: Config, node_id: str, *, serves_all: bool) -> NodeSettings:
    return NodeSettings(
        node_id=node_id,
        key_prefix=config.key_prefix,
        partitions=config.cluster.partitions,
        reaps=config.sharq.enable_requeue_script,
        reap_every_s=config.sharq.job_requeue_interval_ms / 1000,
        finished_retention_us=config.sharq.finished_retention_ms * 1000,
        dead_retention_us=config.sharq.dead_retention_ms * 1000,
        dead_limit=config.sharq.dead_limit,
        results_bytes=config.sharq.results_bytes,
        continues_on_data_loss=config.redis.on_data_loss == "continue",
        serves_all=serves_all,
    )
