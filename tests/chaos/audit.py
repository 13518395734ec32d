"""What the store itself holds after a run: nothing is left, its totals add up, and its keys agree with each other (I8).

Not here: what the clients saw (history.py).
"""

from __future__ import annotations

from collections import Counter

import redis

from sharq_core.partitions import DEFAULT_PARTITIONS
from tests.scheduler.driver import Driver
from tests.scheduler.records import assert_keys_agree

LIVE = ("queued", "delayed", "leased")


def totals(client: redis.Redis, prefix: str, kind: str) -> Counter[str]:
    """The type's totals over all partitions, by the names of replies.TypeTotals."""
    drivers = _drivers(client, prefix, kind)
    calls = [driver.functions.refresh(driver.partition) for driver in drivers]
    summed: Counter[str] = Counter()
    for reply in drivers[0].replies(calls):
        assert reply.value is not None
        for found in reply.value.totals:
            if found.queue_type == kind:
                fields = (name for name in found.__struct_fields__ if name != "queue_type")
                summed.update({name: getattr(found, name) for name in fields})
    return summed


def live(client: redis.Redis, prefix: str, kind: str) -> int:
    """Jobs that are queued, delayed or leased."""
    summed = totals(client, prefix, kind)
    return sum(summed[name] for name in LIVE)


def assert_conserved(client: redis.Redis, prefix: str, kind: str) -> None:
    """Every job that came is where it should be, and in every partition the keys agree."""
    summed = totals(client, prefix, kind)
    rest = sum(count for name, count in summed.items() if name != "enqueued")
    assert summed["enqueued"] == rest, summed
    for driver in _drivers(client, prefix, kind):
        assert_keys_agree(driver)


def _drivers(client: redis.Redis, prefix: str, kind: str) -> list[Driver]:
    return [
        Driver(client, prefix, partitions=DEFAULT_PARTITIONS, partition=partition, queue_type=kind)
        for partition in range(DEFAULT_PARTITIONS)
    ]
