"""A cap under load delivers its share, and nodes with endless work share it by their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from tests.caps.model.ledger import Limit
from tests.caps.model.load import Load, Worker

THREE = {name: Worker() for name in ("north", "south", "west")}
SECONDS = 8.0
WARM_UP_S = 1.0

LIMITS = [
    (Limit(25_000, 1.0), 0.95),
    (Limit(25_000, 1.8), 0.99),
    (Limit(1_000, 21.0), 0.99),
    (Limit(250, 81.0), 0.99),
    (Limit(400_000, 1.1), 0.99),
]
"""Each with the share that is promised; bursts are at least 1 + rate * 20 ms but for the first and the last."""


def run(limit: Limit, workers: Mapping[str, Worker], seconds: float = SECONDS, seed: int = 1) -> Load:
    """Run nodes under a cap, whose bound is kept in any case."""
    load = Load(limit, workers, seed=seed)
    load.run(seconds)
    load.assert_bound()
    return load


def fairness(shares: Iterable[float]) -> float:
    """Return Jain's index: 1 if all are equal, 1/n if one has everything."""
    given = list(shares)
    return sum(given) ** 2 / (len(given) * sum(share * share for share in given))


@pytest.mark.parametrize(("limit", "promised"), LIMITS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_share_of_the_limit_is_delivered(limit: Limit, promised: float, count: int) -> None:
    load = run(limit, dict(list(THREE.items())[:count]), max(SECONDS, 40 * limit.interval_us / 1e6))
    assert load.share(WARM_UP_S, load.seconds) >= promised
    assert load.share(WARM_UP_S, load.seconds) <= 1 + 2 * limit.interval_us / 1e6 / (load.seconds - WARM_UP_S)


@pytest.mark.parametrize(("limit", "promised"), LIMITS[:3])
def test_nodes_with_equal_work_get_equal_shares(limit: Limit, promised: float) -> None:
    assert fairness(run(limit, THREE).used.values()) >= 0.98


@pytest.mark.parametrize("limit", [Limit(25_000, 1.8), Limit(1_000, 21.0)])
def test_nodes_get_shares_by_their_weights(limit: Limit) -> None:
    weights = {"north": 1.0, "south": 2.0, "west": 5.0}
    used = run(limit, {name: Worker(weight) for name, weight in weights.items()}, 2 * SECONDS).used
    assert fairness(used[name] / weight for name, weight in weights.items()) >= 0.98


def test_a_node_with_little_weight_is_not_starved() -> None:
    used = run(Limit(25_000), {"small": Worker(1), "large": Worker(500)}, 2 * SECONDS).used
    assert used["small"] >= 1


def test_a_node_that_comes_later_has_its_share_from_then_on_and_no_more() -> None:
    load = Load(Limit(10_000, 1.2), {**THREE, "late": Worker(from_us=4_000_000)})
    load.run(4)
    before = dict(load.used)
    load.run(8)
    assert 0.98 <= fairness(load.used[name] - before.get(name, 0) for name in (*THREE, "late")) <= 1


def test_the_others_take_over_the_share_of_a_node_that_stops() -> None:
    """It keeps the slots that it has, which are lost once: at most those of a horizon."""
    load = run(Limit(10_000), {**THREE, "gone": Worker(until_us=4_000_000)})
    assert load.share(4.1, SECONDS) >= 0.98
    assert fairness(load.used[name] for name in THREE) >= 0.98


def test_a_late_node_loses_only_its_own_slots() -> None:
    used = run(Limit(1_000, 21.0), {**THREE, "late": Worker(most_late_us=20_000)}).used
    assert fairness(used[name] for name in THREE) >= 0.98
    assert used["late"] < used["north"]


def test_a_node_asks_at_most_twice_in_a_horizon() -> None:
    load = run(Limit(1_000, 21.0), THREE)
    assert all(count <= SECONDS * 2 / 0.020 + 2 for count in load.takes.values())


def test_a_node_without_work_asks_nothing() -> None:
    load = run(Limit(1_000), {"idle": Worker(until_us=0)})
    assert (load.takes, load.used) == ({}, {})
