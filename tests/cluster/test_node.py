"""One node below HTTP: fairness over partitions, waiting without the store, and a store that comes and goes.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import redis

from shard.node import NodeSettings
from sharq_core.errors import ConfigError, OutcomeUnknown, Overloaded, SharqError, StoreFull, Unavailable
from sharq_core.link.messages import GetJob
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
    FinishJob,
    JobState,
    LeaseOutcome,
    LeaseStatus,
    QueueKey,
)
from tests.cluster.nodes import Parts, job, queues_in_different_partitions, running_node, until
from tests.conftest import StoreFactory
from tests.stores import KINDS, StoreServer

KIND = "sms"


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store_url, NodeSettings(key_prefix=prefix)) as running:
        yield running


async def enqueued(parts: Parts, *jobs: object) -> None:
    outcomes = await parts.dispatch.enqueue(list(jobs))  # type: ignore[arg-type]
    assert [outcome.status for outcome in outcomes if isinstance(outcome, Enqueued)] == [
        EnqueueStatus.QUEUED
    ] * len(jobs)


async def test_an_enqueued_job_is_dequeued_at_once_every_time(parts: Parts) -> None:
    """I6: what is acknowledged is not missed by the next dequeue."""
    for number in range(500):
        await enqueued(parts, job(KIND, f"q{number % 7}", f"j{number}"))
        (leased,) = await parts.dequeue(KIND)
        assert leased.job_id == f"j{number}"


@pytest.mark.parametrize(("count", "shares"), [(3, [1, 1, 1]), (30, [10, 10, 10]), (100, [33, 33, 34])])
async def test_unlimited_queues_of_different_partitions_share_an_answer(
    parts: Parts, count: int, shares: list[int]
) -> None:
    """U14, over partitions: no queue gives its next job while another due one has given fewer."""
    queues = queues_in_different_partitions(KIND, 3)
    await enqueued(parts, *(job(KIND, queue, f"j{n}") for queue in queues for n in range(50)))
    leased = await parts.dequeue(KIND, count)
    assert sorted(Counter(one.queue_id for one in leased).values()) == shares


async def test_partitions_with_many_and_with_few_queues_share_an_answer(parts: Parts) -> None:
    """U14, when one partition holds most of the due queues."""
    alone, *others = queues_in_different_partitions(KIND, 2, partitions=64)
    crowd = [f"c{n}" for n in range(40)]
    await enqueued(
        parts, *(job(KIND, queue, f"j{n}") for queue in (alone, *others, *crowd) for n in range(20))
    )
    counts = Counter(one.queue_id for one in await parts.dequeue(KIND, 300))
    assert sum(counts.values()) == 300
    assert max(counts.values()) - min(counts.values()) <= 1


async def test_a_bulk_of_large_jobs_keeps_its_order(parts: Parts) -> None:
    """I3: pipelines are cut by bytes, and calls of one queue do not overtake each other."""
    payload = b'"' + b"x" * 60_000 + b'"'
    await enqueued(parts, *(job(KIND, "big", f"j{n:04}", payload=payload) for n in range(300)))
    order: list[str] = []
    while len(order) < 300:
        order += [one.job_id for one in await parts.dequeue(KIND, 1000)]
    assert order == sorted(order)


async def test_an_answer_stays_below_its_bytes(parts: Parts) -> None:
    """I11: a dequeue of 1,000 jobs of 60 kB gives what fits into 8 MiB."""
    payload = b'"' + b"x" * 60_000 + b'"'
    queues = queues_in_different_partitions(KIND, 4)
    await enqueued(parts, *(job(KIND, q, f"j{n:04}", payload=payload) for q in queues for n in range(60)))
    leased = await parts.dequeue(KIND, 1000)
    assert 4 << 20 < sum(len(one.payload) for one in leased) <= 8 << 20


async def test_a_waiting_poll_gets_a_job_when_it_becomes_due(parts: Parts) -> None:
    await enqueued(parts, *(job(KIND, "q", f"j{n}", interval_us=300_000) for n in range(2)))
    assert len(await parts.dequeue(KIND)) == 1
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert leased.job_id == "j1"


async def test_a_waiting_poll_gets_a_job_that_is_enqueued_later(parts: Parts) -> None:
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 1)
    await enqueued(parts, job(KIND, "q", "j"))
    assert [one.job_id for one in await poll] == ["j"]


async def test_a_waiting_poll_gets_the_job_of_an_ended_lease(parts: Parts) -> None:
    await enqueued(parts, job(KIND, "q", "j"))
    await parts.dequeue(KIND, lease_us=200_000)
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert (leased.job_id, leased.attempt) == ("j", 2)


async def test_waiting_polls_ask_the_store_nothing(parts: Parts, store: StoreServer) -> None:
    """A parked poll costs the store no request beyond the index's reading once a second."""
    polls = [asyncio.create_task(parts.dequeue(KIND, wait_us=1_500_000)) for _ in range(200)]
    await until(lambda: parts.polls.waiting == 200)
    with store.client() as client:
        before = calls_by_function(client)
        assert await asyncio.gather(*polls) == [[]] * 200
        after = calls_by_function(client)
    assert after - before <= 3 * 64 * 8


