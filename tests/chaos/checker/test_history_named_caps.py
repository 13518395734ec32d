"""The checker finds each lease that breaks a named cap, by the least amount, and none in a history that keeps it."""

from __future__ import annotations

import random

import pytest

from sharq_core.limits import LimitUnit
from tests.chaos.checker.story import BASE_MS, Story, story_of
from tests.support.load.history import End, Lease, Outcome
from tests.support.load.named_caps import NamedChange, over_named_cap
from tests.support.load.promise import NamedCap, Promise, Rate, Taken
from tests.support.load.verdict import check

JOBS, UNITS = LimitUnit.JOB, LimitUnit.COST
ACCOUNT = NamedCap("account", (Rate(100, 1, JOBS),))
BRAND = NamedCap("brand", (Rate(40, 2, JOBS), Rate(50, 4, UNITS)))


def promise(*named: NamedCap) -> Promise:
    """Queues q0 with the account's cap, q1 with the brand's, q2 with both, and q3 with none."""
    sets = (("account",), ("brand",), ("account", "brand"), ())
    return Promise(Rate(1), most_cost=9, named=named, cap_sets=sets)


@pytest.mark.parametrize(
    ("leases", "breaches"),
    [
        ([("q0", 0, 9), ("q2", 89, 9)], 0),
        ([("q0", 0, 1), ("q2", 88, 1)], 1),
        ([("q0", 0, 1), ("q1", 1, 1), ("q3", 2, 1), ("q3", 3, 1)], 0),
        ([("q2", 10, 1), ("q0", 100, 1), ("q2", 200, 1), ("q0", 299, 1)], 0),
        ([("q2", 10, 1), ("q0", 100, 1), ("q2", 200, 1), ("q0", 298, 1)], 1),
        ([("q1", 0, 1), ("q2", 0, 1), ("q1", 29, 1)], 0),
        ([("q1", 0, 1), ("q2", 0, 1), ("q1", 28, 1)], 1),
        ([("q1", 0, 6), ("q1", 139, 1)], 0),
        ([("q1", 0, 6), ("q1", 138, 1)], 1),
        # Within the grace two leases may be swapped, so that the dearer one overdraws.
        ([("q1", 0, 6), ("q2", 9, 2)], 0),
        ([("q1", 0, 6), ("q2", 10, 2)], 1),
        ([("q1", 0, 6), ("q2", 3, 5)], 1),
    ],
)
def test_a_cap_counts_over_its_queues_with_the_grace(
    leases: list[tuple[str, int, int]], breaches: int
) -> None:
    found = check(story_of(promise(ACCOUNT, BRAND), *leases).history).violations
    assert found == ({"over_cap": breaches} if breaches else {})


def test_every_time_is_judged_and_not_only_that_between_neighbours() -> None:
    """Each lease is late by less than the one before it, so that the grace is used up once and not each time."""
    taken = [Taken(round(100 * number + 10 - 1.5 * number), 1) for number in range(12)]
    found = over_named_cap(taken, ACCOUNT, [])
    assert found == taken[8:], "the eighth is 12 ms too near to the first"


@pytest.mark.parametrize("seed", range(20))
def test_the_linear_judge_agrees_with_the_bound_in_every_stretch(seed: int) -> None:
    chance = random.Random(seed)
    limit = Rate(chance.choice([3, 25, 70, 900]), chance.choice([1, 1.5, 3]), JOBS)
    times = sorted(chance.randint(0, 12 * int(limit.interval_ms)) for _ in range(10))
    cap = NamedCap("cap", (limit,))
    found = over_named_cap([Taken(at_ms, 1) for at_ms in times], cap, [])
    expected = [
        at_ms
        for last, at_ms in enumerate(times)
        if any(
            last - first + 1
            > limit.burst + (at_ms - times[first] + 1 + cap.grace_ms) / limit.interval_ms + 1e-9
            for first in range(last)
        )
    ]
    assert [taken.at_ms for taken in found] == expected


@pytest.mark.parametrize(
    ("first_ms", "at_ms", "breaches"), [(129, 139, 0), (131, 139, 1), (131, 319, 1), (131, 320, 0)]
)
def test_a_new_limit_counts_when_no_slot_of_the_former_one_can_be_used(
    first_ms: int, at_ms: int, breaches: int
) -> None:
    """The call is answered at 20, and slots that were reserved before it may be used until 130."""
    change = NamedChange(BASE_MS + 10, BASE_MS + 20, NamedCap("account", (Rate(200, 1, JOBS),)))
    taken = [Taken(BASE_MS + first_ms, 1), Taken(BASE_MS + at_ms, 1)]
    assert len(over_named_cap(taken, ACCOUNT, [change])) == breaches


@pytest.mark.parametrize(("last_ms", "violations"), [(498, {"too_many_leased": 1}), (499, {})])
def test_leases_of_a_cap_at_one_time_are_counted_over_its_queues(
    last_ms: int, violations: dict[str, int]
) -> None:
    cap = NamedCap("account", max_leased=2)
    leases = [("q0", 0, 1), ("q1", 5, 1), ("q2", 10, 1), ("q3", 20, 1), ("q0", last_ms, 1)]
    assert check(story_of(promise(cap), *leases, until_ms=500).history).violations == violations


@pytest.mark.parametrize(
    ("queue", "after_ms", "violations"),
    [("q2", 150, {"in_hold": 1}), ("q2", 60, {}), ("q2", 400, {}), ("q1", 150, {}), ("q3", 150, {})],
)
def test_a_lease_within_a_hold_of_its_cap_is_counted_when_reserved_slots_are_used_up(
    queue: str, after_ms: int, violations: dict[str, int]
) -> None:
    story = Story(promise(ACCOUNT))
    story.enqueue(0, queue="q0")
    story.enqueue(1, queue=queue)
    lease = _now_leased(story, 0, "q0")
    story.now_s += 0.2
    story.history.ends.append(
        End(
            began_s=story.now_s - 0.1,
            ended_s=story.now_s,
            outcome=Outcome.OK,
            verb="finish",
            job=lease.job,
            token=lease.token,
            hold_ms=450,
            held_cap="account",
        )
    )
    story.wait(after_ms / 1000 - 0.1)
    _now_leased(story, 1, queue)
    assert check(story.history).violations == violations


def _now_leased(story: Story, number: int, queue: str) -> Lease:
    """Lease at the story's time as the store's clock has it."""
    return story.lease(number, queue=queue, at_ms=int(story.history.in_ms(story.now_s + 0.1)))
