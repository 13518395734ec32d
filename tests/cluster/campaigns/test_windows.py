"""Windows on a node with a real store whose clock is set: openings are extended, and its steps are followed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.walks import windows as walks
from router.shards.walks.unread import Unread
from shard.calendar import renewals
from shard.calendar.openings import AHEAD_S
from shard.node import NodeSettings
from sharq_core.campaigns.windows import OpenRange, StoredWindow, Window
from sharq_core.errors import NotFound, SharqError, StoreAway, WindowUsed
from sharq_core.limits import BlockedBy, QueueSettings
from sharq_core.link.campaigns.window_calls import DropWindow, GetWindow
from sharq_core.link.control_calls import SetQueue
from sharq_core.link.messages import GetJob
from sharq_core.models import QueueKey
from sharq_core.partitions import partition_of
from tests.support.nodes.members import MemberNode, agree, running_nodes
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import StoreServer, running_store
from tests.support.stores.shifted_clock import ShiftedClock
from tests.support.waits import until, until_answer

KIND = "sms"
KNOWN_S = AHEAD_S - 300
"""Openings are extended by whole hours, so that just before a full hour a little less is known soon after."""
HOUR_S, DAY_S = 3600, 86_400
PARTITIONS = 64
ALWAYS = Window("UTC", (OpenRange("daily", "00:00", "24:00"),))


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StoreServer, ShiftedClock]]:
    """A server by the clock that the test sets."""
    clock = ShiftedClock(tmp_path_factory.mktemp("clock"))
    with running_store("valkey", environ=clock.environ) as server:
        yield server, clock


@pytest.fixture
def clock(shifted: tuple[StoreServer, ShiftedClock]) -> Iterator[ShiftedClock]:
    yield shifted[1]
    shifted[1].set(0)


@pytest.fixture
async def parts(
    shifted: tuple[StoreServer, ShiftedClock], clock: ShiftedClock, prefix: str
) -> AsyncIterator[Parts]:
    async with running_node(shifted[0].url, NodeSettings(key_prefix=prefix), PATIENT_S) as running:
        yield running


def hours(begin: int, end: int) -> Window:
    """Return a window that is open from some hours from now to others, by the full hour."""
    now = time.gmtime().tm_hour
    return Window("UTC", (OpenRange("daily", f"{(now + begin) % 24:02}:00", f"{(now + end) % 24:02}:00"),))


async def stored(parts: Parts, name: str) -> list[StoredWindow]:
    """Return a window as each partition has it."""
    calls = [parts.dispatch.route(GetWindow("", partition, name)) for partition in range(PARTITIONS)]
    return [window for window in await asyncio.gather(*calls) if window is not None]


async def known_s(parts: Parts, name: str) -> float:
    """Return for how long the openings of a window are known, in the partition that knows least."""
    return min((window.until_us - window.now_us) / 1e6 for window in await stored(parts, name))


def metric(parts: Parts, name: str) -> float | None:
    found = [
        sample.value
        for metric in parts.registry.collect()
        for sample in metric.samples
        if sample.name == name
    ]
    return found[0] if found else None


async def leased(parts: Parts, wait_s: float = 0.0) -> str | None:
    """Return the id of the next job, also while a step of the clock is being met; None if none comes."""
    ends_at = time.monotonic() + wait_s
    while True:
        try:
            jobs = await parts.dequeue(KIND, wait_us=int(max(ends_at - time.monotonic(), 0) * 1e6))
        except SharqError:
            await asyncio.sleep(0.02)
            continue
        if jobs or time.monotonic() >= ends_at:
            return jobs[0].job_id if jobs else None


async def test_every_partition_has_a_window_for_the_next_two_days(parts: Parts) -> None:
    await walks.put_window(parts.dispatch, "w", hours(2, 5))
    windows = await stored(parts, "w")
    assert len(windows) == PARTITIONS
    assert len({(window.version, window.until_us, tuple(window.openings)) for window in windows}) == 1
    assert await known_s(parts, "w") >= KNOWN_S
    await until(lambda: metric(parts, "sharq_calendar_known_seconds") is not None)
    assert KNOWN_S <= (metric(parts, "sharq_calendar_known_seconds") or 0) <= AHEAD_S + 2 * HOUR_S
    assert metric(parts, "sharq_calendar_failures_total") == 0


async def test_a_node_without_windows_exports_no_time(parts: Parts) -> None:
    await asyncio.sleep(1.5)
    assert metric(parts, "sharq_calendar_known_seconds") is None


async def test_openings_are_extended_when_time_has_passed(parts: Parts, clock: ShiftedClock) -> None:
    await walks.put_window(parts.dispatch, "w", hours(2, 5))
    (version,) = {window.version for window in await stored(parts, "w")}
    clock.set(DAY_S)
    await until_answer(lambda: known_s(parts, "w"), lambda known: known >= KNOWN_S)
    assert {window.version for window in await stored(parts, "w")} == {version}, "it is no new definition"


@pytest.mark.slow
async def test_openings_are_extended_by_the_next_node_at_its_start(
    shifted: tuple[StoreServer, ShiftedClock], clock: ShiftedClock, prefix: str
) -> None:
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(shifted[0].url, settings, PATIENT_S) as first:
        await walks.put_window(first.dispatch, "w", hours(2, 5))
    clock.set(10 * DAY_S)
    async with running_node(shifted[0].url, settings, PATIENT_S) as second:
        await until_answer(lambda: known_s(second, "w"), lambda known: known >= KNOWN_S)


async def test_jobs_leave_when_their_window_opens_and_wait_when_it_has_closed(
    parts: Parts, clock: ShiftedClock
) -> None:
    await walks.put_window(parts.dispatch, "w", hours(2, 5))
    await enqueued(parts, *(job(KIND, "q", f"j{n}", window="w") for n in range(3)))
    assert await leased(parts, 0.5) is None
    clock.set(3 * HOUR_S)
    assert await leased(parts, 30) == "j0"
    clock.set(7 * HOUR_S)
    assert await leased(parts, 3) is None, "it has closed"
    clock.set(27 * HOUR_S)
    assert await leased(parts, 30) == "j1", "on the next day"


async def test_nothing_leaves_outside_its_window_after_a_step_back(parts: Parts, clock: ShiftedClock) -> None:
    await walks.put_window(parts.dispatch, "w", hours(2, 5))
    await enqueued(parts, *(job(KIND, "q", f"j{n}", window="w") for n in range(2)))
    clock.set(3 * HOUR_S)
    assert await leased(parts, 30) == "j0"
    clock.set(0)
    assert await leased(parts, 3) is None
    stats = await parts.dispatch.queue(QueueKey(KIND, "q"))
    assert stats.blocked_by is BlockedBy.WINDOW
    clock.set(3 * HOUR_S)
    assert await leased(parts, 60) == "j1"


async def test_a_stale_window_is_closed_and_a_failed_renewal_is_counted_and_tried_again(
    parts: Parts, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewals, "RETRY_S", 0.2)
    await walks.put_window(parts.dispatch, "w", ALWAYS)
    await enqueued(parts, job(KIND, "q", "j", window="w"))
    await until(lambda: metric(parts, "sharq_calendar_known_seconds") is not None)
    calendar_windows = parts.node.parts.calendar.windows
    renew = calendar_windows.renew

    async def fail(partition: int, *, is_corrected: bool = False) -> int | None:
        raise NotFound(f"no zone for {partition} {is_corrected}")

    monkeypatch.setattr(calendar_windows, "renew", fail)
    clock.set(5 * DAY_S)
    await until(lambda: (metric(parts, "sharq_calendar_failures_total") or 0) > 3)
    assert await leased(parts, 1) is None, "closed is the safe side"
    assert any("calendar_failed partition=" in record.getMessage() for record in caplog.records)
    monkeypatch.setattr(calendar_windows, "renew", renew)
    assert await leased(parts, 60) == "j"


async def test_the_newest_of_two_puts_at_once_wins_everywhere(parts: Parts) -> None:
    definitions = [hours(begin, begin + 3) for begin in range(1, 9)]
    await asyncio.gather(*(walks.put_window(parts.dispatch, "w", each) for each in definitions))
    windows = await stored(parts, "w")
    assert len(windows) == PARTITIONS
    assert len({window.definition for window in windows}) == 1
    assert msgspec.json.decode(windows[0].definition, type=Window) in definitions


async def test_a_removal_that_meets_a_use_puts_the_window_back(parts: Parts) -> None:
    """A job that came between the question and the removal must not wait for ever."""
    await walks.put_window(parts.dispatch, "w", ALWAYS)
    used = partition_of(KIND, "q", PARTITIONS)
    others = [partition for partition in range(PARTITIONS) if partition != used]
    await asyncio.gather(*(parts.dispatch.route(DropWindow("", partition, "w")) for partition in others))
    await enqueued(parts, job(KIND, "q", "j", window="w"))
    with pytest.raises(WindowUsed, match=r"uses: 1"):
        await walks.drop_window(parts.dispatch, "w")
    assert len(await stored(parts, "w")) == PARTITIONS
    assert await leased(parts, 5) == "j"


async def test_an_interrupted_removal_is_ended_by_the_next_one(parts: Parts) -> None:
    await walks.put_window(parts.dispatch, "w", ALWAYS)
    home = walks.home_of("w", PARTITIONS)
    for partition in (home, (home + 1) % PARTITIONS):
        await parts.dispatch.route(DropWindow("", partition, "w"))
    await walks.drop_window(parts.dispatch, "w")
    assert await stored(parts, "w") == []
    with pytest.raises(NotFound):
        await walks.drop_window(parts.dispatch, "w")


async def test_windows_work_on_a_redis_cluster(prefix: str) -> None:
    """It refuses a key that a function has not declared."""
    with running_cluster() as cluster:
        async with running_node(cluster.address, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
            await walks.put_window(parts.dispatch, "w", hours(2, 5))
            keys = [QueueKey(KIND, f"q{number}") for number in range(20)]
            await enqueued(parts, *(job(KIND, key.queue_id, "j", window="w") for key in keys))
            await parts.dispatch.route(SetQueue(keys[0], QueueSettings(window="w")))
            assert await leased(parts, 0.5) is None
            status = await parts.dispatch.route(GetJob(keys[0], "j", True))
            assert status is not None
            assert status.opens_at_us is not None
            window, uses = await walks.read_window(parts.dispatch, "w", Unread(parts.dispatch.partitions))
            assert (window.is_open, uses) == (False, 21)
            await walks.put_window(parts.dispatch, "w", ALWAYS)
            came = {await leased(parts, 10) for _ in range(20)}
            assert came == {"j"}


@asynccontextmanager
async def stand_in_and_owner(
    store_url: str, prefix: str
) -> AsyncIterator[tuple[MemberNode, MemberNode, Dispatch]]:
    """Two nodes, and a router that asks the first about everything; a job of the second one waits for a window."""
    async with running_nodes(store_url, prefix) as nodes:
        stand_in, owner = await nodes.join("a", "b")
        await until(lambda: agree(stand_in, owner))
        await until(lambda: set(owner.owned) <= owner.node.parts.calendar._renewals._renewals.keys())
        dispatch = Dispatch(OneShard(stand_in.node, PARTITIONS))
        await walks.put_window(dispatch, "w", hours(2, 5))
        queue_ids = (f"q{number}" for number in itertools.count())
        queue_id = next(q for q in queue_ids if partition_of(KIND, q, PARTITIONS) in owner.owned)
        await owner.enqueue(job(KIND, queue_id, "j", window="w"))
        keeper = stand_in.node.parts.calendar._renewals
        await until(lambda: not keeper._soon and not keeper._running)
        yield stand_in, owner, dispatch


async def test_the_owner_ends_the_walk_of_a_stand_in_that_stopped(
    store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "TOUCHED_EVERY_S", 0.2)
    async with stand_in_and_owner(store_url, prefix) as (stand_in, owner, dispatch):
        monkeypatch.setattr(stand_in.node.parts.calendar._renewals, "note_put", lambda *_, **__: None)
        await walks.put_window(dispatch, "w", ALWAYS)
        await until_answer(lambda: owner.dequeue(1), timeout_s=30)


async def test_a_stand_in_tries_a_failed_walk_again(
    store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "RETRY_S", 0.2)
    async with stand_in_and_owner(store_url, prefix) as (stand_in, owner, dispatch):
        calendar = stand_in.node.parts.calendar
        rescore, failures = calendar.windows.rescore, itertools.count()

        async def fail_at_first(partition: int, cursor: str = "") -> None:
            if next(failures) == 0:
                raise StoreAway("it is away")
            await rescore(partition, cursor)

        monkeypatch.setattr(calendar.windows, "rescore", fail_at_first)
        monkeypatch.setattr(owner.node.parts.calendar._renewals, "look_at", lambda _: None)
        await walks.put_window(dispatch, "w", ALWAYS)
        await until_answer(lambda: owner.dequeue(1), timeout_s=30)
        assert next(failures) > 1
