"""Queues with caps in the memory of a node: the newest reading counts, and the longest due are served first."""

from __future__ import annotations

import pytest

from shard.caps import parked_index
from shard.caps.cap_set import grouped, without
from shard.caps.parked_index import CapClaim, ParkedIndex, ParkedPlace, ParkedReading

NAMES = ("acct", "brand")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ParkedIndex:
    """An index of a node whose clock says 1,000,000 while that of the store says 500,000."""
    monkeypatch.setattr(parked_index, "elapsed_us", lambda: 1_000_000)
    return ParkedIndex(lambda _: None, lambda _: 500_000)


def claim_of(index: ParkedIndex) -> CapClaim | None:
    return next(iter(index.claims("sms")), None)


def settle(
    index: ParkedIndex, due_us: int | None, told_us: int, *, allowed_us: int = 0, cost: int | None = None
) -> None:
    index.settle(3, "sms", NAMES, ParkedReading(due_us, 2, told_us, allowed_us, cost))


def test_due_times_are_those_of_the_node(index: ParkedIndex) -> None:
    settle(index, 520_000, 490_000)
    claim = claim_of(index)
    assert claim is not None
    assert claim.first_us == 1_020_000
    assert (claim.queues(1_019_999), claim.queues(1_020_000)) == (0, 2)


def test_a_reading_that_was_overtaken_makes_nothing_later(index: ParkedIndex) -> None:
    settle(index, 510_000, 499_000)
    settle(index, None, 498_000)
    settle(index, 600_000, 498_999)
    claim = claim_of(index)
    assert claim is not None
    assert claim.first_us == 1_010_000
    settle(index, 505_000, 498_000)
    assert claim.first_us == 1_005_000
    settle(index, None, 499_500)
    assert claim_of(index) is None


def test_a_reading_after_a_step_of_the_clock_counts(index: ParkedIndex) -> None:
    settle(index, 510_000, 5_000_000)
    settle(index, None, 499_000)
    assert claim_of(index) is None


def test_changes_are_listed_once(index: ParkedIndex) -> None:
    assert index.hear(3, "sms", 70)
    assert index.news("sms") == [(3, 0)]
    index.note_listed(3, "sms", 60, has_more=True)
    assert index.news("sms") == [(3, 60)]
    assert index.hear(3, "sms", 80)
    index.note_listed(3, "sms", 70, has_more=False)
    assert index.news("sms") == [(3, 70)]
    index.note_listed(3, "sms", 80, has_more=False)
    assert not index.has_news("sms")
    assert not index.hear(3, "sms", 80)


def test_what_a_job_costs_is_known_until_a_dequeue_tells_anew(index: ParkedIndex) -> None:
    settle(index, 400_000, 499_000, cost=5)
    settle(index, 400_000, 500_000)
    claim = claim_of(index)
    assert claim is not None
    assert claim.places[3].cost == 5, "a listing does not tell"
    settle(index, 400_000, 501_000, cost=1)
    assert claim.places[3].cost == 1


def test_a_store_that_lost_changes_is_listed_from_the_beginning(index: ParkedIndex) -> None:
    index.hear(3, "sms", 70)
    index.note_listed(3, "sms", 70, has_more=False)
    assert index.hear(3, "sms", 40)
    assert index.news("sms") == [(3, 0)]


def test_queues_of_a_stopped_type_are_listed_anew(index: ParkedIndex) -> None:
    index.hear(3, "sms", 70)
    index.note_listed(3, "sms", 70, has_more=False)
    settle(index, 500_000, 500_000)
    index.settle(3, "sms", NAMES, ParkedReading(500_000, 2, 500_001, None))
    assert claim_of(index) is None
    assert index.hear(3, "sms", 70)
    assert index.news("sms") == [(3, 0)]


def test_the_limits_of_a_gathered_type_hold_its_queues_back(index: ParkedIndex) -> None:
    settle(index, 400_000, 500_000, allowed_us=530_000)
    claim = claim_of(index)
    assert claim is not None
    assert claim.first_us == 1_030_000


def test_partitions_that_are_not_served_are_forgotten(index: ParkedIndex) -> None:
    for partition in (3, 4):
        index.hear(partition, "sms", 70)
        index.settle(partition, "sms", NAMES, ParkedReading(500_000, 1, 500_000))
    index.keep(lambda partition: partition == 4)
    assert index.news("sms") == [(4, 0)]
    claim = claim_of(index)
    assert claim is not None
    assert list(claim.places) == [4]
    index.lose(4)
    assert claim_of(index) is None
    assert not index.has_news("sms")


def claim_with(*places: ParkedPlace) -> CapClaim:
    claim = CapClaim("sms", NAMES)
    for partition, place in enumerate(places):
        claim.put(partition, place)
    return claim


