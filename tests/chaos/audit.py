"""Audits the store after a run: nothing is left, its totals add up, and its keys agree with each other (I8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import redis

from sharq_core.partitions import DEFAULT_PARTITIONS
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import TypeTotals
from sharq_core.scheduler.surveys import SurveyCalls
from tests.scheduler.drivers.driver import Driver
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.stores.redis_cluster import RedisCluster

LIVE = ("queued", "delayed", "leased")

ClientOf: TypeAlias = Callable[[int], redis.Redis]
"""A client of the server that holds a partition."""


@contextmanager
def one_client(open_client: Callable[[], redis.Redis]) -> Iterator[ClientOf]:
    """One server holds all partitions."""
    with open_client() as client:
        yield lambda _partition: client


@contextmanager
def cluster_clients(cluster: RedisCluster, prefix: str) -> Iterator[ClientOf]:
    """Each primary of a Redis Cluster, as it is now, holds some."""
    slots = Keys(prefix, DEFAULT_PARTITIONS).slots
    with ExitStack() as stack:
        clients = {node.port: stack.enter_context(node.client()) for node in cluster.slots.primaries()}
        yield lambda partition: clients[cluster.slots.owner(slots[partition]).port]


def totals(client_of: ClientOf, prefix: str, kind: str) -> Counter[str]:
    """The type's totals over all partitions, by the names of replies.TypeTotals."""
    summed: Counter[str] = Counter()
    names = [name for name in TypeTotals.__struct_fields__ if name != "queue_type"]
    for driver in _drivers(client_of, prefix, kind):
        row, _ = driver.value(SurveyCalls(driver.keys, 0).get_type(driver.partition, kind))
        if row is not None:
            summed.update(dict(zip(names, row.totals(), strict=True)))
    return summed


def live(client_of: ClientOf, prefix: str, kind: str) -> int:
    """Jobs that are queued, delayed or leased."""
    summed = totals(client_of, prefix, kind)
    return sum(summed[name] for name in LIVE)


def assert_conserved(client_of: ClientOf, prefix: str, kind: str) -> None:
    """Every job that came is where it should be, and in every partition the keys agree."""
    summed = totals(client_of, prefix, kind)
    rest = sum(count for name, count in summed.items() if name != "enqueued")
    assert summed["enqueued"] == rest, summed
    for driver in _drivers(client_of, prefix, kind):
        assert_keys_agree(driver)


def _drivers(client_of: ClientOf, prefix: str, kind: str) -> list[Driver]:
    return [
        Driver(
            client_of(partition), prefix, partitions=DEFAULT_PARTITIONS, partition=partition, queue_type=kind
        )
        for partition in range(DEFAULT_PARTITIONS)
    ]
