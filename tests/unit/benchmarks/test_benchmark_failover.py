"""Tests how the failover and cluster benchmarks judge their observations."""

from __future__ import annotations

import pytest

from benchmarks.cluster.cluster import Cost, ProcessCounts, Sample, predicted_rate, report
from benchmarks.cluster.cost_model import Model, fit, most_parts, parts
from benchmarks.cluster.counts import Counts
from benchmarks.cluster.failover import Kill, Outcome, judge
from benchmarks.cluster.failover_load import Note
from benchmarks.errors import Spoiled
from benchmarks.figures.spread import Spread
from benchmarks.processes.clusters import Tiers

KILL = Kill(sent_s=10.0, gone_s=10.01)
RATE = 100


def steady(*, gap_from_s: float = 0, gap_until_s: float = 0) -> list[Note]:
    """Good answers from 7 s to 18 s, evenly, with a gap."""
    times_s = [7 + number / RATE for number in range(11 * RATE)]
    return [
        Note("finish", "q", at_s - 0.001, at_s, "")
        for at_s in times_s
        if not gap_from_s <= at_s < gap_until_s
    ]


def with_failure(verb: str, queue_id: str, began_s: float, ended_s: float) -> Outcome:
    failed = Note(verb, queue_id, began_s, ended_s, "504")
    return judge([*steady(), failed], KILL, ["owned"])


def test_a_kill_that_nobody_notices_takes_no_time() -> None:
    outcome = judge(steady(), KILL, [])
    assert (outcome.in_flight, outcome.others, outcome.recovery_s) == ([], [], 0)
    assert outcome.rate == pytest.approx(RATE, rel=0.02)


def test_recovery_lasts_until_a_whole_second_is_at_full_rate() -> None:
    outcome = judge(steady(gap_from_s=10.0, gap_until_s=10.8), KILL, [])
    assert outcome.recovery_s == pytest.approx(0.75, abs=0.03)
    assert outcome.gap_s == pytest.approx(0.8, abs=0.03)


def test_a_rate_that_does_not_come_back_gives_no_number() -> None:
    with pytest.raises(Spoiled, match="did not come back"):
        judge(steady(gap_from_s=10.0, gap_until_s=18.0), KILL, [])


def test_no_load_gives_no_number() -> None:
    with pytest.raises(Spoiled, match="no load"):
        judge([], KILL, [])


@pytest.mark.parametrize(
    ("verb", "queue_id", "began_s", "is_in_flight"),
    [
        ("enqueue", "owned", 9.99, True),
        ("enqueue", "another", 9.99, False),
        ("dequeue", "", 9.99, True),
        ("dequeue", "", 10.5, False),
        ("finish", "owned", 10.5, False),
    ],
)
def test_a_failure_counts_as_in_flight_only_where_it_could_be(
    verb: str, queue_id: str, began_s: float, is_in_flight: bool
) -> None:
    outcome = with_failure(verb, queue_id, began_s, 10.6)
    assert (len(outcome.in_flight), len(outcome.others)) == (is_in_flight, not is_in_flight)


def test_failures_before_the_kill_are_not_its_own() -> None:
    outcome = with_failure("enqueue", "owned", 9.0, 9.1)
    assert not outcome.in_flight
    assert not outcome.others


def test_the_tier_that_is_full_first_bounds_the_predicted_rate() -> None:
    tiers = Tiers(router=100, shard=50, store=25)
    assert predicted_rate(ProcessCounts(1, 1), tiers) == (10_000, "routers")
    assert predicted_rate(ProcessCounts(3, 1), tiers) == (20_000, "shards")
    assert predicted_rate(ProcessCounts(8, 8), tiers) == (40_000, "store")


def test_the_cluster_report_has_each_topology_in_both_kinds() -> None:
    small, large = (
        Cost(Counts(3, 2, 1, 3, Tiers(router_us, 50, 25)), 5_000, {"routers": 0.9})
        for router_us in (100.0, 135.0)
    )
    one = {
        ProcessCounts(1, 1): Sample(small, small),
        ProcessCounts(2, 1): Sample(small, small),
        ProcessCounts(2, 3): Sample(large, small),
    }
    found = report([one] * 3, duration_s=1)
    assert [len(grid.rows) for grid in found.grids] == [3, 3, 3, 3, 6, 3]
    assert found.curves[0].series["router"] == [(1, 100), (3, 135)]
    single, batch = found.rows[:2]
    assert isinstance(single.measured, Spread)
    assert single.measured.median == 1.2
    assert (single.is_met, batch.is_met) == (False, True)
    assert single.busy == {"routers": 0.9}
    assert found.rows[2].what == "single calls: CPU time of all tiers, 1 router, 1 shard"


def test_cost_model_finds_the_costs_by_which_jobs_were_made() -> None:
    costs = {
        "job": 20.0,
        "request": 100.0,
        "frame": 10.0,
        "pipeline": 60.0,
        "call": 30.0,
        "process-second": 9000.0,
    }

    def counted(requests: float, frames: float, pipelines: float, calls: float, process_s: float) -> Counts:
        known = Model(costs, 0.0)
        done = dict(zip(costs, (1.0, requests, frames, pipelines, calls, process_s), strict=True))
        return Counts(requests, frames, pipelines, calls, Tiers(known.predict_us(done), 0, 0), process_s)

    samples = [
        counted(3, 2, 0.5, 3, 0.001),
        counted(3, 4, 1.5, 3.5, 0.01),
        counted(0.03, 0.06, 0.2, 0.5, 0.0002),
        counted(0.03, 0.3, 0.1, 1.5, 0.001),
        counted(0.3, 0.1, 0.1, 0.2, 0.003),
        counted(1, 1, 1, 1, 0.0001),
        counted(1, 0.1, 1, 3, 0.02),
    ]
    model = fit(samples)
    assert model.error < 0.001
    assert model.costs_us == pytest.approx(costs, rel=0.02)
    assert model.predict_us(parts(samples[0])) == pytest.approx(samples[0].cpu_us, rel=0.01)


def test_cost_of_single_calls_is_bounded_however_many_shards_there_are() -> None:
    for shards in (10, 100, 1_000):
        done = most_parts(1, shards, shards // 2)
        assert done == pytest.approx(
            {"job": 1, "request": 3, "frame": 6, "pipeline": 3, "call": 3, "process-second": 0}
        )


def test_batch_is_split_over_no_more_shards_than_it_has_jobs() -> None:
    few, many = (most_parts(100, shards, shards) for shards in (1, 100_000))
    assert few["frame"] == pytest.approx(0.06)
    assert few["pipeline"] == pytest.approx(0.03)
    assert many["frame"] == pytest.approx(6, rel=0.01)
    assert many["pipeline"] == pytest.approx(3, rel=0.01)


def test_cost_model_has_no_negative_costs() -> None:
    samples = [Counts(1, 1, number, 1, Tiers(100 - 10 * number, 0, 0)) for number in range(5)]
    assert min(fit(samples).costs_us.values()) >= 0