def test_the_longest_due_queues_of_all_places_are_served_first() -> None:
    # 30 queues in turns, the first due since 30 ms and the last since 1 ms, beside one that is due since 2 ms.
    claim = claim_with(ParkedPlace(970_000, 30, 1, 0), ParkedPlace(998_000, 1, 1, 0))
    assert claim.spread(1_000_000, 5, 1) == {0: 5}
    assert claim.spread(1_000_000, 31, 1) == {0: 30, 1: 1}


def test_the_queues_of_a_place_give_their_jobs_together() -> None:
    """One call for several jobs costs the store much less than a call for each."""
    claim = claim_with(ParkedPlace(970_000, 4, 1, 0), ParkedPlace(971_000, 4, 1, 0))
    assert claim.spread(1_000_000, 3, 1) == {0: 3}
    assert claim.spread(1_000_000, 6, 1) == {0: 4, 1: 2}
    claim = claim_with(ParkedPlace(970_000, 20, 1, 0), ParkedPlace(971_000, 20, 1, 0))
    assert claim.spread(1_000_000, 20, 1) == {0: 12, 1: 8}


def test_no_queue_gives_its_next_job_while_another_has_given_fewer() -> None:
    claim = claim_with(ParkedPlace(900_000, 1, 1, 0), ParkedPlace(901_000, 2, 1, 0))
    assert claim.spread(1_000_000, 6, 1) == {0: 2, 1: 4}


def test_one_queue_may_take_all_slots_and_none_goes_to_a_place_that_is_not_due() -> None:
    claim = claim_with(ParkedPlace(990_000, 1, 1, 0), ParkedPlace(1_000_001, 9, 1, 0))
    assert claim.spread(1_000_000, 7, 1) == {0: 7}


def test_places_whose_jobs_cost_too_much_are_left_out() -> None:
    claim = claim_with(ParkedPlace(900_000, 1, 5, 0), ParkedPlace(990_000, 1, 1, 0))
    assert claim.spread(1_000_000, 1, 1) == {1: 1}
    assert claim.spread(1_000_000, 1, 5) == {0: 1}
    assert (claim.costs(1_000_000, 3), claim.least_cost(1_000_000)) == ([5, 1, 1], 1)
    assert (claim.first_for_us(1), claim.first_for_us(5)) == (990_000, 900_000)
    assert claim_with(ParkedPlace(900_000, 1, 5, 0)).first_for_us(4) is None


def test_a_grant_for_many_points_goes_to_the_place_that_waits_for_it() -> None:
    claim = claim_with(ParkedPlace(900_000, 3, 1, 0), ParkedPlace(950_000, 4, 10, 0))
    assert claim.spread(1_000_000, 5, 10) == {1: 1}, "what the other jobs of the place cost is not known"
    assert claim.spread(1_000_000, 3, 1) == {0: 3}
    assert (claim.fits(1_000_000, 10), claim.fits(1_000_000, 25)) == (True, False)
    assert claim.spread(1_000_000, 1, 25) == {0: 1}, "it would be lost otherwise"
    assert claim.costs(1_000_000, 9) == [1, 1, 1, 10, 1, 1, 1, 1, 1]


def test_a_place_of_which_all_jobs_cost_too_much_waits_for_grants_for_them() -> None:
    claim = claim_with(ParkedPlace(900_000, 3, 10, 0, has_only_dear=True))
    assert (claim.least_cost(1_000_000), claim.first_for_us(9)) == (10, None)
    assert claim.costs(1_000_000, 4) == [10, 10, 10, 1]
    assert claim.spread(1_000_000, 5, 10) == {0: 3}


def test_jobs_are_taken_to_cost_as_much_as_the_latest_two() -> None:
    claim = claim_with(ParkedPlace(900_000, 1, 1, 0))
    claim.note_costs([7])
    assert claim.usual_cost == 1
    claim.note_costs([7])
    assert claim.costs(1_000_000, 3) == [1, 7, 7], "the next reading of the place tells what its job costs"
    claim.note_costs([1])
    assert claim.usual_cost == 1


def test_slots_are_reserved_for_a_few_different_costs() -> None:
    assert grouped([1, 10, 1, 1], 4) == {1: 3, 10: 1}
    assert grouped([100, 7, 90, 1, 2, 10], 3) == {100: 2, 10: 2, 2: 2}


def test_no_second_slot_is_reserved_for_a_job_for_which_one_is_held() -> None:
    assert without([1, 10, 1, 1], {}) == [1, 10, 1, 1]
    assert without([1, 10, 1, 1], {10: 1}) == [1, 1, 1]
    assert without([10, 10, 1], {10: 1, 1: 3}) == [10]
    assert without([7, 5, 1], {10: 2}) == [5, 1], "half of its points would be lost"
    assert without([90, 100], {100: 1}) == [100]