def calls_by_function(client: redis.Redis) -> int:
    """FCALLs that the server ever ran, of all its clients."""
    stats = client.info("commandstats")
    assert isinstance(stats, dict)
    return sum(row["calls"] for name, row in stats.items() if name.startswith("cmdstat_fcall"))


async def test_a_poll_whose_client_has_gone_takes_no_job(parts: Parts) -> None:
    gone = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000, is_gone=lambda: True))
    there = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 2)
    await enqueued(parts, job(KIND, "q", "j"))
    (leased,) = await there
    assert leased.attempt == 1
    assert await gone == []


async def test_a_lease_that_nobody_received_goes_back_uncounted(parts: Parts) -> None:
    await enqueued(parts, job(KIND, "q", "j", requeue_limit=0))
    lost = await parts.dequeue(KIND)
    await parts.polls.give_back(lost)
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert (leased.job_id, leased.attempt, leased.requeues_remaining) == ("j", 1, 0)
    assert leased.lease != lost[0].lease


async def test_a_poll_that_is_cancelled_as_it_is_served_gives_its_job_back(parts: Parts) -> None:
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 1)
    await enqueued(parts, job(KIND, "q", "j"))
    while not poll.cancelled():
        poll.cancel()
        await asyncio.sleep(0)
        if poll.done():
            break
    with pytest.raises(asyncio.CancelledError):
        await poll
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert leased.job_id == "j"


async def test_draining_answers_every_waiting_poll(parts: Parts) -> None:
    polls = [asyncio.create_task(parts.dequeue(KIND, wait_us=30_000_000)) for _ in range(10)]
    await until(lambda: parts.polls.waiting == 10)
    parts.polls.drain()
    assert await asyncio.gather(*polls) == [[]] * 10
    assert await parts.dequeue(KIND, wait_us=30_000_000) == []


async def test_a_delayed_job_is_handed_out_when_its_delay_has_passed(parts: Parts) -> None:
    started = time.monotonic()
    await enqueued(parts, job(KIND, "q", "j", delay_us=300_000))
    assert await parts.dequeue(KIND) == []
    assert len(await parts.dequeue(KIND, wait_us=5_000_000)) == 1
    assert time.monotonic() - started >= 0.3


async def test_a_store_with_another_number_of_partitions_is_refused_with_both_numbers(
    parts: Parts, store_url: str, prefix: str
) -> None:
    with pytest.raises(ConfigError, match=r"128 is configured.* 64"):
        async with running_node(store_url, NodeSettings(key_prefix=prefix, partitions=128)):
            pass


async def test_a_store_that_hangs_answers_perhaps_and_then_no_and_does_nothing_late(
    own_store: StoreFactory, prefix: str
) -> None:
    """I9: sent and unanswered is *perhaps*; and the call that the store finds in its socket later is not done."""
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), timeout_s=0.5) as parts:
        await enqueued(parts, job(KIND, "q", "before"))
        server.pause()
        started = time.monotonic()
        (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "late")])
        assert isinstance(outcome, OutcomeUnknown)
        assert time.monotonic() - started < 2
        server.resume()
        await until_answered(parts)
        assert await parts.dispatch.route(GetJob(QueueKey(KIND, "q"), "late")) is None
        assert len(await parts.dequeue(KIND)) == 1


