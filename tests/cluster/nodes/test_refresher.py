"""The work that a node does once a second in its partitions."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque

import redis

from shard.node import NodeSettings
from sharq_core.models import FinishJob, LeasedJob, LeaseOutcome, LeaseStatus
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from tests.support.nodes.parts import (
    PATIENT_S,
    Parts,
    enqueued,
    job,
    queues_in_different_partitions,
    running_node,
)
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import StoreServer
from tests.support.waits import until

KIND = "sms"
REPEATED_AFTER_S = 0.3
REMEMBERED_FOR_S = 0.9
LEAST = 100
"""So many repetitions come in time, however busy the machine is."""
"""Two looks at what a partition remembers are a second apart, and what the first kept may go with the second."""


async def test_a_finish_is_remembered_for_a_moment_however_many_there_are(
    store_url: str, prefix: str
) -> None:
    """The one partition holds more than its bound at each look at it, once a second (I5)."""
    repeated: list[object] = []
    async with running_node(
        store_url, NodeSettings(key_prefix=prefix, tombstone_limit=400), PATIENT_S
    ) as parts:

        async def work(word: str, until_s: float) -> None:
            nonlocal repeated
            number, done = 0, deque[tuple[float, FinishJob]]()
            while time.monotonic() < until_s or len(repeated) <= LEAST:
                await asyncio.sleep(0.01)  # they finish more than a thousand jobs a second all the same
                number += 10
                await parts.dispatch.enqueue([job(KIND, "q", f"{word}-{number + n}") for n in range(10)])
                ends = [FinishJob(KIND, "q", one.job_id, one.lease) for one in await parts.dequeue(KIND, 10)]
                await parts.dispatch.finish(ends)
                done += [(time.monotonic(), end) for end in ends]
                while done and time.monotonic() > done[0][0] + REPEATED_AFTER_S:
                    finished_at, end = done.popleft()
                    outcomes = await parts.dispatch.finish([end])
                    if time.monotonic() < finished_at + REMEMBERED_FOR_S:
                        repeated += outcomes

        await asyncio.gather(*(work(word, time.monotonic() + 5) for word in "abcd"))
    assert len(repeated) > LEAST
    assert all(outcome == LeaseOutcome(LeaseStatus.DONE) for outcome in repeated)


def newly_remembered(client: redis.Redis, keys: Keys, partition: int) -> int:
    """Return how many finished jobs a partition remembers beside those that go next."""
    (name,) = keys.of(partition, "", ("done0",)).names
    return int(client.hlen(name))


async def finish_some(parts: Parts, queue: str, count: int) -> None:
    """Enqueue, lease and finish jobs of a queue."""
    await enqueued(parts, *(job(KIND, queue, f"j{number}") for number in range(count)))
    held: list[LeasedJob] = []
    while len(held) < count:
        held += await parts.dequeue(KIND, count - len(held), wait_us=10_000_000)
    ends = [FinishJob(KIND, queue, one.job_id, one.lease) for one in held]
    assert await parts.dispatch.finish(ends) == [LeaseOutcome(LeaseStatus.DONE)] * count


async def test_a_broken_partition_keeps_no_other_one_above_its_bounds(
    store: StoreServer, prefix: str
) -> None:
    settings = NodeSettings(key_prefix=prefix, partitions=2, tombstone_limit=100)
    keys = Keys(prefix, settings.partitions)
    first, second = sorted(
        queues_in_different_partitions(KIND, 2, 2), key=lambda queue: partition_of(KIND, queue, 2)
    )
    async with running_node(store.url, settings, PATIENT_S) as parts:
        await finish_some(parts, first, 90)
        await until(lambda: parts.node.parts.refresher.tombstones == 90)
        with store.client() as client:
            (broken,) = keys.of(0, "", ("done0",)).names
            client.delete(broken)
            client.set(broken, "of another program")
            await finish_some(parts, second, 90)
            await until(lambda: newly_remembered(client, keys, 1) == 0)


async def test_a_store_server_that_is_away_keeps_no_partition_of_others_above_its_bounds(
    prefix: str,
) -> None:
    settings = NodeSettings(key_prefix=prefix, tombstone_limit=100)
    keys = Keys(prefix, settings.partitions)
    queue = next(q for q in (f"q{n}" for n in itertools.count()) if partition_of(KIND, q, 64) == 63)
    with running_cluster(replicas=0) as cluster:
        async with running_node(cluster.address, settings) as parts:
            await enqueued(parts, job(KIND, queue, "j"))
            cluster.servers[0].kill()
            await finish_some(parts, queue, 150)
            with cluster.servers[2].client() as client:
                await until(lambda: newly_remembered(client, keys, 63) == 0)
