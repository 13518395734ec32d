"""Makes the Store that the configuration names."""

from __future__ import annotations

from sharq_core.config import RedisSettings, StoreAddress, StoreMode
from sharq_core.errors import ConfigError
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import function_library
from sharq_core.store.replication.durability import Durability, promise_of
from sharq_core.store.settings_audit import Inspector
from sharq_core.store.store import Store
from sharq_core.store.topology.layout import Topology
from sharq_core.store.topology.redis_cluster import ClusterSlots
from sharq_core.store.topology.sentinel import SentinelGroup, SentinelUrls
from sharq_core.store.topology.single import SingleServer


def make_store(
    address: StoreAddress,
    timeout_s: float,
    durability: Durability = Durability.FAST,
    *,
    is_strict: bool = False,
) -> Store:
    """Return the store at an address, not open yet. Call this on the event loop that will use the store.

    Args:
        timeout_s: the longest time that a call may take.
        durability: the confirmation that a call needs before it is acknowledged.
        is_strict: if True, the store does not open on servers whose own settings may lose jobs.

    Raises:
        ConfigError: the address is that of the embedded store, which has none before it runs.
    """
    return Store(
        _topology(address, needs_successors=durability is not Durability.FAST),
        function_library(),
        address.url_of,
        timeout_s=timeout_s,
        promise=promise_of(durability, library.PROMISED, library.LEASE_ENDING),
        inspector=Inspector(durability, is_strict=is_strict),
    )


def make_configured_store(redis: RedisSettings, address: StoreAddress) -> Store:
    """Return the store at an address with the settings of [redis]; otherwise as `make_store`."""
    durability = Durability(redis.durability)
    return make_store(address, redis.timeout_ms / 1000, durability, is_strict=redis.strict_store)


def _topology(address: StoreAddress, *, needs_successors: bool) -> Topology:
    if address.mode is StoreMode.SERVER:
        return SingleServer(address.url.reveal(), address.url_of)
    if address.mode is StoreMode.CLUSTER:
        return ClusterSlots(
            [address.url_of(server.host, server.port) for server in address.servers], address.url_of
        )
    if address.sentinel_service is None:
        raise ConfigError("the embedded store has no address before it runs")
    sentinels = [SentinelUrls(url, other) for url, other in address.sentinel_urls()]
    return SentinelGroup(
        sentinels, address.sentinel_service, address.url_of, needs_successors=needs_successors
    )
