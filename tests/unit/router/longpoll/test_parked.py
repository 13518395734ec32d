"""Parked polls while shards leave: a shard that is gone neither fails them nor is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from router.longpoll.alarms import Alarm, AlarmClock
from router.longpoll.parked import ParkedDequeues, Waiter
from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import FORMATS, Call, Dequeued, OnDue, ShardPort
from sharq_core.models import LeasedJob

JOB = LeasedJob("sms", "q", "j", b"1", "ab", 0, 0, 1, -1, 0)
DEADLINE_S = 10.0

NEVER_S = 0.3
"""Long enough for what must not happen: a failed claim is tried again after 0.1 s."""


class Shard:
    """A shard whose answers the test gives, one call at a time."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[asyncio.Future[Dequeued]] = asyncio.Queue()
        self.on_due: OnDue | None = None

    async def call(self, call: Call[Any]) -> Any:
        answer: asyncio.Future[Dequeued] = asyncio.get_running_loop().create_future()
        self.calls.put_nowait(answer)
        return await answer

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        self.on_due = on_due

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        self.on_due = None

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def tell_due(self) -> None:
        """It has a job now."""
        assert self.on_due is not None
        self.on_due(0)


class Shards:
    """A directory whose shards the test adds and removes."""

    partitions = 64
    second_tries = 0
    formats = FORMATS
    sole_owner = None

    def __init__(self, *shards: Shard) -> None:
        self.present: list[ShardPort] = list(shards)

    def owner(self, partition: int) -> ShardPort:
        return self.present[0]

    def shards(self) -> list[ShardPort]:
        return list(self.present)

    def on_change(self, tell: Callable[[], None]) -> None:
        """The test calls `follow` itself."""

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        return shards

    def stand_in(self, partition: int, failed: ShardPort) -> ShardPort | None:
        return None

    def doubt(self, shard: ShardPort) -> None:
        """The test removes it itself."""

    async def covered(self) -> None:
        """No other shard stands in here."""


class Scene:
    """A poll that is parked while one of two shards is asked, and leaves."""

    def __init__(self) -> None:
        self.leaving, self.staying = Shard(), Shard()
        self.directory = Shards(self.leaving, self.staying)
        self.parked = ParkedDequeues("sms", self.directory, AlarmClock(), self._void_leases)
        self.waiter = Waiter(1, 1_000_000, lambda: False)
        self.given_back = asyncio.Event()
        self.parked.enter(self.waiter)

    async def lose_shard(self, answer: Dequeued | SharqError) -> None:
        """The shard that is asked leaves, and then its answer comes."""
        self.leaving.tell_due()
        call = await asyncio.wait_for(self.leaving.calls.get(), DEADLINE_S)
        self.directory.present.remove(self.leaving)
        self.parked.follow()
        if isinstance(answer, SharqError):
            call.set_exception(answer)
        else:
            call.set_result(answer)

    async def deliver(self) -> list[LeasedJob]:
        """Return the other shard gives the poll a job."""
        self.staying.tell_due()
        call = await asyncio.wait_for(self.staying.calls.get(), DEADLINE_S)
        call.set_result(Dequeued([JOB], None))
        return await asyncio.wait_for(self.waiter.future, DEADLINE_S)

    async def _void_leases(self, jobs: list[LeasedJob]) -> None:
        assert jobs == [JOB]
        self.given_back.set()


async def test_a_poll_waits_on_when_the_shard_that_was_asked_left_and_did_nothing() -> None:
    scene = Scene()
    await scene.lose_shard(Unavailable("this shard has stopped"))
    assert await scene.deliver() == [JOB]


async def test_a_poll_is_told_when_the_shard_that_left_perhaps_leased_a_job() -> None:
    scene = Scene()
    await scene.lose_shard(OutcomeUnknown("no answer"))
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(scene.waiter.future, DEADLINE_S)


async def test_a_poll_is_served_by_another_shard_while_the_one_that_was_asked_is_silent() -> None:
    scene = Scene()
    scene.leaving.tell_due()
    call = await asyncio.wait_for(scene.leaving.calls.get(), DEADLINE_S)
    scene.directory.present.remove(scene.leaving)
    scene.parked.follow()
    assert await scene.deliver() == [JOB]
    call.set_result(Dequeued([JOB], None))
    await asyncio.wait_for(scene.given_back.wait(), DEADLINE_S)


@pytest.mark.parametrize("answer", [Unavailable("stopped"), OutcomeUnknown("no answer"), Dequeued([], 0)])
async def test_a_shard_that_left_is_not_asked_again(answer: Dequeued | SharqError) -> None:
    scene = Scene()
    await scene.lose_shard(answer)
    scene.waiter = Waiter(1, 1_000_000, lambda: False)
    scene.parked.enter(scene.waiter)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(scene.leaving.calls.get(), NEVER_S)
    assert not scene.waiter.future.done()


async def test_a_poll_is_told_that_a_shard_which_is_still_there_cannot_serve() -> None:
    scene = Scene()
    scene.staying.tell_due()
    call = await asyncio.wait_for(scene.staying.calls.get(), DEADLINE_S)
    call.set_exception(Unavailable("the store cannot be reached"))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(scene.waiter.future, DEADLINE_S)


