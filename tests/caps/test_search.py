"""The search for a breach of the caps' bounds, and the proof that it finds one if a rule is left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.caps.model import world
from tests.caps.model.ledger import Ledger, Limit, Reply, Slot
from tests.caps.model.node import Contact, Deadline, Grant
from tests.caps.model.walk import Walk
from tests.support.extent import is_full

STEPS = 300
SEEDS = range(600, 2_000)
SLIPS = range(1_980, 4_000)
"""The same for a breach by a slip, which one walk of a thousand finds. Both begin a little before a seed that does."""


@given(seed=st.integers(0, 2**32), slow_part=st.sampled_from([0.0, 0.1, 0.4]))
@settings(max_examples=5_000 if is_full() else 150, deadline=None)
def test_no_walk_exceeds_the_bound_of_a_cap(seed: int, slow_part: float) -> None:
    Walk(seed, slow_part=slow_part).go(STEPS)


TwoPrimaries = partial(world.World, serves_on=True)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=2_000 if is_full() else 50, deadline=None)
def test_no_walk_exceeds_the_bound_while_a_former_primary_serves_on(seed: int) -> None:
    Walk(seed, world_of=TwoPrimaries).go(STEPS)


def test_slots_of_a_former_primary_must_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "is_valid", lambda *_: True)
    assert finds_breach(world_of=TwoPrimaries)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=2_000 if is_full() else 50, deadline=None)
def test_a_step_that_nobody_notices_costs_no_more_than_its_length(seed: int) -> None:
    Walk(seed, has_unnoticed_steps=True).go(STEPS)


@pytest.mark.parametrize("step", ["gain", "slip"])
def test_a_step_that_nobody_notices_breaks_the_bound_without_that(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def keep_silent(*_args: object) -> int:
        return 0

    monkeypatch.setattr(world.World, "_unnoticed_us", keep_silent)
    monkeypatch.setattr(world.World, "slip" if step == "gain" else "gain", keep_silent)
    seeds = SEEDS if step == "gain" else SLIPS
    for seed in seeds:
        try:
            Walk(seed, has_unnoticed_steps=True).go(STEPS)
        except AssertionError:
            return
    pytest.fail(f"no breach in {len(seeds)} walks")


def use_from_the_call_on(reply: Reply, sent_us: int, came_us: int) -> list[Grant]:
    ahead = [slot.due_us - reply.now_us for slot in reply.slots]
    return [
        Grant(slot, sent_us + ahead_us, sent_us + ahead_us + reply.grace_us)
        for slot, ahead_us in zip(reply.slots, ahead, strict=True)
    ]


def use_until_after_the_reply(reply: Reply, sent_us: int, came_us: int) -> list[Grant]:
    ahead = [slot.due_us - reply.now_us for slot in reply.slots]
    return [
        Grant(slot, came_us + ahead_us, came_us + ahead_us + reply.grace_us)
        for slot, ahead_us in zip(reply.slots, ahead, strict=True)
    ]


def deadline_from_the_call_on(until_us: int, contact: Contact) -> Deadline:
    return Deadline(contact.told_us + until_us - contact.sent_us, contact.shifts)


def deadline_with_any_shift(until_us: int, contact: Contact) -> Deadline:
    return Deadline(contact.told_us + until_us - contact.came_us, ANY)


class _AnyShift(int):
    """A number of shifts that equals every other."""

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = int.__hash__


ANY = _AnyShift()


def take_any_slot_back(ledger: Ledger, told_us: int, slots: tuple[Slot, ...]) -> int:
    now_us = ledger._now(told_us)
    returned = [slot.due_us for slot in slots if slot.due_us > now_us]
    ledger.free = sorted([*ledger.free, *returned])
    return len(returned)


def go_on_at_once(ledger: Ledger, told_us: int) -> None:
    ledger._now(told_us)
    ledger.free, ledger.open = [], set()


def finds_breach(slow_part: float = 0.1, world_of: Callable[..., world.World] = world.World) -> bool:
    """Return True if a walk of some finds a breach."""
    for seed in SEEDS:
        try:
            Walk(seed, slow_part=slow_part, world_of=world_of).go(STEPS)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize(
    ("place", "name", "instead"),
    [
        (world, "grants", use_from_the_call_on),
        (world, "grants", use_until_after_the_reply),
        (world, "deadline", deadline_from_the_call_on),
        (world, "deadline", deadline_with_any_shift),
        (Ledger, "give_back", take_any_slot_back),
        (Ledger, "fail_over", go_on_at_once),
    ],
)
def test_each_rule_is_needed(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, instead: Callable[..., object]
) -> None:
    monkeypatch.setattr(place, name, instead)
    assert finds_breach()


def test_a_new_limit_must_make_up_for_the_longer_grace_of_the_former_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ledger, "_lost_grace_us", lambda *_: 0)
    assert finds_breach(slow_part=0.4)


def test_a_slot_that_was_reserved_under_another_limit_does_not_come_back() -> None:
    ledger = Ledger(Limit(1_000))
    slots = ledger.take(10_000, "north", 3).slots
    ledger.change(10_100, Limit(70_000))
    assert ledger.give_back(10_200, slots) == 0
    (next_slot,) = ledger.take(10_300, "north", 1).slots
    assert next_slot.due_us == slots[-1].due_us + 70_000


def test_a_slot_comes_back_once_and_only_before_it_is_due() -> None:
    ledger = Ledger(Limit(25_000))
    (first,) = ledger.take(1_000_000, "north", 1).slots
    (second,) = ledger.take(1_000_100, "north", 1).slots
    assert ledger.give_back(1_000_200, (first,)) == 0, "it is due already"
    assert ledger.give_back(1_000_200, (second,)) == 1
    (again,) = ledger.take(1_000_300, "south", 1).slots
    assert again.due_us == second.due_us
    assert ledger.give_back(1_000_400, (second,)) == 0, "it is south's now"
