"""The calls about single jobs on a Redis Cluster, which refuses a key that a function has not declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from router.shards.walks.jobs import cancel_matching
from router.shards.walks.unread import Unread
from shard.node import NodeSettings
from sharq_core.job_changes import CancelJob, CancelOutcome, CancelStatus, ChangeStatus, JobChange
from sharq_core.job_life import DeadReason, DeadRef, OnExpiry, RedriveStatus, Retry
from sharq_core.limits import QueueSettings, TypeSettings
from sharq_core.link.control_calls import GetQueueLimits, SetQueue, SetType
from sharq_core.link.job_calls import Cancel, ChangeJob, DropDeadLetter, ListJobs, Redrive
from sharq_core.link.messages import Enqueue, GetJob, Release
from sharq_core.models import EnqueueStatus, JobState, JobStatus, LeaseStatus, QueueKey, ReleaseJob
from sharq_core.partitions import partition_of
from tests.support.nodes.parts import PATIENT_S, Parts, job, queues_in_different_partitions, running_node
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.waits import until_answer

KIND = "sms"
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
async def parts(cluster: RedisCluster, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(cluster.address, NodeSettings(key_prefix=prefix), PATIENT_S) as running:
        yield running


@pytest.fixture
def queues() -> list[str]:
    """Queues of partitions on every primary."""
    return queues_in_different_partitions(KIND, 64)[::5]


async def state(parts: Parts, queue: str, job_id: str) -> JobStatus:
    status = await parts.dispatch.route(GetJob(QueueKey(KIND, queue), job_id, True))
    assert status is not None
    return status


async def test_waiting_jobs_are_listed_changed_and_cancelled(parts: Parts, queues: list[str]) -> None:
    for queue in queues:
        key = QueueKey(KIND, queue)
        for job_id, fields in (("a", {}), ("b", {"priority": 1}), ("c", {"at_us": 2**52}), ("d", {})):
            new = job(KIND, queue, job_id, expires_us=None, **fields)
            assert (await parts.dispatch.route_job(Enqueue, new)).status is EnqueueStatus.QUEUED
        page = await parts.dispatch.route(ListJobs(key, JobState.QUEUED, 10, "", ""))
        assert [row.job_id for row in page.jobs] == ["b", "a", "d"]
        change = JobChange(payload=b'"new"', priority=9, expires_us=HOUR_US)
        changed = await parts.dispatch.route(ChangeJob(key, "a", change))
        assert changed.status is ChangeStatus.DONE
        assert (await state(parts, queue, "a")).payload == b'"new"'
        assert (await parts.dispatch.route(ListJobs(key, JobState.DELAYED, 10, "", ""))).jobs[0].job_id == "c"
    jobs = [CancelJob(KIND, queue, "b") for queue in queues]
    assert await parts.dispatch.cancel(jobs) == [CancelOutcome(CancelStatus.DONE, JobState.QUEUED)] * len(
        queues
    )
    for queue in queues:
        assert await cancel_matching(parts.dispatch, QueueKey(KIND, queue), "", lambda: False) == 3
        assert (await state(parts, queue, "c")).state is JobState.CANCELLED


async def test_failed_jobs_keep_their_error_until_they_are_redriven_or_dropped(
    parts: Parts, queues: list[str]
) -> None:
    for queue in queues:
        new = job(KIND, queue, "a", requeue_limit=1, retry=Retry(1))
        await parts.dispatch.route_job(Enqueue, new)
    for attempt in (1, 2):
        for _ in queues:
            (leased,) = await until_answer(lambda: parts.dequeue(KIND, 1))
            release = ReleaseJob(
                KIND, leased.queue_id, "a", leased.lease, error=f"try {attempt}", retries=True
            )
            assert (await parts.dispatch.route_job(Release, release)).status is LeaseStatus.DONE
            told = (await state(parts, leased.queue_id, "a")).error
            assert told is not None
            assert (told.text, told.attempt) == (f"try {attempt}", attempt)
    for queue in queues:
        (letter,) = (await parts.dispatch.list_dead(KIND, 10, None, queue, Unread(1)))[0]
        assert (letter.queue_id, letter.reason) == (queue, DeadReason.LIMIT)
        assert letter.error is not None
        assert await parts.dispatch.route_job(Redrive, DeadRef(KIND, queue, "a")) is RedriveStatus.QUEUED
        assert (await state(parts, queue, "a")).error is None
        assert await parts.dispatch.route(DropDeadLetter(QueueKey(KIND, queue), "a")) is False


async def test_a_leased_job_is_cancelled_by_force(parts: Parts, queues: list[str]) -> None:
    for queue in queues:
        await parts.dispatch.enqueue([job(KIND, queue, "a")])
        (leased,) = await until_answer(lambda: parts.dequeue(KIND, 1))
        cancel = CancelJob(KIND, queue, "a")
        assert (await parts.dispatch.route_job(Cancel, cancel)).status is CancelStatus.LEASED
        page = await parts.dispatch.route(ListJobs(QueueKey(KIND, queue), JobState.LEASED, 10, "", ""))
        assert [row.job_id for row in page.jobs] == ["a"]
        forced = await parts.dispatch.route_job(Cancel, CancelJob(KIND, queue, "a", True))
        assert forced == CancelOutcome(CancelStatus.DONE, JobState.LEASED)
        late = await parts.dispatch.route_job(Release, ReleaseJob(KIND, queue, "a", leased.lease))
        assert late.status is LeaseStatus.LOST


async def test_expired_jobs_die_or_are_dropped_and_settings_give_the_default(
    parts: Parts, queues: list[str]
) -> None:
    gathered = f"{KIND}~a"
    change = TypeSettings(expires_us=HOUR_US, retry=Retry(5), on_expiry=OnExpiry.DROP)
    stats = await parts.dispatch.route(SetType(gathered, partition_of(gathered, "", 64), change))
    assert (stats.expires_us, stats.retry, stats.on_expiry) == (HOUR_US, Retry(5), OnExpiry.DROP)
    for queue in queues:
        key = QueueKey(KIND, queue)
        await parts.dispatch.route(SetQueue(key, QueueSettings(expires_us=1000)))
        assert (await parts.dispatch.route(GetQueueLimits(key))).expires_us == 1000
        await parts.dispatch.enqueue(
            [job(KIND, queue, "dead"), job(KIND, queue, "dropped", on_expiry=OnExpiry.DROP)]
        )
    for queue in queues:

        async def is_over(queue: str = queue) -> bool:
            assert not await parts.dequeue(KIND, 10)
            states = [(await state(parts, queue, name)).state for name in ("dead", "dropped")]
            return states == [JobState.DEAD, JobState.EXPIRED]

        assert await until_answer(is_over)