async def until_answered(parts: Parts) -> None:
    """Wait until the store is back."""
    async with asyncio.timeout(10):
        while True:
            try:
                await parts.dispatch.check_store()
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.parametrize("kind", ["valkey", "redis"])
async def test_a_store_that_was_restarted_without_the_library_gets_it_again(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    server = own_store(kind=kind)
    settings = NodeSettings(key_prefix=prefix, continues_on_data_loss=True)
    async with running_node(server.url, settings) as parts:
        await enqueued(parts, job(KIND, "q", "lost"))
        lost_id = parts.node.guard.data_id
        server.stop()
        (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "refused")])
        assert isinstance(outcome, SharqError)
        (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "refused")])
        assert isinstance(outcome, Unavailable)
        server.start()
        await until_answered(parts)
        await until(lambda: parts.node.guard.data_id != lost_id)
        await enqueued(parts, job(KIND, "q", "kept"))
        (leased,) = await parts.dequeue(KIND, wait_us=3_000_000)
        assert leased.job_id == "kept"


async def test_a_crowd_before_a_store_that_is_away_is_refused_whole(
    own_store: StoreFactory, prefix: str
) -> None:
    """A pipeline that is refused before it was sent makes room for the next at once, hundreds of times over."""
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        server.stop()
        await parts.dispatch.enqueue([job(KIND, "q", "j")])
        crowd = [parts.dispatch.enqueue([job(f"type{n}", "q", "j")]) for n in range(10_000)]
        for (outcome,) in await asyncio.gather(*crowd):
            assert isinstance(outcome, Unavailable)


async def test_a_store_that_is_away_at_the_start_is_waited_for(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    server.stop()
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        assert not parts.node.is_ready
        with pytest.raises(Unavailable):
            await parts.dispatch.enqueue([job(KIND, "q", "j")])
        server.start()
        await until(lambda: parts.node.is_ready)
        await enqueued(parts, job(KIND, "q", "j"))


async def test_functions_that_were_flushed_under_load_are_loaded_again(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        with server.client() as client:
            for number in range(20):
                client.function_flush()
                await enqueued(parts, *(job(KIND, f"q{n}", f"{number}-{n}") for n in range(20)))
        assert sum([len(await parts.dequeue(KIND, 100)) for _ in range(4)]) == 400


async def test_a_full_store_refuses_enqueues_and_drains(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        await enqueued(
            parts, *(job(KIND, "q", f"j{n}", payload=b'"' + b"x" * 1000 + b'"') for n in range(100))
        )
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "more")])
            assert isinstance(outcome, StoreFull)
            leased = await parts.dequeue(KIND, 100)
            assert len(leased) == 100
            finished = await parts.dispatch.finish(
                [FinishJob(one.queue_type, one.queue_id, one.job_id, one.lease) for one in leased]
            )
            assert finished == [LeaseOutcome(LeaseStatus.DONE)] * 100
            client.config_set("maxmemory", "0")
        await enqueued(parts, job(KIND, "q", "more"))


async def test_more_unsent_jobs_than_a_node_may_hold_are_refused_at_once(
    own_store: StoreFactory, prefix: str
) -> None:
    """I11: while the store hangs, memory is bounded and the rest is refused."""
    server = own_store()
    payload = b'"' + b"x" * 250_000 + b'"'
    async with running_node(server.url, NodeSettings(key_prefix=prefix), timeout_s=1.0) as parts:
        server.pause()
        calls = [
            asyncio.create_task(
                parts.dispatch.enqueue([job(KIND, "q", f"{n}-{m}", payload=payload) for m in range(60)])
            )
            for n in range(10)
        ]
        outcomes = [outcome for answers in await asyncio.gather(*calls) for outcome in answers]
        server.resume()
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert kinds[Overloaded] > 0
        assert set(kinds) <= {Overloaded, OutcomeUnknown, Unavailable}


