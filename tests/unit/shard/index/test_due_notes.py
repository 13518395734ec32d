"""The notes between workers: a ready index tells and hears, and each node asks its own partitions first."""

from __future__ import annotations

from time import monotonic

from shard.cluster.ownership import Ownership
from shard.index.due_notes import DueNotes
from shard.index.ready_index import HEAD_START_S, ReadyIndex
from sharq_core.partitions import Ring
from sharq_core.scheduler.replies import Hint

BOTH, ONE = frozenset({"local-0", "local-1"}), frozenset({"local-0"})


def an_index() -> ReadyIndex:
    return ReadyIndex(lambda _: None)


def now_us() -> int:
    return int(monotonic() * 1e6)


def due_hint(in_us: int = 0) -> Hint:
    now = now_us()
    return Hint(now_us=now, ready_us=now + in_us, timer_us=None)


async def test_a_listener_hears_what_waits_already_and_what_comes() -> None:
    index = an_index()
    notes = DueNotes(index)
    heard: list[int] = []

    def on_note(partition: int, _due_at: float) -> None:
        heard.append(partition)

    index.note(3, "sms", due_hint())
    notes.listen("sms", on_note)
    index.note(5, "sms", due_hint())
    index.note(6, "voice", due_hint())
    assert heard == [3, 5]
    notes.unlisten("sms", on_note)
    index.note(7, "sms", due_hint())
    assert heard == [3, 5] and not index.listeners


async def test_a_note_is_told_again_although_the_index_knows_of_it() -> None:
    """The listener may have leased the job and forgotten the partition since."""
    index = an_index()
    heard: list[int] = []
    DueNotes(index).listen("sms", lambda partition, _due_at: heard.append(partition))
    index.note(3, "sms", due_hint())
    index.note(3, "sms", due_hint())
    assert heard == [3, 3]


async def test_what_is_heard_wakes_the_polls_that_wait_here() -> None:
    index = an_index()
    told: list[int | None] = []
    index.subscribe("sms", told.append)
    DueNotes(index).hear("sms", [(3, monotonic() - 0.001)])
    assert len(told) == 1 and (told[0] or 0) <= 0
    assert index.due("sms", monotonic()) == [(3, 1)]


async def test_what_is_heard_is_not_told_on() -> None:
    index = an_index()
    heard: list[int] = []
    DueNotes(index).listen("sms", lambda partition, _due_at: heard.append(partition))
    DueNotes(index).hear("sms", [(3, monotonic())])
    assert heard == []


async def test_partitions_of_others_are_asked_last_but_not_for_long() -> None:
    index = an_index()
    index.others = frozenset({1})
    now = monotonic()
    index.hear(1, "sms", now - HEAD_START_S / 2)
    index.hear(2, "sms", now)
    assert [partition for partition, _ in index.due("sms", monotonic())] == [2, 1]
    index.hear(1, "sms", now - 2 * HEAD_START_S)
    assert [partition for partition, _ in index.due("sms", monotonic())] == [1, 2]


async def test_a_worker_serves_all_partitions_and_owns_its_share() -> None:
    ownership = Ownership("local-0", Ring.build(1, BOTH, 64), serves_all=True)
    assert sorted(ownership.served()) == list(range(64)) and 0 < len(ownership.owned) < 64
    assert ownership.others == set(range(64)) - ownership.mine
    assert all(ownership.serves(partition) for partition in range(64))
    for partition in range(64):
        ownership.was_read(partition)
    assert ownership.is_complete
    ownership.extend_grace(next(iter(ownership.others)))
    assert ownership.is_complete


async def test_everything_is_read_again_when_another_worker_has_gone() -> None:
    ownership = Ownership("local-0", Ring.build(1, BOTH, 64), serves_all=True)
    for partition in range(64):
        ownership.was_read(partition)
    assert ownership.change(Ring.build(2, ONE, 64)) == []
    assert ownership.unread == set(range(64)) and len(ownership.owned) == 64
    for partition in range(64):
        ownership.was_read(partition)
    given_up = ownership.change(Ring.build(3, BOTH, 64))
    assert len(given_up) == 64 - len(ownership.owned)
    assert not ownership.unread and sorted(ownership.served()) == list(range(64))
