"""A change in several steps that fails on the way does not say that nothing was done, unless that is so (I9)."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.walks.caps import drop_cap, put_cap, read_cap
from router.shards.walks.unread import Unread
from router.shards.walks.windows import drop_window, put_window
from sharq_core.campaigns.windows import OpenRange, Window
from sharq_core.caps import CapDefinition
from sharq_core.errors import NotFound, OutcomeUnknown, Unavailable
from sharq_core.link.campaigns.schedule_calls import DropSchedule, GetSchedule, PauseSchedule, PutSchedule
from sharq_core.link.campaigns.window_calls import DropWindow, PutWindow
from sharq_core.link.cap_calls import GetCapUses
from sharq_core.link.messages import PartitionCall, QueueCall
from sharq_core.partitions import partition_of
from tests.cluster.campaigns.test_schedules import (
    DAILY,
    KIND,
    NAME,
    PARTITIONS,
    Refusing,
    job_of,
    queue_of_partition,
    records,
    routing,
)
from tests.support.nodes.members import agree, running_nodes
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.waits import until

ReplyT = TypeVar("ReplyT")

AGAIN = "repeat the call: it is away"


async def test_a_pause_that_only_the_home_has_noted_is_in_doubt(parts: Parts) -> None:
    """The next put keeps what the home says."""
    schedules = routing(parts.node)
    await schedules.put(NAME, DAILY, job_of(), b"{}")
    with pytest.raises(OutcomeUnknown, match=AGAIN):
        await routing(Refusing(parts.node, PauseSchedule)).set_paused(NAME, is_paused=True)
    assert (await schedules.put(NAME, DAILY, job_of(), b"{}")).is_paused


async def test_a_pause_whose_state_cannot_be_read_afterwards_is_in_doubt(parts: Parts) -> None:
    await routing(parts.node).put(NAME, DAILY, job_of(), b"{}")
    with pytest.raises(OutcomeUnknown, match=f"the schedule is paused, {AGAIN}"):
        await routing(Refusing(parts.node, GetSchedule)).pause(NAME, is_paused=True)
    (schedule,) = (await records(parts.node)).values()
    assert schedule.is_paused


async def test_a_pause_of_an_unknown_schedule_has_certainly_done_nothing(parts: Parts) -> None:
    with pytest.raises(NotFound):
        await routing(Refusing(parts.node, PauseSchedule)).set_paused(NAME, is_paused=True)


async def test_a_move_that_is_refused_and_then_fails_is_in_doubt(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another change came first after this one had dropped the record; it begins again, and the shard is away."""
    schedules = routing(parts.node)
    before = await schedules.put(NAME, DAILY, job_of(queue_of_partition(1)), b"{}")
    route, puts = schedules._dispatch.route, 0

    async def contended(call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        nonlocal puts
        if isinstance(call, PutSchedule):
            puts += 1
            if puts > 1:
                raise Unavailable("it is away")
            await route(DropSchedule("", call.partition, NAME, before.version + 3_600_000_000))
        return await route(call)

    monkeypatch.setattr(schedules._dispatch, "route", contended)
    with pytest.raises(OutcomeUnknown, match=AGAIN):
        await schedules.put(NAME, DAILY, job_of(queue_of_partition(2)), b"{}")
    assert await records(parts.node) == {}


async def test_a_removal_that_cannot_put_a_window_back_is_in_doubt(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_window(parts.dispatch, "w", Window("UTC", (OpenRange("daily", "00:00", "24:00"),)))
    route, used = parts.dispatch.route, partition_of(KIND, "q", PARTITIONS)

    async def used_meanwhile(call: Any) -> Any:
        if isinstance(call, PutWindow):
            raise Unavailable("it is away")
        if isinstance(call, DropWindow) and call.partition == used:
            await enqueued(parts, job(KIND, "q", "j", window="w"))
        return await route(call)

    monkeypatch.setattr(parts.dispatch, "route", used_meanwhile)
    with pytest.raises(OutcomeUnknown, match=AGAIN):
        await drop_window(parts.dispatch, "w")


async def test_a_cap_whose_queues_cannot_be_counted_is_not_dropped(parts: Parts) -> None:
    await put_cap(parts.dispatch, "acct", CapDefinition([], 1), None)
    failing = Dispatch(OneShard(Refusing(parts.node, GetCapUses), PARTITIONS))
    with pytest.raises(Unavailable):
        await drop_cap(failing, "acct", Unread(PARTITIONS))
    assert (await read_cap(parts.dispatch, "acct")).name == "acct"


class UntoldOwner:
    """Notes that the store refuses."""

    def touch(self, partition: int, queue_type: str) -> None:
        """Refuse a note; the one in the pipeline of the change itself is another."""
        raise Unavailable(f"no note in {partition} about {queue_type}")


async def test_a_change_of_a_schedule_whose_owner_cannot_be_told_is_in_doubt(
    store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_nodes(store_url, prefix) as nodes:
        stand_in, owner = await nodes.join("a", "b")
        await until(lambda: agree(stand_in, owner))
        changes = stand_in.node.parts.calendar.handlers[PutSchedule].__self__  # type: ignore[attr-defined]
        monkeypatch.setattr(changes, "_surveys", UntoldOwner())
        with pytest.raises(OutcomeUnknown, match="its node does not know it yet; repeat the call: no note"):
            await routing(stand_in.node).put(NAME, DAILY, job_of(queue_of_partition(owner.owned[0])), b"{}")
        assert list(await records(owner.node)) == [owner.owned[0]]
