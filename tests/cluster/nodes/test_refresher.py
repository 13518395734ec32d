"""The work that a node does once a second in its partitions."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from shard.node import NodeSettings
from sharq_core.models import FinishJob, LeaseOutcome, LeaseStatus
from tests.support.nodes.parts import PATIENT_S, job, running_node

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
