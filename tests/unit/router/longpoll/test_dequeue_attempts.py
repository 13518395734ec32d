"""Dequeues of several types over shards of which one falls silent, as a paused process does."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from router.longpoll.dequeues import Polls
from sharq_core.errors import OutcomeUnknown
from sharq_core.link.control_calls import PeekTypes
from sharq_core.link.messages import Call, Dequeue, Dequeued, Peek
from tests.unit.router.longpoll.test_parked import DEADLINE_S, JOB, Shard, Shards

TYPES = ("sms", "mail")


class IndexedShard(Shard):
    """A shard that tells of each type when it is due, and whose answers to dequeues the test gives."""

    def __init__(self, **due_in_us: int) -> None:
        super().__init__()
        self.due_in_us = due_in_us
        self.asked: list[Call[Any]] = []
        self.is_silent = False

    async def call(self, call: Call[Any]) -> Any:
        self.asked.append(call)
        if self.is_silent:
            await asyncio.Event().wait()
        match call:
            case Peek():
                return self.due_in_us.get(call.queue_type)
            case PeekTypes():
                return [self.due_in_us.get(name) for name in call.queue_types]
        return await super().call(call)


class Scene:
    """A router over two shards."""

    def __init__(self, first: IndexedShard, second: IndexedShard) -> None:
        self.shards = first, second
        self.directory = Shards(first, second)
        self.polls = Polls(self.directory)

    def dequeue(self, *types: str, count: int = 1) -> asyncio.Task[Any]:
        return asyncio.create_task(self.polls.dequeue(types, count, 1_000_000, 0, lambda: False))

    async def asked_for_jobs(self, number: int) -> asyncio.Future[Dequeued]:
        """Return the next dequeue that a shard gets."""
        return await asyncio.wait_for(self.shards[number].calls.get(), DEADLINE_S)

    def lose(self, number: int) -> None:
        """Let the router find a shard silent."""
        self.directory.present.remove(self.shards[number])


async def test_a_shard_that_does_not_tell_its_due_times_is_passed_over_when_it_is_found_silent() -> None:
    scene = Scene(IndexedShard(sms=-9), IndexedShard(mail=-1))
    scene.shards[0].is_silent = True
    poll = scene.dequeue(*TYPES)
    await asyncio.sleep(0)
    scene.lose(0)
    (await scene.asked_for_jobs(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB]


async def test_another_shard_is_asked_while_one_that_was_asked_for_jobs_is_silent() -> None:
    scene = Scene(IndexedShard(sms=-9), IndexedShard(mail=-1))
    poll = scene.dequeue(*TYPES)
    silent = await scene.asked_for_jobs(0)
    scene.lose(0)
    (await scene.asked_for_jobs(1)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB]
    await asyncio.sleep(0)
    assert silent.cancelled(), "a link gives back what a cancelled dequeue leased"


@pytest.mark.parametrize("answer", [Dequeued([JOB], None), OutcomeUnknown("no answer")])
async def test_the_late_answer_counts_if_no_other_shard_has_a_job(answer: Dequeued | OutcomeUnknown) -> None:
    scene = Scene(IndexedShard(sms=-9), IndexedShard(mail=-1))
    poll = scene.dequeue(*TYPES)
    silent = await scene.asked_for_jobs(0)
    scene.lose(0)
    scene.shards[1].due_in_us.clear()
    (await scene.asked_for_jobs(1)).set_result(Dequeued([], None))
    if isinstance(answer, Dequeued):
        silent.set_result(answer)
        assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB]
    else:
        silent.set_exception(answer)
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(poll, DEADLINE_S)


async def test_a_dequeue_of_several_jobs_asks_all_due_types_at_once_and_the_longest_due_comes_first() -> None:
    scene = Scene(IndexedShard(sms=-9), IndexedShard(mail=-1))
    poll = scene.dequeue(*TYPES, count=5)
    first, second = await scene.asked_for_jobs(0), await scene.asked_for_jobs(1)
    asked = [shard.asked[-1] for shard in scene.shards]
    assert asked == [Dequeue("sms", 4, 1_000_000), Dequeue("mail", 1, 1_000_000)]
    letter = msgspec.structs.replace(JOB, queue_type="mail")
    second.set_result(Dequeued([letter], -1))
    await asyncio.sleep(0)
    first.set_result(Dequeued([JOB], None))
    # The other type says that it has more, so it is asked once more, for what there is room for.
    (await scene.asked_for_jobs(1)).set_result(Dequeued([letter, letter], None))
    assert scene.shards[1].asked[-1] == Dequeue("mail", 3, 1_000_000)
    assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB, letter, letter, letter]


async def test_a_shard_that_failed_is_not_asked_again_for_several_jobs() -> None:
    scene = Scene(IndexedShard(sms=-9, mail=-5), IndexedShard())
    poll = scene.dequeue(*TYPES, count=5)
    for answer in [await scene.asked_for_jobs(0) for _ in TYPES]:
        answer.set_exception(OutcomeUnknown("no answer"))
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(poll, DEADLINE_S)
    assert sum(isinstance(call, Dequeue) for call in scene.shards[0].asked) == len(TYPES)


async def test_no_more_types_are_asked_than_jobs_are_wanted() -> None:
    scene = Scene(IndexedShard(sms=-9, mail=-5, voice=-1), IndexedShard())
    poll = scene.dequeue("sms", "mail", "voice", count=2)
    answers = [await scene.asked_for_jobs(0) for _ in range(2)]
    assert [call.queue_type for call in scene.shards[0].asked if isinstance(call, Dequeue)] == ["sms", "mail"]
    for answer in answers:
        answer.set_result(Dequeued([], None))
    (await scene.asked_for_jobs(0)).set_result(Dequeued([JOB], None))
    assert scene.shards[0].asked[-1] == Dequeue("voice", 2, 1_000_000)
    assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB]


async def test_an_empty_dequeue_asks_each_shard_once_about_all_types() -> None:
    scene = Scene(IndexedShard(), IndexedShard(sms=500_000))
    assert await scene.dequeue(*TYPES) == []
    for shard in scene.shards:
        assert shard.asked == [PeekTypes([*TYPES])]


async def test_a_shard_of_an_older_version_is_asked_type_by_type() -> None:
    scene = Scene(IndexedShard(), IndexedShard())
    scene.directory.formats = PeekTypes.formats - 1
    assert await scene.dequeue(*TYPES) == []
    assert [shard.asked for shard in scene.shards] == 2 * [[Peek("sms"), Peek("mail")]]


async def test_a_shard_that_gave_nothing_although_it_was_due_is_asked_again() -> None:
    scene = Scene(IndexedShard(sms=-9), IndexedShard())
    poll = scene.dequeue("sms")
    (await scene.asked_for_jobs(0)).set_result(Dequeued([], None))
    (await scene.asked_for_jobs(0)).set_result(Dequeued([JOB], None))
    assert await asyncio.wait_for(poll, DEADLINE_S) == [JOB]
    assert [type(call) for call in scene.shards[0].asked] == [Peek, Dequeue, Peek, Dequeue]
