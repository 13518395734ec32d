"""Makes a job, and asks for the error of a call that is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from sharq_client import EnqueueJob, SharqError
from tests.support.stopwatch import running_stopwatch

AT_ONCE_S = 0.9
"""Less than the pause before the first retry."""


def a_job(kind: str) -> EnqueueJob:
    return EnqueueJob(queue_type=kind, queue_id="1", payload=1, interval=0)


async def refusal(opened: Any, kind: str, error: type[SharqError]) -> SharqError:
    """Return the error of an enqueue, which is raised at once, and of a look at a queue, which is the same."""
    with running_stopwatch() as stopwatch:
        async with opened as client:
            with pytest.raises(error) as raised:
                await client.enqueue(a_job(kind))
            with pytest.raises(error):
                await client.queue(kind, "1")
            stopwatch.assert_within(2 * AT_ONCE_S)
    assert not raised.value.perhaps_done
    return raised.value
