"""The reckoning of the benchmarks: a wrong one would praise what is broken."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, module_of
from benchmarks.figures.report import Goal, Peer, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.rates.lease_times import count_violations, delivered_share, earliest_times
from benchmarks.rates.mix import customers, evenly, jobs_for
from benchmarks.store.features import OLD_LOAD

MS = 1_000
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_has_its_module(name: str) -> None:
    assert callable(module_of(name).run)


def test_the_programs_that_benchmarks_start_by_name_are_there() -> None:
    sources = "\n".join(path.read_text() for path in BENCHMARKS.rglob("*.py"))
    started = set(re.findall(r'"(benchmarks(?:\.\w+)+)"', sources)) - {OLD_LOAD}
    assert "benchmarks.load.bulk_load" in started
    assert [module for module in started if find_spec(module) is None] == []


def test_evenly_spaced_leases_are_the_whole_promise_wherever_they_begin() -> None:
    for begin_us in (0, 3 * MS, 99 * MS):
        leases_us = [begin_us + number * 100 * MS for number in range(50)]
        assert delivered_share(leases_us, 100 * MS, 500 * MS, 4_050 * MS) == 1.0


def test_a_queue_that_stops_is_missed_in_its_share() -> None:
    leases_us = [number * 100 * MS for number in range(11)]
    assert delivered_share(leases_us, 100 * MS, 0, 2_000 * MS) == 0.5


def test_no_share_is_given_for_less_than_one_interval() -> None:
    assert delivered_share([], 100 * MS, 0, 99 * MS) is None


def test_a_lease_before_its_interval_is_over_is_a_violation() -> None:
    assert count_violations([0, 100 * MS, 199 * MS], 100 * MS, burst=1) == 1


def test_times_cut_to_whole_milliseconds_make_no_violation() -> None:
    true_us = [number * 100_500 for number in range(100)]
    assert count_violations([time_us // MS * MS for time_us in true_us], 100_500, burst=1) == 0


def test_burst_2_allows_one_late_lease_to_be_caught_up_and_not_two() -> None:
    on_time = [0, 100 * MS, 290 * MS, 300 * MS]
    assert count_violations(on_time, 100 * MS, burst=2) == 0
    assert count_violations([*on_time, 310 * MS], 100 * MS, burst=2) == 1


def test_the_grace_of_a_named_cap_is_used_up_once_and_not_each_time() -> None:
    leases_us = [0, 95 * MS, 190 * MS, 285 * MS]
    assert count_violations(leases_us, 100 * MS, burst=1, grace_us=10 * MS) == 1
    assert count_violations(leases_us[:3], 100 * MS, burst=1, grace_us=10 * MS) == 0


def test_a_strict_queue_owes_its_next_lease_one_interval_after_the_last() -> None:
    assert earliest_times([0, 150 * MS, 260 * MS], 100 * MS, burst=1) == [None, 100 * MS, 250 * MS]


def test_the_customers_promise_4000_jobs_a_second() -> None:
    group = customers(pace=1.0)
    assert len(group) == 1_010
    assert abs(sum(customer.rate for customer in group) - 4_000) < 10


def test_every_customer_has_jobs_for_the_whole_time() -> None:
    group = customers(pace=0.5)[-20:]
    jobs = list(jobs_for(group, burst=2, duration_s=3))
    for customer in group:
        assert sum(job.queue_id == customer.queue_id for job in jobs) >= customer.rate * 3 + 2
    assert len({(job.queue_id, job.job_id) for job in jobs}) == len(jobs)


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile(list(range(1, 101)), percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 50) == 7.0


def test_a_peer_that_did_not_run_gives_no_ratio() -> None:
    row = Row(
        "what",
        "x",
        Spread.of([2.0]),
        Goal(1, is_least=True),
        Peer("peer", "not run: missing", is_same_run=True),
    )
    assert row.ratio is None
    assert row.is_met is True


def test_a_number_that_was_not_measured_meets_no_goal() -> None:
    assert Row("what", "x", "not run: missing", Goal(1, is_least=True)).is_met is None


def test_a_fraction_of_a_burst_makes_up_for_that_part_of_an_interval() -> None:
    assert count_violations([0, 110 * MS, 200 * MS], 100 * MS, burst=1.1) == 0
    assert count_violations([0, 110 * MS, 199 * MS], 100 * MS, burst=1.1) == 1


def test_a_costly_lease_owes_an_interval_for_each_unit() -> None:
    assert earliest_times([0, 300 * MS, 400 * MS], 100 * MS, 1, [3, 1, 1]) == [None, 300 * MS, 400 * MS]
    assert count_violations([0, 299 * MS], 100 * MS, 1, [3, 1]) == 1
    assert count_violations([0, 0, 200 * MS], 100 * MS, 2, [2, 1, 1]) == 1
    assert count_violations([0, 100 * MS, 200 * MS], 100 * MS, 2, [2, 1, 1]) == 0


def test_customers_of_one_rate_have_queues_of_their_own() -> None:
    group = [customer for rate in (5, 20) for customer in evenly(rate, 3)]
    assert len({customer.queue_id for customer in group}) == 6
    assert {round(customer.rate) for customer in group} == {5, 20}
    assert len(list(jobs_for(group, burst=1.1, duration_s=2))) == 3 * (12 + 42)
