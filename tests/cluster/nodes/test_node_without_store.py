"""A node whose store hangs, ends or comes back empty: every answer says whether the work happened."""

from __future__ import annotations

import asyncio

import pytest

from shard.node import NodeSettings
from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.link.messages import GetJob
from sharq_core.models import (
    QueueKey,
)
from tests.support.nodes.parts import Parts, enqueued, job, queues_in_different_partitions, running_node
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreFactory
from tests.support.waits import DEADLINE_S, until

KIND = "sms"


async def test_a_store_that_hangs_answers_perhaps_and_then_no_and_does_nothing_late(
    own_store: StoreFactory, prefix: str, stopwatch: Stopwatch
) -> None:
    """I9: sent and unanswered is *perhaps*; and the call that the store finds in its socket later is not done."""
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), timeout_s=2.0) as parts:
        await enqueued(parts, job(KIND, "q", "before"))
        for _ in range(10):
            server.pause()
            stopwatch.start()
            (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "late")])
            stopwatch.assert_within(6)
            server.resume()
            await until_answered(parts)
            if isinstance(outcome, OutcomeUnknown):
                break
            # A call of the node itself had the connection, so this one needed a new connection and was never sent.
            assert isinstance(outcome, Unavailable)
        assert isinstance(outcome, OutcomeUnknown)
        assert await parts.dispatch.route(GetJob(QueueKey(KIND, "q"), "late")) is None
        assert len(await parts.dequeue(KIND)) == 1


async def until_answered(parts: Parts) -> None:
    """Wait until the store is back."""
    async with asyncio.timeout(DEADLINE_S):
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


async def test_new_owners_that_cannot_be_told_are_one_line_in_the_log(
    own_store: StoreFactory, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A takeover while the store is away concerns up to 4,096 partitions at once."""
    server = own_store()
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(server.url, settings) as parts:
        server.stop()
        parts.node.parts.refresher.give_up(range(settings.partitions))
        await until(lambda: "new_owners_not_told" in caplog.text)
    assert caplog.text.count("new_owners_not_told") == 1
    assert (
        f"new_owners_not_told partitions={settings.partitions} error='the store cannot be reached: "
        in caplog.text
    )


async def test_a_request_that_got_no_job_is_told_of_a_failure_instead_of_nothing(
    own_store: StoreFactory, prefix: str
) -> None:
    """I6: "nothing is ready" is said only when every due partition was asked."""
    server = own_store()
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(server.url, settings, timeout_s=2.0) as parts:
        await enqueued(parts, *(job(KIND, queue, "j") for queue in queues_in_different_partitions(KIND, 2)))
        server.pause()
        polls = [asyncio.create_task(parts.dequeue(KIND)) for _ in range(4)]
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        server.resume()
        assert all(isinstance(outcome, SharqError) for outcome in outcomes), outcomes
