"""Is every queue's rate held? Promised against delivered, spacing, and how late a waiting worker gets its job.

1,000 queues of mixed rates and ten at 100/s, all with a backlog, and workers that wait in long polls; and queues at 5,
20 and 50/s with a burst of 1.1, by which they leave evenly. Judged by the lease times that the server gives, which are
the store's.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.curve import Curve
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.load import jobs
from benchmarks.load.chain_load import Chain
from benchmarks.load.yardsticks import chain
from benchmarks.processes.busy import typical
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import python_child, sharq_server, store, wait_for_end
from benchmarks.rates import mix
from benchmarks.rates.lease_times import RESOLUTION_US, count_violations, delivered_share, earliest_times
from benchmarks.rates.mix import Customer
from benchmarks.rates.waiting_worker import Note, Notes, read_notes

_WORKERS = 2
_POLLS = 16
_WARM_UP_S = 3.0
"""The first leases of the backlog, bursts and all, come at once; after them every queue is steady."""
_SLACK_S = 2.0
"""Workers work this much longer than what is judged."""
_CHAIN_RATE, _CHAIN_S = 2_000, 3.0
"""The yardstick's timers a second, as many as the jobs whose lateness is judged, and how long they run."""

_EVEN = {5: 60, 20: 15, 50: 6}
"""The number of queues at each rate that the scenario with burst 1.1 has: 300 jobs a second of each."""


class _Scenario(msgspec.Struct, frozen=True):
    """One burst for all queues of a group.

    Attributes:
        pace: factor on every rate.
        is_even: the group is that of the even rates.
    """

    name: str
    burst: float
    pace: float = 1.0
    is_even: bool = False

    def group(self) -> list[Customer]:
        """Return the queues."""
        if self.is_even:
            return [customer for rate, count in _EVEN.items() for customer in mix.evenly(rate, count)]
        return mix.customers(self.pace)


_SCENARIOS = (
    _Scenario("strict", burst=1),
    _Scenario("burst 2", burst=2),
    _Scenario("half pace", burst=2, pace=0.5),
    _Scenario("burst 1.1", burst=1.1, is_even=True),
)
"""`half pace` has the 2,000 jobs a second at which lateness is judged."""


class _Shares(msgspec.Struct, frozen=True):
    """CPU time, shares of a core; workers: all together."""

    server: float
    store: float
    workers: float


class _Outcome(msgspec.Struct, frozen=True):
    """The outcome of a scenario.

    Attributes:
        slow, fast: delivered over promised, of each queue up to 20/s and of each at 100/s.
        by_interval: the same of each queue, by its interval in µs.
        violations: leases before their time.
        too_close: leases of one queue less than 0.9 of its interval apart, by the resolution of the times or more.
        late_ms: from ready to the answer at the worker, of each job that had to wait for its rate.
        chain: lateness of a timer and one round trip, right after the scenario.
    """

    slow: list[float]
    fast: list[float]
    by_interval: dict[int, list[float]]
    violations: int
    too_close: int
    leases: int
    late_ms: list[float]
    shares: _Shares
    chain: Chain

    def of_chain(self, percent: float) -> float:
        """Return the lateness at 50 or 99 percent, of the yardstick's."""
        own_ms = percentile(self.late_ms, percent)
        return own_ms / (self.chain.p50_ms if percent == 50 else self.chain.p99_ms)

    @property
    def busy(self) -> dict[str, float]:
        """The shares of a core by process."""
        return msgspec.structs.asdict(self.shares)


def run(is_quick: bool) -> Report:
    """Run the scenarios one after another, each on fresh processes."""
    judged_s, count = (8.0, 1) if is_quick else (30.0, 3)
    rounds = [
        {scenario.name: _run_scenario(scenario, judged_s) for scenario in _SCENARIOS} for _ in range(count)
    ]
    return Report(
        name="rate",
        question="Is every queue's rate held with limits on, and how late does a waiting worker get its job?",
        parameters={
            "queues": "1,000 at 0.5-20/s (3,000/s in all) and ten at 100/s; half pace: each at half its rate; "
            f"burst 1.1: {', '.join(f'{count} at {rate}/s' for rate, count in _EVEN.items())}",
            "workers": f"{_WORKERS} processes with {_POLLS} long polls each, bulk finishes",
            "judged": f"{judged_s:g} s after a warm-up of {_WARM_UP_S:g} s",
            "rounds": str(count),
            "server": "one sharq-server; store with an append-only file written out each second",
        },
        rows=_rows(rounds),
        grids=[_grid(rounds[-1])],
        curves=[_lateness_curve(rounds[-1])],
        notes=[
            "A share is of the leases in whole intervals, so that a rate that is kept gives exactly 1.",
            "Lease times are cut to 1 ms: a violation is one by 1 ms or more, and lateness is up to 1 ms too high.",
        ],
    )


def _run_scenario(scenario: _Scenario, judged_s: float) -> _Outcome:
    group = scenario.group()
    work_s = _WARM_UP_S + judged_s + _SLACK_S
    with ExitStack() as stack:
        running = stack.enter_context(store(is_durable=True))
        server = stack.enter_context(sharq_server(running.url))
        jobs.enqueue(server.url, list(mix.jobs_for(group, scenario.burst, work_s + _SLACK_S)))
        meter = CpuMeter(server.pid, running.pid)
        handed_over = _work(server.url, work_s)
        server_us, store_us = meter.spent_us()
        lateness = chain(running, _CHAIN_RATE, _CHAIN_S)
    shares = _Shares(
        server=server_us / 1e6 / work_s,
        store=store_us / 1e6 / work_s,
        workers=sum(worker.cpu_s for worker in handed_over) / work_s,
    )
    return _judge(
        scenario, group, [note for worker in handed_over for note in worker.notes], judged_s, shares, lateness
    )