@pytest.mark.parametrize("jobs", [[JOB], []])
async def test_a_poll_whose_time_is_over_takes_what_the_claim_under_way_brings(jobs: list[LeasedJob]) -> None:
    """I2: a job that went back would have used its queue's slot for nothing."""
    scene = Scene()
    scene.staying.tell_due()
    call = await asyncio.wait_for(scene.staying.calls.get(), DEADLINE_S)
    scene.waiter.expire()
    assert not scene.waiter.future.done()
    call.set_result(Dequeued(jobs, None))
    assert await asyncio.wait_for(scene.waiter.future, DEADLINE_S) == jobs


async def test_a_poll_whose_time_is_over_is_answered_at_once_where_no_claim_is_under_way() -> None:
    scene = Scene()
    scene.waiter.expire()
    assert scene.waiter.future.result() == []


class NotedClock(AlarmClock):
    """A clock that notes the times of its alarms."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def add(self, at: float, alarm: Alarm) -> None:
        self.times.append(at)
        super().add(at, alarm)


async def test_the_alarm_is_set_before_the_event_loop_tells_of_the_end_of_a_claim() -> None:
    shard, clock = Shard(), NotedClock()
    parked = ParkedDequeues("sms", Shards(shard), clock, lambda _: asyncio.sleep(0))
    parked.enter(Waiter(1, 1_000_000, lambda: False))
    shard.tell_due()
    call = await asyncio.wait_for(shard.calls.get(), DEADLINE_S)
    clock.times.clear()
    call.set_result(Dequeued([], 60_000_000))
    await asyncio.sleep(0)  # the claim ends in this turn, and the next one tells of it
    assert len(clock.times) == 1
    parked.close()


async def test_a_poll_whose_time_is_over_ends_with_a_claim_that_fails() -> None:
    scene = Scene()
    scene.leaving.tell_due()
    call = await asyncio.wait_for(scene.leaving.calls.get(), DEADLINE_S)
    scene.waiter.expire()
    scene.directory.present.remove(scene.leaving)
    scene.parked.follow()
    call.set_exception(Unavailable("this shard has stopped"))
    assert await asyncio.wait_for(scene.waiter.future, DEADLINE_S) == []


class TwoTypes:
    """A poll that waits for jobs of two types, each at a shard of its own."""

    def __init__(self) -> None:
        self.shards = Shard(), Shard()
        self.directories = [Shards(shard) for shard in self.shards]
        clock = AlarmClock()
        self.parked_by_type = [
            ParkedDequeues(name, directory, clock, self._void_leases)
            for name, directory in zip(("sms", "mail"), self.directories, strict=True)
        ]
        self.waiter = self.enter()

    def enter(self) -> Waiter:
        """Park one more poll of both types."""
        waiter = Waiter(1, 1_000_000, lambda: False)
        waiter.parked_in = self.parked_by_type
        for parked in self.parked_by_type:
            parked.enter(waiter)
        return waiter

    async def asked(self, number: int) -> asyncio.Future[Dequeued]:
        """Return the call that one of the shards gets."""
        return await asyncio.wait_for(self.shards[number].calls.get(), DEADLINE_S)

    async def _void_leases(self, jobs: list[LeasedJob]) -> None:
        raise AssertionError("a job was claimed for a poll that another claim serves")


async def test_a_poll_of_two_types_is_claimed_for_in_one_of_them_at_a_time() -> None:
    scene = TwoTypes()
    scene.shards[0].tell_due()
    first = await scene.asked(0)
    scene.shards[1].tell_due()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(scene.shards[1].calls.get(), NEVER_S)
    first.set_result(Dequeued([], None))
    (await scene.asked(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(scene.waiter.future, DEADLINE_S) == [JOB]


async def test_a_poll_of_two_types_keeps_nobody_else_waiting() -> None:
    scene = TwoTypes()
    scene.shards[0].tell_due()
    first = await scene.asked(0)
    other = Waiter(1, 1_000_000, lambda: False)
    scene.parked_by_type[1].enter(other)
    scene.shards[1].tell_due()
    (await scene.asked(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(other.future, DEADLINE_S) == [JOB]
    first.set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(scene.waiter.future, DEADLINE_S) == [JOB]


async def test_a_poll_of_two_types_is_claimed_for_in_the_other_while_a_shard_is_silent() -> None:
    scene = TwoTypes()
    scene.shards[0].tell_due()
    first = await scene.asked(0)
    scene.shards[1].tell_due()
    scene.directories[0].present.clear()
    scene.parked_by_type[0].follow()
    (await scene.asked(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(scene.waiter.future, DEADLINE_S) == [JOB]
    first.set_result(Dequeued([], None))


async def test_a_poll_of_two_types_that_leaves_during_a_claim_does_not_silence_the_other_type() -> None:
    scene = TwoTypes()
    scene.shards[0].tell_due()
    first = await scene.asked(0)
    for parked in scene.parked_by_type:
        parked.leave(scene.waiter)
    later = scene.enter()
    scene.shards[1].tell_due()
    (await scene.asked(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(later.future, DEADLINE_S) == [JOB]
    first.set_result(Dequeued([], None))
