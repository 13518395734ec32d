"""A cancellation by prefix goes step by step: it ends with its client, and says what it did when a step fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import TypeVar

import pytest

from router.shards.walks.jobs import MAX_REST_S, cancel_matching
from shard.node import NodeSettings
from sharq_core.errors import OutcomeUnknown, Unavailable
from sharq_core.link.messages import QueueCall
from sharq_core.models import QueueKey
from tests.support.nodes.parts import PATIENT_S, Parts, job, running_node
from tests.support.stores.server import StoreServer

KEY = QueueKey("sms", "q")
ReplyT = TypeVar("ReplyT")


@pytest.fixture
async def parts(store: StoreServer, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        jobs = [job("sms", "q", f"c7-{number}") for number in range(500)]
        await parts.dispatch.enqueue(jobs)
        yield parts


class FailingRoutes:
    """The routes of a router whose shard fails after some steps.

    Args:
        steps: the number of steps that succeed.
    """

    def __init__(self, parts: Parts, steps: int) -> None:
        self.steps = steps
        self._parts = parts

    async def route(self, call: QueueCall[ReplyT]) -> ReplyT:
        if self.steps == 0:
            raise Unavailable("the store is away")
        self.steps -= 1
        return await self._parts.dispatch.route(call)


async def queued(parts: Parts) -> int:
    return (await parts.dispatch.queue(KEY)).queued


async def test_a_walk_stops_before_its_next_step_once_the_client_has_left(parts: Parts) -> None:
    looks = iter([False, True])
    cancelled = await cancel_matching(parts.dispatch, KEY, "c7-", lambda: next(looks))
    assert 0 < cancelled < 500
    assert await queued(parts) == 500 - cancelled


async def test_a_failure_after_some_steps_says_how_many_jobs_are_cancelled(parts: Parts) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await cancel_matching(FailingRoutes(parts, 2), KEY, "c7-", lambda: False)
    left = await queued(parts)
    assert 0 < left < 500
    assert caught.value.message == f"{500 - left} jobs were cancelled, then: the store is away"


async def test_a_failure_of_the_first_step_says_that_nothing_was_done(parts: Parts) -> None:
    with pytest.raises(Unavailable):
        await cancel_matching(FailingRoutes(parts, 0), KEY, "c7-", lambda: False)
    assert await queued(parts) == 500


async def test_jobs_that_are_enqueued_after_the_first_step_are_kept(parts: Parts) -> None:
    class BusyRoutes(FailingRoutes):
        """The routes of a router beside a producer that enqueues more jobs between the steps."""

        async def route(self, call: QueueCall[ReplyT]) -> ReplyT:
            reply = await super().route(call)
            await parts.dispatch.enqueue([job("sms", "q", f"c7-new-{self.steps}-{n}") for n in range(200)])
            return reply

    routes = BusyRoutes(parts, 100)
    assert await cancel_matching(routes, KEY, "c7-", lambda: False) == 500
    assert await queued(parts) == 200 * (100 - routes.steps)


async def test_a_walk_rests_after_each_step_as_long_as_the_step_took(parts: Parts) -> None:
    spans: list[tuple[float, float]] = []

    class SlowRoutes(FailingRoutes):
        """The routes of a router whose shard takes its time."""

        async def route(self, call: QueueCall[ReplyT]) -> ReplyT:
            begun_at = time.monotonic()
            await asyncio.sleep(0.02)
            reply = await super().route(call)
            spans.append((begun_at, time.monotonic()))
            return reply

    assert await cancel_matching(SlowRoutes(parts, 100), KEY, "c7-", lambda: False) == 500
    assert len(spans) >= 5
    for (begun_at, ended_at), (next_at, _) in pairwise(spans):
        # A sleep may end up to a millisecond early.
        assert next_at - ended_at >= min(ended_at - begun_at, MAX_REST_S) - 0.001