def _work(url: str, work_s: float) -> list[Notes]:
    """Let the workers work, and return what they noted."""
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        files = [directory / f"notes-{number}" for number in range(_WORKERS)]
        workers = [
            stack.enter_context(
                python_child(
                    "benchmarks.rates.waiting_worker", [url, str(_POLLS), str(work_s), str(file)], directory
                )
            )
            for file in files
        ]
        for worker in workers:
            wait_for_end(worker, work_s + 60, directory)
        return [read_notes(file) for file in files]


def _judge(
    scenario: _Scenario,
    group: list[Customer],
    notes: list[Note],
    judged_s: float,
    shares: _Shares,
    lateness: Chain,
) -> _Outcome:
    by_queue: defaultdict[str, list[Note]] = defaultdict(list)
    for note in sorted(notes, key=lambda note: note.leased_ms):
        by_queue[note.queue_id].append(note)
    from_us = min(note.leased_ms for note in notes) * 1000 + round(_WARM_UP_S * 1e6)
    until_us = from_us + round(judged_s * 1e6)
    slow: list[float] = []
    fast: list[float] = []
    late_ms: list[float] = []
    by_interval: defaultdict[int, list[float]] = defaultdict(list)
    violations = too_close = 0
    for customer in group:
        own = by_queue[customer.queue_id]
        leases_us = [note.leased_ms * 1000 for note in own]
        violations += count_violations(leases_us, customer.interval_us, scenario.burst)
        too_close += _count_closer(leases_us, 0.9 * customer.interval_us)
        late_ms += _late_ms(own, leases_us, customer, scenario.burst, from_us)
        share = delivered_share(leases_us, customer.interval_us, from_us, until_us)
        if share is None:
            raise Spoiled(f"no interval of {customer.queue_id} fits into {judged_s:g} s")
        (fast if customer.is_fast else slow).append(share)
        by_interval[customer.interval_us].append(share)
    return _Outcome(
        slow, fast, dict(by_interval), violations, too_close, len(notes), late_ms, shares, lateness
    )


def _count_closer(leases_us: list[int], least_us: float) -> int:
    return sum(later - earlier <= least_us - RESOLUTION_US for earlier, later in pairwise(leases_us))


def _late_ms(
    notes: list[Note], leases_us: list[int], customer: Customer, burst: float, from_us: int
) -> list[float]:
    earliest = earliest_times(leases_us, customer.interval_us, burst)
    return [
        (note.received_us - due_us) / 1000
        for note, due_us in zip(notes, earliest, strict=True)
        if due_us is not None and due_us > from_us
    ]


def _rows(rounds: list[dict[str, _Outcome]]) -> list[Row]:
    strict, burst, half, even = ([turn[scenario.name] for turn in rounds] for scenario in _SCENARIOS)
    violations = [sum(outcome.violations for outcome in turn.values()) for turn in rounds]
    busy = {scenario.name: typical([turn[scenario.name].busy for turn in rounds]) for scenario in _SCENARIOS}
    half_busy = busy["half pace"]
    return [
        targets.RATE_BURST.row(
            _means([outcome.slow + outcome.fast for outcome in burst]), busy=busy["burst 2"]
        ),
        targets.RATE_STRICT.row(_means([outcome.slow for outcome in strict]), busy=busy["strict"]),
        targets.RATE_STRICT_FAST.row(_means([outcome.fast for outcome in strict]), busy=busy["strict"]),
        *(
            target.row(
                _means([outcome.by_interval[1_000_000 // rate] for outcome in even]), busy=busy["burst 1.1"]
            )
            for rate, target in targets.RATE_EVEN.items()
        ),
        targets.RATE_EVEN_CLOSE.row(Spread.of([outcome.too_close for outcome in even])),
        targets.VIOLATIONS.row(Spread.of(violations)),
        targets.LATENESS_P50.row(Spread.of([outcome.of_chain(50) for outcome in half]), busy=half_busy),
        targets.LATENESS_P99.row(Spread.of([outcome.of_chain(99) for outcome in half]), busy=half_busy),
        *(
            Row(f"lateness at 2,000 jobs/s, p{percent}", "ms", Spread.of(late_ms))
            for percent in (50, 99)
            for late_ms in [[percentile(outcome.late_ms, percent) for outcome in half]]
        ),
        Row("timer and one round trip, p50", "ms", Spread.of([outcome.chain.p50_ms for outcome in half])),
        Row("timer and one round trip, p99", "ms", Spread.of([outcome.chain.p99_ms for outcome in half])),
    ]


def _means(rounds: list[list[float]]) -> Spread:
    return Spread.of([statistics.fmean(shares) for shares in rounds])


def _grid(outcomes: dict[str, _Outcome]) -> Grid:
    columns = (
        "scenario", "leases", "violations", "up to 20/s: worst queue", "100/s: worst queue",
        "late p50 ms", "late p99 ms", "server, of a core", "store, of a core", "workers, of a core",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            outcome.leases,
            outcome.violations,
            min(outcome.slow),
            min(outcome.fast, default="-"),
            percentile(outcome.late_ms, 50),
            percentile(outcome.late_ms, 99),
            outcome.shares.server,
            outcome.shares.store,
            outcome.shares.workers,
        )
        for name, outcome in outcomes.items()
    ]
    return Grid("By scenario (the last round)", columns, rows)


def _lateness_curve(outcomes: dict[str, _Outcome]) -> Curve:
    percents = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9)
    series = {
        name: [(percentile(outcome.late_ms, percent), float(percent)) for percent in percents]
        for name, outcome in outcomes.items()
    }
    return Curve("Lateness of a waiting worker", "ms or less", "percent of the jobs", series)
