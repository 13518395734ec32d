"""The checker finds each lease that breaks a limit, by the least amount, and none in a history that keeps them."""

from __future__ import annotations

import pytest

from sharq_core.limits import LimitUnit
from tests.chaos.checker.story import BASE_MS, Story, story_of
from tests.support.load.history import End, Lease, Outcome
from tests.support.load.promise import Change, Promise, Rate, Taken, too_early
from tests.support.load.verdict import check

INTERVAL_MS = 100
JOBS, UNITS = LimitUnit.JOB, LimitUnit.COST


def rate(burst: float = 1, unit: LimitUnit = UNITS, interval_ms: int = INTERVAL_MS) -> Rate:
    return Rate(interval_ms, burst, unit)


def taken(*leases: tuple[int, int]) -> list[Taken]:
    return [Taken(at_ms, cost) for at_ms, cost in leases]


@pytest.mark.parametrize(
    ("burst", "leases"),
    [
        (1, [(0, 3), (300, 1), (400, 1)]),
        (1.5, [(0, 1), (150, 1), (200, 2), (400, 1), (500, 1)]),
        (2, [(0, 1), (0, 1), (100, 1), (500, 4), (800, 1)]),
        (3, [(0, 1), (0, 1), (0, 1), (100, 1)]),
        (3, [(0, 9), (700, 1), (800, 1)]),
    ],
)
def test_the_units_of_a_rate_may_come_at_once_up_to_the_burst_with_the_overdraft_of_one_job(
    burst: float, leases: list[tuple[int, int]]
) -> None:
    assert too_early(taken(*leases), rate(burst)) == []


@pytest.mark.parametrize(
    ("burst", "leases"),
    [
        (1, [(0, 3), (298, 1)]),
        (1.5, [(0, 1), (48, 1)]),
        (2, [(0, 1), (0, 1), (98, 1)]),
        (2, [(0, 1), (0, 2), (198, 1)]),
        (3, [(0, 1), (0, 1), (0, 1), (98, 1)]),
        (3, [(0, 9), (698, 1)]),
    ],
)
def test_a_lease_that_is_a_millisecond_too_early_breaks_the_rate(
    burst: float, leases: list[tuple[int, int]]
) -> None:
    assert too_early(taken(*leases), rate(burst)) == [Taken(*leases[-1])]


def test_a_rate_of_jobs_does_not_count_costs() -> None:
    assert too_early(taken((0, 9), (100, 9)), rate(unit=JOBS)) == []
    assert len(too_early(taken((0, 9), (98, 9)), rate(unit=JOBS))) == 1


def test_a_stretch_is_judged_from_each_of_its_leases() -> None:
    """No two neighbours are too close, but there are four leases in less than two intervals with a burst of 2."""
    leases = taken((0, 1), (60, 1), (120, 1), (180, 1))
    assert too_early(leases, rate(2)) == [leases[3]]


def test_costs_count_in_a_queue() -> None:
    promise = Promise(rate(), most_cost=9)
    kept = story_of(promise, ("a", 0, 3), ("b", 10, 1), ("a", 299, 1), ("a", 399, 1))
    assert check(kept.history).violations == {}
    broken = story_of(promise, ("a", 0, 3), ("b", 10, 1), ("a", 298, 1))
    assert check(broken.history).violations == {"too_close": 1}


@pytest.mark.parametrize(
    ("leases", "violations"),
    [
        ([("a", 0, 1), ("b", 99, 1), ("c", 199, 2), ("a", 299, 1)], {}),
        ([("a", 0, 1), ("b", 98, 1)], {"over_cap": 1}),
        ([("a", 0, 7), ("b", 100, 1)], {}),
        ([("a", 0, 8), ("b", 100, 1)], {"over_cap": 1}),
    ],
)
def test_every_cap_of_a_type_counts_over_its_queues(
    leases: list[tuple[str, int, int]], violations: dict[str, int]
) -> None:
    caps = (Rate(100, 1, JOBS), Rate(25, 4, UNITS))
    promise = Promise(Rate(1), most_cost=9, caps=caps)
    assert check(story_of(promise, *leases).history).violations == violations


