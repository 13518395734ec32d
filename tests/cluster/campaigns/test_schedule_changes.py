"""A change of a schedule while another one is between its steps."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from sharq_core.link.campaigns.schedule_calls import GetSchedule, PutSchedule
from sharq_core.link.messages import PartitionCall, QueueCall
from tests.cluster.campaigns.test_schedules import DAILY, NAME, job_of, queue_of_partition, records, routing
from tests.support.nodes.parts import Parts

ReplyT = TypeVar("ReplyT")


async def test_a_pause_waits_for_a_put_that_is_slow_between_its_drop_and_its_record(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule exists all the time, so that nobody may be told that it does not."""
    schedules = routing(parts.node)
    await schedules.put(NAME, DAILY, job_of(queue_of_partition(1)), b"{}")
    route = schedules._dispatch.route
    is_dropped, is_looked_for = asyncio.Event(), asyncio.Event()

    async def route_slowly(call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        if isinstance(call, GetSchedule):  # the pause has found no record, and looks again
            is_looked_for.set()
        if isinstance(call, PutSchedule):
            is_dropped.set()
            await is_looked_for.wait()
        return await route(call)

    monkeypatch.setattr(schedules._dispatch, "route", route_slowly)
    put = asyncio.create_task(schedules.put(NAME, DAILY, job_of(queue_of_partition(2)), b"{}"))
    await is_dropped.wait()
    assert await records(parts.node) == {}
    await schedules.set_paused(NAME, is_paused=True)
    assert (await put).is_paused
    assert {partition: one.is_paused for partition, one in (await records(parts.node)).items()} == {2: True}
