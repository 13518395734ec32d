"""Calls of a link that nobody answers, on the event loop that production has."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
import uvloop

from router.shards.pending_calls import PendingCalls
from sharq_core.errors import Unavailable
from sharq_core.link.messages import Peek
from sharq_core.link.socket import Outbox


class _Nowhere:
    """A socket that takes everything and answers nothing."""

    async def send_bytes(self, data: bytes) -> None:
        """Take it."""


async def _first_call_is_late_at_once() -> None:
    outbox: Outbox[int] = Outbox(_Nowhere(), lambda: True)  # type: ignore[arg-type]
    given_back: list[Sequence[object]] = []
    calls = PendingCalls(outbox, 0, 0.0, given_back.append, Counter())
    for _ in range(2):
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable, match="did not answer"):
                await calls.send(Peek("sms"))


def test_a_call_whose_time_is_up_when_it_is_sent_is_answered() -> None:
    """A process that stood still finds deadlines behind it: uvloop's handle of a timer that is due has no time."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_first_call_is_late_at_once())