@pytest.mark.parametrize(
    ("at_ms", "violations"), [(248, {"over_cap": 1}), (249, {}), (300, {}), (100, {"over_cap": 1})]
)
def test_a_new_cap_begins_one_interval_after_the_last_lease(at_ms: int, violations: dict[str, int]) -> None:
    promise = Promise(Rate(1), caps=(Rate(50, 1, JOBS),))
    story = story_of(promise, ("a", 0, 1), ("b", 50, 1), ("a", at_ms, 1))
    story.history.changes = [Change(BASE_MS + 60, BASE_MS + 70, (Rate(200, 1, JOBS),))]
    assert check(story.history).violations == violations


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("is_of_type", [False, True])
def test_one_live_lease_too_many_is_counted(most: int, is_of_type: bool) -> None:
    promise = Promise(
        Rate(1),
        max_leased=None if is_of_type else most,
        type_max_leased=most if is_of_type else None,
    )

    def leases(last_ms: int) -> list[tuple[str, int, int]]:
        names = ["a", "b", "c", "d"] if is_of_type else ["a"] * 4
        times = [*range(0, 10 * most, 10), last_ms]
        return [(name, at_ms, 1) for name, at_ms in zip(names, times, strict=False)]

    kept = story_of(promise, *leases(last_ms=499), until_ms=500)
    assert check(kept.history).violations == {}
    broken = story_of(promise, *leases(last_ms=498), until_ms=500)
    assert check(broken.history).violations == {"too_many_leased": 1}


@pytest.mark.parametrize(
    ("outcome", "violations"),
    [(Outcome.OK, {}), (Outcome.PERHAPS, {}), (Outcome.NO, {"too_many_leased": 1})],
)
def test_a_lease_is_live_until_its_end_was_perhaps_done(outcome: Outcome, violations: dict[str, int]) -> None:
    story = Story(Promise(Rate(1), max_leased=1))
    story.enqueue(0)
    story.enqueue(1)
    first = now_leased(story, 0)
    story.end(first, outcome)
    now_leased(story, 1)
    assert check(story.history).violations == violations


@pytest.mark.parametrize(("after_ms", "violations"), [(0, {"in_hold": 1}), (400, {})])
@pytest.mark.parametrize("is_of_type", [False, True])
def test_a_lease_within_a_hold_is_counted(
    after_ms: int, violations: dict[str, int], is_of_type: bool
) -> None:
    story = Story(Promise(Rate(1)))
    story.enqueue(0)
    story.enqueue(1, queue="other" if is_of_type else "q")
    hold(story, now_leased(story, 0), Outcome.OK, is_of_type=is_of_type)
    story.wait(after_ms / 1000)
    now_leased(story, 1, queue="other" if is_of_type else "q")
    assert check(story.history).violations == violations


def test_a_hold_of_another_queue_holds_nothing() -> None:
    story = Story(Promise(Rate(1)))
    story.enqueue(0)
    story.enqueue(1, queue="other")
    hold(story, now_leased(story, 0), Outcome.OK)
    now_leased(story, 1, queue="other")
    assert check(story.history).violations == {}


@pytest.mark.parametrize("outcome", [Outcome.NO, Outcome.PERHAPS])
def test_a_hold_that_was_refused_or_is_in_doubt_is_not_judged(outcome: Outcome) -> None:
    story = Story(Promise(Rate(1)))
    story.enqueue(0)
    story.enqueue(1)
    hold(story, now_leased(story, 0), outcome)
    now_leased(story, 1)
    assert check(story.history).violations == {}


def now_leased(story: Story, number: int, queue: str = "q") -> Lease:
    """Lease at the story's time as the store's clock has it."""
    return story.lease(number, queue=queue, at_ms=int(story.history.in_ms(story.now_s + 0.1)))


def hold(story: Story, lease: Lease, outcome: Outcome, is_of_type: bool = False) -> None:
    """Finish a job and hold its queue, or its type, from 200 ms before the next call to 300 ms after it began."""
    story.now_s += 0.2
    story.history.ends.append(
        End(
            began_s=story.now_s - 0.1,
            ended_s=story.now_s,
            outcome=outcome,
            verb="finish",
            job=lease.job,
            token=lease.token,
            hold_ms=400,
            is_hold_of_type=is_of_type,
        )
    )
