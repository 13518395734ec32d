"""Makes the Store that the configuration names. Not here: how each kind works (sharq_core/store)."""

from __future__ import annotations

import msgspec

from sharq_core.config import Address, StoreAddress, StoreMode
from sharq_core.errors import ConfigError
from sharq_core.scheduler.executor import function_library
from sharq_core.store.cluster import ClusterSlots
from sharq_core.store.layout import Topology
from sharq_core.store.sentinel import SentinelGroup, SentinelUrls
from sharq_core.store.single import SingleServer
from sharq_core.store.store import Store


def make_store(address: StoreAddress, timeout_s: float) -> Store:
    """The store at an address, not open yet. Call it on the event loop that will use it.

    Args:
        timeout_s: no call takes longer.

    Raises:
        ConfigError: the address is of the embedded store, which has none before it runs.
    """
    return Store(_topology(address), function_library(), address.url_of, timeout_s=timeout_s)


def _topology(address: StoreAddress) -> Topology:
    if address.mode is StoreMode.SERVER:
        return SingleServer(address.url.reveal(), address.url_of)
    if address.mode is StoreMode.CLUSTER:
        return ClusterSlots([address.url_of(one.host, one.port) for one in address.servers], address.url_of)
    if address.sentinel_service is None:
        raise ConfigError("the embedded store has no address before it runs")
    sentinels = [_sentinel(address, one) for one in address.servers]
    return SentinelGroup(sentinels, address.sentinel_service, address.url_of)


def _sentinel(address: StoreAddress, sentinel: Address) -> SentinelUrls:
    place = msgspec.structs.replace(address, servers=(sentinel,), db=0)
    bare = msgspec.structs.replace(place, username=None, password=None)
    return SentinelUrls(place.url.reveal(), bare.url.reveal())
