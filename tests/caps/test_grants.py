"""Slots in the time of a node: when they may be used, alone and together, and how many of them a node holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard.caps.appetite import Appetite
from shard.caps.due_times import DueTimes
from shard.caps.grants import CapGrant, GrantPool, SlotTerms, grants_of, joined
from sharq_core import caps
from sharq_core.caps import CapReply, CapSlot, CapTakeStatus
from tests.caps.model import node as model
from tests.caps.model.ledger import Limit, Reply, Slot

TIMES = st.integers(0, 200_000)


LEASE_US = 60_000_000


def terms(units: int = 1, lease_us: int = LEASE_US) -> SlotTerms:
    return SlotTerms(units, lease_us)


def grant(from_us: int, until_us: int, units: int = 1, name: str = "a", lease_us: int = LEASE_US) -> CapGrant:
    return CapGrant(from_us, until_us, terms(units, lease_us), ((name, CapSlot(from_us, from_us)),))


def pool_of(*grants: CapGrant) -> GrantPool:
    pool = GrantPool()
    pool.add(grants)
    return pool


def always(_: int) -> int:
    """Return the time from which there is a job: always."""
    return 0


@given(st.lists(TIMES, max_size=5), TIMES, TIMES, TIMES, st.integers(0, 10_000_000))
def test_slots_may_be_used_when_the_model_says(
    ahead: list[int], now_us: int, sent_us: int, way_us: int, interval_us: int
) -> None:
    grace_us = caps.grace_us([interval_us])
    dues = sorted(now_us + us for us in ahead)
    slots = [CapSlot(due, n) for n, due in enumerate(dues)]
    reply = CapReply(CapTakeStatus.GRANTED, now_us, slots, 0, None, grace_us=grace_us)
    same = Reply(now_us, tuple(Slot(due, n) for n, due in enumerate(dues)), 0, Limit(interval_us).grace_us)
    ours = grants_of("a", reply, terms(), sent_us, sent_us + way_us)
    theirs = model.grants(same, sent_us, sent_us + way_us)
    assert [(one.from_us, one.until_us) for one in ours] == [(one.from_us, one.until_us) for one in theirs]
    assert all(one.is_usable_ever == (way_us <= grace_us) for one in ours)


@given(st.lists(TIMES, max_size=8, unique=True), st.lists(TIMES, max_size=8, unique=True))
def test_joined_grants_overlap_and_none_is_lost(first: list[int], second: list[int]) -> None:
    left = [grant(us, us + 9_000) for us in sorted(first)]
    right = [grant(us, us + 9_500, name="b") for us in sorted(second)]
    pairs, alone = joined(left, right)
    slots = sorted(slot for one in (*pairs, *alone) for slot in one.slots)
    assert slots == sorted(slot for one in (*left, *right) for slot in one.slots)
    for pair in pairs:
        both = [one for one in (*left, *right) if one.slots[0] in pair.slots]
        assert [one.slots[0][0] for one in both] == ["a", "b"]
        assert pair.from_us == max(one.from_us for one in both)
        assert pair.until_us == min(one.until_us for one in both)
        assert pair.is_usable_ever
    apart = [(one, other) for one in left for other in right if one in alone and other in alone]
    assert all(one.until_us < other.from_us or other.until_us < one.from_us for one, other in apart)


def test_an_empty_grant_does_not_block_the_others() -> None:
    late = grant(5_000, 4_000)
    pairs, alone = joined([late, grant(6_000, 15_000)], [grant(6_000, 15_000, name="b")])
    assert [pair.from_us for pair in pairs] == [6_000]
    assert alone == [late]


def test_a_pool_gives_the_grants_that_end_soonest_and_only_in_their_time() -> None:
    early, late, ahead = grant(100, 9_000), grant(50, 9_500), grant(8_000, 17_000)
    pool = pool_of(late, ahead, early)
    assert pool.next_us(always) == 100
    assert pool.take(40, terms(), 5, 40) == []
    assert pool.take(200, terms(), 1, 200) == [early]
    assert pool.expire(9_501, 0) == [late]
    assert pool.take_ahead(7_999) == [ahead]
    assert not len(pool)


def test_grants_that_may_be_used_soon_after_each_other_are_used_together() -> None:
    fast = [grant(us, us + 9_500) for us in range(1_000, 9_000, 1_000)]
    assert pool_of(*fast).next_us(always) == 5_000
    assert pool_of(*fast).next_us(lambda _: 4_500) == 8_000
    slow = [grant(1_000, 10_500), grant(26_000, 35_500)]
    assert pool_of(*slow).next_us(always) == 1_000
    late = [grant(1_000, 10_500), grant(4_000, 4_500)]
    assert pool_of(*late).next_us(lambda units: 6_000 if units else None) == 6_000


def test_grants_for_costs_go_together_only_if_they_allow_the_same() -> None:
    cheap, dear = grant(0, 9_000, units=1), grant(0, 9_001, units=5)
    pool = pool_of(cheap, dear)
    assert pool.next_us(lambda units: 70 if units >= 5 else None) == 70
    assert pool.take(10, terms(2), 5, 10) == [dear]
    assert pool.take(10, terms(), 5, 10) == [cheap]


def test_a_longer_lease_needs_a_slot_that_was_reserved_for_it() -> None:
    short, ahead = grant(0, 9_000), grant(5_000, 14_000)
    pool = pool_of(short, ahead, long := grant(6_000, 15_000, lease_us=2 * LEASE_US))
    assert pool.take(7_000, terms(lease_us=2 * LEASE_US), 5, 7_000) == [long]
    pool.add([long])
    assert pool.take_ahead(4_000, 2 * LEASE_US) == [ahead]
    assert pool.take(7_000, terms(), 5, 7_000) == [short, long]


def test_a_grant_that_is_left_to_others_may_be_used_later() -> None:
    pool = pool_of(grant(1_000, 9_000))
    assert pool.next_us(always, 3_000) == 4_000
    assert pool.next_us(always, 8_001) is None
    assert pool.take(3_999, terms(), 1, 999) == []


def test_the_appetite_doubles_while_all_is_used_and_falls_to_what_was_used() -> None:
    appetite = Appetite()
    appetite.begin(3)
    assert appetite.room(0) == 3
    assert appetite.room(2) == 0
    appetite.note(3, 0)
    assert appetite.target == 6
    appetite.note(1, 0)
    appetite.note(0, 5)
    assert appetite.target == 1
    for _ in range(9):
        appetite.note(appetite.target, 0)
    assert appetite.target == 100
    appetite.begin(0)
    assert appetite.target == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | TIMES)), TIMES)
def test_due_times_agree_with_a_plain_map(changes: list[tuple[int, int | None]], now_us: int) -> None:
    times: DueTimes[int] = DueTimes()
    plain: dict[int, int] = {}
    for key, at_us in changes:
        times.put(key, at_us)
        plain.pop(key, None)
        if at_us is not None:
            plain[key] = at_us
        assert times.first_us() == min(plain.values(), default=None)
        assert len(times) == len(plain)
    due = sorted((at_us, key) for key, at_us in plain.items() if at_us <= now_us)
    assert times.due(now_us, 3) == [key for _, key in due[:3]]
