"""Batches over many partitions at a node: their numbers together, their cancellation, and when they are forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.shards.campaigns.batches import BatchRouting
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from shard.node import NodeSettings
from sharq_core.campaigns.batches import BatchCounts
from sharq_core.errors import NotFound, OutcomeUnknown, Unavailable
from sharq_core.link.campaigns.batch_calls import CancelBatch, GetBatch
from sharq_core.link.messages import Enqueue, PartitionCall
from sharq_core.models import EnqueueStatus, FinishJob, LeasedJob, NewJob
from sharq_core.partitions import partition_of
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
from tests.support.waits import until_answer

KIND = "sms"
BATCH = "campaign7"
HOUR_US = 3_600_000_000
QUEUES = queues_in_different_partitions(KIND, 40)


def members(count: int, queues: list[str], kind: str = KIND, **more: object) -> list[NewJob]:
    """Jobs of the batch, some in each queue."""
    return [
        job(kind, queue, f"j{number}", batch=BATCH, **more) for queue in queues for number in range(count)
    ]


async def finish(parts: Parts, leased: list[LeasedJob]) -> None:
    jobs = [FinishJob(held.queue_type, held.queue_id, held.job_id, held.lease) for held in leased]
    await parts.dispatch.finish(jobs)


async def leased(parts: Parts, count: int, kind: str = KIND) -> list[LeasedJob]:
    found: list[LeasedJob] = []
    while len(found) < count:
        found += await parts.dequeue(kind, count - len(found))
    return found


async def cancel(parts: Parts, kind: str = KIND) -> int:
    return await BatchRouting(parts.dispatch).cancel(kind, BATCH, lambda: False)


class DeafPartition(Dispatch):
    """The dispatch of a router of which some calls about one partition fail.

    Args:
        call: the type of call that fails.
        after: the number of calls about the partition that succeed before.
    """

    def __init__(self, parts: Parts, call: type[PartitionCall[Any]], partition: int, after: int = 0) -> None:
        self._parts, self._call, self._deaf, self._after = parts, call, partition, after

    @property
    def partitions(self) -> int:
        return self._parts.dispatch.partitions

    @property
    def formats(self) -> int:
        return self._parts.dispatch.formats

    async def route(self, call: Any) -> Any:
        if isinstance(call, self._call) and call.partition == self._deaf:
            self._after -= 1
            if self._after < 0:
                raise Unavailable("the store is away")
        return await self._parts.dispatch.route(call)


async def test_the_numbers_of_all_partitions_add_up(store: StoreServer, prefix: str) -> None:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        batches = BatchRouting(parts.dispatch)
        with pytest.raises(NotFound):
            await batches.get(KIND, BATCH, Unread(64))
        await enqueued(
            parts, *members(3, QUEUES), *members(1, ["later"], at_us=2**52), job(KIND, "q", "other")
        )
        assert await batches.get(KIND, BATCH, Unread(64)) == BatchCounts(queued=120, delayed=1)
        held = await leased(parts, 50)
        await finish(parts, held[:20])
        counts = await batches.get(KIND, BATCH, Unread(64))
        assert counts.leased + counts.finished in (49, 50), "one of the leased jobs may be the other one"
        assert counts.total == 121
        with pytest.raises(NotFound):
            await batches.get("email", BATCH, Unread(64))


async def test_a_cancellation_reaches_every_partition(store: StoreServer, prefix: str) -> None:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, *members(3, QUEUES), job(KIND, "q", "other"))
        held = await leased(parts, 10)
        assert await cancel(parts) == 110 + sum(one.job_id == "other" for one in held)
        assert await cancel(parts) == 0
        for queue in ("new1", "new2", "new3", QUEUES[0]):
            refused = await parts.dispatch.route_job(Enqueue, job(KIND, queue, "late", batch=BATCH))
            assert refused.status is EnqueueStatus.BATCH_CANCELLED
        await finish(parts, held)
        counts = await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64))
        assert (counts.queued, counts.leased, counts.total, counts.is_cancelled) == (0, 0, 120, True)


async def test_a_gathered_type_has_its_batch_in_one_partition(store: StoreServer, prefix: str) -> None:
    kind = "sms~carrier"
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, *members(2, QUEUES, kind))
        assert await BatchRouting(parts.dispatch).get(kind, BATCH, Unread(64)) == BatchCounts(queued=80)
        assert await cancel(parts, kind) == 80
        with store.client() as client:
            keys = list(client.scan_iter(f"{{{prefix}:*notes:{kind}"))
        assert len(keys) == 1


async def test_a_partition_that_does_not_answer_makes_no_wrong_sum(store: StoreServer, prefix: str) -> None:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, *members(1, QUEUES))
        deaf = BatchRouting(DeafPartition(parts, GetBatch, 17))
        with pytest.raises(OutcomeUnknown, match="63 of 64 partitions have told"):
            await deaf.get(KIND, BATCH, Unread(64))
        with pytest.raises(OutcomeUnknown, match="63 of 64 partitions"):
            await deaf.cancel(KIND, BATCH, lambda: False)
        assert (await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64))).queued == 40, (
            "nothing was done"
        )


@pytest.mark.parametrize("after", [0, 1])
async def test_a_cancellation_that_stops_half_way_is_finished_by_another(
    store: StoreServer, prefix: str, after: int
) -> None:
    """One partition fails as the batch is marked, or as its jobs are cancelled."""
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, *members(3, QUEUES))
        partition = partition_of(KIND, QUEUES[0], 64)
        deaf = BatchRouting(DeafPartition(parts, CancelBatch, partition, after))
        with pytest.raises(OutcomeUnknown, match="repeat the call"):
            await deaf.cancel(KIND, BATCH, lambda: False)
        counts = await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64))
        assert counts.queued > 0 and counts.total == 120
        assert await cancel(parts) == counts.queued
        assert await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64)) == BatchCounts(
            cancelled=120, is_cancelled=True
        )


async def test_a_client_that_leaves_ends_the_walk_but_not_the_mark(store: StoreServer, prefix: str) -> None:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, *members(300, ["a"]))
        looks = iter([False, True])
        count = await BatchRouting(parts.dispatch).cancel(KIND, BATCH, lambda: next(looks))
        assert 0 < count <= 25, "one step, which the store's time may end early"
        refused = await parts.dispatch.route_job(Enqueue, job(KIND, "a", "late", batch=BATCH))
        assert refused.status is EnqueueStatus.BATCH_CANCELLED
        assert await cancel(parts) == 300 - count
        assert parts.registry.get_sample_value("sharq_batch_jobs_cancelled_total") == 300


async def test_a_batch_is_forgotten_everywhere_once_its_last_job_ended_everywhere(
    store: StoreServer, prefix: str
) -> None:
    settings = NodeSettings(key_prefix=prefix, finished_retention_us=300_000)
    async with running_node(store.url, settings, PATIENT_S) as parts:
        batches = BatchRouting(parts.dispatch)
        await enqueued(parts, *members(1, QUEUES))
        await finish(parts, await leased(parts, 39))
        await asyncio.sleep(2.5)
        assert await batches.get(KIND, BATCH, Unread(64)) == BatchCounts(queued=1, finished=39), (
            "it goes on in one partition"
        )
        await finish(parts, await leased(parts, 1))

        async def is_forgotten() -> bool:
            try:
                await batches.get(KIND, BATCH, Unread(64))
            except NotFound:
                return True
            return False

        await until_answer(is_forgotten)
        with store.client() as client:
            keys = client.scan_iter(f"{{{prefix}:*notes:*")
            assert {field for key in keys for field in client.hkeys(key)} <= {b":n"}
        assert parts.registry.get_sample_value("sharq_batches_forgotten_total") == 1
        assert parts.registry.get_sample_value("sharq_batches_ending") == 0


async def test_batches_work_on_a_redis_cluster(prefix: str) -> None:
    """It refuses a key that a function has not declared."""
    with running_cluster() as cluster:
        async with running_node(cluster.address, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
            await enqueued(parts, *members(2, QUEUES), *members(1, ["later"], at_us=2**52))
            await finish(parts, await leased(parts, 10))
            assert await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64)) == BatchCounts(
                queued=70, delayed=1, finished=10
            )
            assert await cancel(parts) == 71
            assert (await BatchRouting(parts.dispatch).get(KIND, BATCH, Unread(64))).cancelled == 71


async def test_thousands_of_small_batches_are_forgotten_in_time(store: StoreServer, prefix: str) -> None:
    """A batch for each job is of no use, but it must not fill the store."""
    settings = NodeSettings(key_prefix=prefix, finished_retention_us=300_000)
    count = 1_000
    async with running_node(store.url, settings, PATIENT_S) as parts:
        await enqueued(parts, *(job(KIND, f"q{n % 40}", f"j{n}", batch=f"b{n}") for n in range(count)))
        await finish(parts, await leased(parts, count))

        async def left() -> int:
            with store.client() as client:
                keys = client.scan_iter(f"{{{prefix}:*notes:*")
                return sum(field[:2] == b":b" for key in keys for field in client.hkeys(key))

        await until_answer(left, lambda found: found == 0, timeout_s=30)