async def test_what_a_job_is_can_be_asked_in_each_state(parts: Parts) -> None:
    key = QueueKey(KIND, "q")
    await enqueued(parts, job(KIND, "q", "a"), job(KIND, "q", "b"), job(KIND, "q", "c", delay_us=60_000_000))
    (leased,) = await parts.dequeue(KIND)
    states = {}
    for job_id in "abc":
        status = await parts.dispatch.route(GetJob(key, job_id))
        assert status is not None
        states[job_id] = status.state
    assert states == {"a": JobState.LEASED, "b": JobState.QUEUED, "c": JobState.DELAYED}
    await parts.dispatch.finish([FinishJob(KIND, "q", "a", leased.lease)])
    status = await parts.dispatch.route(GetJob(key, "a"))
    assert status is not None
    assert status.state is JobState.FINISHED


async def test_a_request_that_got_no_job_is_told_of_a_failure_instead_of_nothing(
    own_store: StoreFactory, prefix: str
) -> None:
    """I6: "nothing is ready" is said only when every due partition was asked."""
    server = own_store()
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(server.url, settings, timeout_s=0.5) as parts:
        await enqueued(parts, *(job(KIND, queue, "j") for queue in queues_in_different_partitions(KIND, 2)))
        server.pause()
        polls = [asyncio.create_task(parts.dequeue(KIND)) for _ in range(4)]
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        server.resume()
        assert all(isinstance(outcome, SharqError) for outcome in outcomes), outcomes


async def test_a_store_that_takes_no_library_leaves_nobody_waiting(
    own_store: StoreFactory, prefix: str
) -> None:
    store = own_store()
    async with running_node(store.url, NodeSettings(key_prefix=prefix), timeout_s=1.0) as parts:
        await enqueued(parts, job(KIND, "q", "before"))
        with store.client() as client:
            both = client.pipeline(transaction=True)
            both.execute_command("FUNCTION", "FLUSH")
            both.execute_command("CONFIG", "SET", "min-replicas-to-write", "1")
            both.execute()
            async with asyncio.timeout(20):
                (refused,) = await parts.dispatch.enqueue([job(KIND, "q", "refused")])
                assert isinstance(refused, Unavailable)
                with pytest.raises(Unavailable):
                    await parts.dequeue(KIND)
            client.config_set("min-replicas-to-write", 0)
        async with asyncio.timeout(20):
            await enqueued(parts, job(KIND, "q", "after"))
            assert [leased.job_id for leased in await parts.dequeue(KIND, 2)] == ["before", "after"]


async def test_dequeues_at_once_all_get_a_job_though_one_answer_could_not_carry_them(parts: Parts) -> None:
    """I6: what is left over of a large demand is the next one's."""
    payload = b'"' + b"x" * 100_000 + b'"'
    for part in range(10):
        await enqueued(parts, *(job(KIND, f"q{n}", f"j{part}-{n}", payload=payload) for n in range(20)))
    answers = await asyncio.gather(*(parts.dequeue(KIND) for _ in range(200)))
    assert [len(jobs) for jobs in answers] == [1] * 200


@pytest.mark.parametrize("kind", KINDS)
async def test_a_user_with_the_documented_rights_is_enough(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    store = own_store(kind=kind)
    rights = "+@read +@write +fcall +function|load +time +info +ping"
    with store.client() as client:
        client.execute_command("ACL", "SETUSER", "sharq", "on", ">p", f"~{{{prefix}:*", *rights.split())
    url = store.url.replace("redis://", "redis://sharq:p@")
    async with running_node(url, NodeSettings(key_prefix=prefix)) as parts:
        await enqueued(parts, job(KIND, "q", "j"), job(KIND, "q", "k"))
        leased = await parts.dequeue(KIND, 2)
        assert [one.job_id for one in leased] == ["j", "k"]
        done = await parts.dispatch.finish([FinishJob(KIND, "q", one.job_id, one.lease) for one in leased])
        assert done == [LeaseOutcome(LeaseStatus.DONE)] * 2
        with store.client() as client:
            assert client.execute_command("ACL", "LOG") == []
