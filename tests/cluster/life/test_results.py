"""Results of finished jobs at a node: on a full store, within their memory, and for as long as they are kept."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from shard.batching import batches
from shard.node import NodeSettings
from sharq_core.errors import SharqError
from sharq_core.link.messages import GetJob
from sharq_core.models import ExtendJob, FinishJob, JobStatus, LeaseOutcome, LeaseStatus, QueueKey
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node
from tests.support.stores.server import StoreFactory
from tests.support.waits import until

KIND = "sms"
PARTITIONS = 4
LARGE = b'"' + b"x" * 10_000 + b'"'


async def leased(parts: Parts, count: int, queue_id: str = "q") -> dict[str, str]:
    """Enqueue and lease jobs; returns their leases."""
    await enqueued(parts, *(job(KIND, queue_id, f"j{number:03}") for number in range(count)))
    found: dict[str, str] = {}
    while len(found) < count:
        found |= {held.job_id: held.lease for held in await parts.dequeue(KIND, 1000)}
    return found


async def finish(
    parts: Parts, leases: dict[str, str], result: bytes, queue_id: str = "q"
) -> list[LeaseOutcome | SharqError]:
    """Finish jobs with a result each."""
    return await parts.dispatch.finish(
        [FinishJob(KIND, queue_id, job_id, lease, result=result) for job_id, lease in leases.items()]
    )


async def status_of(parts: Parts, job_id: str, queue_id: str = "q") -> JobStatus | None:
    return await parts.dispatch.route(GetJob(QueueKey(KIND, queue_id), job_id, knows_life=True))


def metric(registry: CollectorRegistry, name: str, **labels: str) -> float:
    value = registry.get_sample_value(name, labels)
    assert value is not None
    return value


@pytest.mark.parametrize("count", [1, 150])
async def test_a_full_store_finishes_jobs_without_their_results(
    own_store: StoreFactory, prefix: str, count: int
) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        leases = await leased(parts, count)
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            finished = await finish(parts, leases, LARGE)
            assert finished == [LeaseOutcome(LeaseStatus.DONE, result_kept=False)] * count
            status = await status_of(parts, "j000")
            assert status is not None and (str(status.state), status.result) == ("finished", None)
            assert not list(client.scan_iter("*result*"))
            assert await finish(parts, leases, LARGE) == finished
            client.config_set("maxmemory", "0")
        assert metric(parts.registry, "sharq_job_results_total", outcome="not_kept") == 2 * count
        assert metric(parts.registry, "sharq_job_results_total", outcome="kept") == 0


async def test_jobs_without_results_are_finished_with_those_whose_results_find_no_room(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        leases = await leased(parts, 3)
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            results = {"j000": b"1", "j001": b"", "j002": b"2"}
            answers = await parts.dispatch.finish(
                [
                    FinishJob(KIND, "q", job_id, leases[job_id], result=text)
                    for job_id, text in results.items()
                ]
            )
            lost = await parts.dispatch.finish([FinishJob(KIND, "q", "never", "f" * 32, result=b"1")])
            client.config_set("maxmemory", "0")
        kept = [answer.result_kept for answer in answers if isinstance(answer, LeaseOutcome)]
        assert kept == [False, None, False]
        assert lost == [LeaseOutcome(LeaseStatus.NOT_FOUND)]


async def test_results_never_take_more_memory_than_they_may(own_store: StoreFactory, prefix: str) -> None:
    """By the count and as the store measures it, while 600 results of 10 KB are sent into room for 64."""
    bound = 64 * 10_500
    settings = NodeSettings(key_prefix=prefix, partitions=PARTITIONS, results_bytes=bound)
    server = own_store()
    async with running_node(server.url, settings, PATIENT_S) as parts:
        with server.client() as client:
            for queue_id in "abcdef":
                leases = await leased(parts, 100, queue_id)
                for job_ids in (list(leases)[:50], list(leases)[50:]):
                    some = {job_id: leases[job_id] for job_id in job_ids}
                    await finish(parts, some, LARGE, queue_id)
                    keys = list(client.scan_iter("*result*"))
                    assert sum(client.memory_usage(key, samples=0) or 0 for key in keys) <= 1.1 * bound
        await until(lambda: metric(parts.registry, "sharq_results_dropped_total") > 0)
        await until(lambda: 0 < metric(parts.registry, "sharq_result_bytes") <= bound)
        newest = await status_of(parts, job_ids[0], "f")
        assert newest is not None and newest.result == LARGE
        oldest = await status_of(parts, "j000", "a")
        assert oldest is not None and oldest.result is None


async def test_results_go_when_their_jobs_are_not_remembered_any_more(
    own_store: StoreFactory, prefix: str
) -> None:
    settings = NodeSettings(
        key_prefix=prefix, partitions=PARTITIONS, finished_retention_us=1_000_000, reap_every_s=0.1
    )
    server = own_store()
    async with running_node(server.url, settings, PATIENT_S) as parts:
        await finish(parts, await leased(parts, 30), LARGE)
        status = await status_of(parts, "j000")
        assert status is not None and status.result == LARGE
        with server.client() as client:
            assert list(client.scan_iter("*result*"))
            await until(lambda: not list(client.scan_iter("*result*")), timeout_s=10)
        await until(lambda: metric(parts.registry, "sharq_result_bytes") == 0)
        assert metric(parts.registry, "sharq_results_dropped_total") == 0


async def test_the_bytes_of_unsent_results_have_a_bound(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results and progress count toward the bytes that a node holds for its store, as payloads do (I11)."""
    monkeypatch.setattr(batches, "MAX_WAITING_BYTES", 25_000)
    leases = await leased(parts, 5)
    answers = await finish(parts, leases, LARGE)
    codes = [answer.code if isinstance(answer, SharqError) else "done" for answer in answers]
    assert codes == ["done", "done", "overloaded", "overloaded", "overloaded"]


async def test_large_results_are_sent_in_several_calls(parts: Parts) -> None:
    """150 results of 10 KB are more than a call may carry."""
    leases = await leased(parts, 150)
    answers = await finish(parts, leases, LARGE)
    kept = [answer.result_kept for answer in answers if isinstance(answer, LeaseOutcome)]
    assert len(kept) == 150 and kept[-1] is True


async def test_progress_is_kept_while_the_store_is_full(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        leases = await leased(parts, 1)
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            (outcome,) = await parts.dispatch.extend(
                [ExtendJob(KIND, "q", "j000", leases["j000"], 60_000_000, b'{"done":1}')]
            )
            client.config_set("maxmemory", "0")
        assert isinstance(outcome, LeaseOutcome) and outcome.status is LeaseStatus.DONE
        status = await status_of(parts, "j000")
        assert status is not None and status.progress == b'{"done":1}'


async def test_a_finish_repeated_after_a_full_store_keeps_its_answer(
    own_store: StoreFactory, prefix: str
) -> None:
    """A job that was finished without its result stays so when the store has room again."""
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        leases = await leased(parts, 1)
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            first = await finish(parts, leases, b"1")
            client.config_set("maxmemory", "0")
        await asyncio.sleep(0)
        assert first == await finish(parts, leases, b"1")
        assert first == [LeaseOutcome(LeaseStatus.DONE, result_kept=False)]
