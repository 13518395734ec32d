"""What the store itself holds after a run: nothing is left, its totals add up, and its keys agree with each other (I8).

Not here: what the clients saw (history.py).
"""

from __future__ import annotations

from collections import Counter

import redis

from sharq_core.partitions import DEFAULT_PARTITIONS
from sharq_core.scheduler.replies import TypeTotals
from sharq_core.scheduler.surveys import SurveyCalls
from tests.scheduler.driver import Driver
from tests.scheduler.records import assert_keys_agree

LIVE = ("queued", "delayed", "leased")


def totals(client: redis.Redis, prefix: str, kind: str) -> Counter[str]:
    """The type's totals over all partitions, by the names of replies.TypeTotals."""
    drivers = _drivers(client, prefix, kind)
    surveys = SurveyCalls(drivers[0].keys, 0)
    calls = [surveys.get_type(driver.partition, kind) for driver in drivers]
    summed: Counter[str] = Counter()
    names = [name for name in TypeTotals.__struct_fields__ if name != "queue_type"]
    for reply in drivers[0].replies(calls):
        if reply.value is not None:
            summed.update(dict(zip(names, reply.value.totals(), strict=True)))
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
