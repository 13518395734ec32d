"""The reason why a dequeue of several types gets nothing: a node asks the store for all of them together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shard.index import explanations
from shard.node import NodeSettings
from sharq_core.limits import BlockedBy
from sharq_core.link.control_calls import Explain, ExplainTypes
from sharq_core.link.messages import SetPaused
from sharq_core.models import QueueKey
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.type_parts import merge_explanations
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node

TYPES = [f"type{number}" for number in range(16)]
PAUSED, DELAYED, GATHERED = TYPES[3], TYPES[7], "mail~carrier"


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as started:
        yield started


@pytest.fixture(autouse=True)
def _remembers_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a second from one question to the next."""
    monkeypatch.setattr(explanations, "REMEMBERED_S", 60.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The numbers of calls by function that nodes send to the store from now on."""
    counts: Counter[str] = Counter()
    run = Executor.run

    async def counting(self: Executor, calls: list[FunctionCall[Any]], timeout_s: float | None = None) -> Any:
        counts.update(call.function.name for call in calls)
        return await run(self, calls, timeout_s)

    monkeypatch.setattr(Executor, "run", counting)
    return counts


async def test_sixteen_types_are_one_question_for_each_partition(parts: Parts, sent: Counter[str]) -> None:
    await enqueued(parts, job(PAUSED, "q", "1"), job(DELAYED, "q", "1", delay_us=60_000_000))
    await parts.node.call(SetPaused(QueueKey(PAUSED, "q"), True))
    found = await parts.node.call(ExplainTypes(TYPES))
    assert found.blocked_by is BlockedBy.DELAYED
    assert found.next_ready_in_us is not None
    assert 0 < found.next_ready_in_us <= 60_000_000
    assert (sent["explain"], sent["explain_types"]) == (0, parts.node.settings.partitions)
    await parts.node.call(ExplainTypes(TYPES))
    assert sent["explain_types"] == parts.node.settings.partitions, "the reasons are remembered"


async def test_all_types_together_say_what_each_says_alone(parts: Parts) -> None:
    await enqueued(parts, job(PAUSED, "q", "1"), job(GATHERED, "q", "1"))
    for queue_type in (PAUSED, GATHERED):
        await parts.node.call(SetPaused(QueueKey(queue_type, "q"), True))
    types = [TYPES[0], PAUSED, GATHERED]
    together = await parts.node.call(ExplainTypes(types))
    assert together.blocked_by is BlockedBy.PAUSED
    remembered = [await parts.node.call(Explain(queue_type)) for queue_type in types]
    assert [found.blocked_by for found in remembered] == [BlockedBy.EMPTY, BlockedBy.PAUSED, BlockedBy.PAUSED]
    assert together == merge_explanations(remembered)
    await enqueued(parts, *(job(queue_type, "other", "1") for queue_type in types))
    alone = [await parts.node.call(Explain(queue_type)) for queue_type in types]
    assert [found.blocked_by for found in alone] == [None, None, None]


async def test_questions_at_one_time_share_the_reads(parts: Parts, sent: Counter[str]) -> None:
    await asyncio.gather(
        *(parts.node.call(ExplainTypes(TYPES)) for _ in range(5)), parts.node.call(Explain(TYPES[0]))
    )
    assert sent["explain_types"] == parts.node.settings.partitions
    assert sent["explain"] == 0
