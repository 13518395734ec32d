"""Are the caps of gathered types kept and used, over one queue and 1,000, one type and 100, and what do they cost?

Shares, breaches and lateness are judged by the lease times that the server gives, which are the store's. The costs are
the store's CPU time of the functions, called directly.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.figures.targets import Target
from benchmarks.load import jobs
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import Store, python_child, sharq_server, store, wait_for_end
from benchmarks.rates import cap_costs
from benchmarks.rates.lease_times import count_violations, delivered_share, earliest_times
from benchmarks.rates.waiting_worker import Note, read_notes
from sharq_client import EnqueueJob
from sharq_core.config.settings import DEFAULT_KEY_PREFIX
from sharq_core.limits import Limit, LimitUnit, TypeSettings
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import TypeCalls

_WARM_UP_S = 1.0
_SLACK_S = 1.0
_PAYLOAD = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')
_MANY_TYPES = 100
_TYPES_A_WORKER = 15
"""Types that one worker asks for, of the 16 that it may: seven workers have 14 or 15 of 100 types each."""


class _Case(msgspec.Struct, frozen=True):
    """Gathered types with one cap each, and a backlog.

    Attributes:
        rate: of the cap, units a second.
        queues: of each type; a queue itself has no limit.
        most_cost: jobs cost 1 to this in turn, and the cap counts costs; 1 for a cap in jobs.
        polls: long polls at once of each type, or of each worker's types.
    """

    target: Target
    rate: int
    burst: float
    queues: int
    types: int = 1
    most_cost: int = 1
    polls: int = 4

    @property
    def interval_us(self) -> int:
        """The interval of the cap, in µs."""
        return math.ceil(1e6 / self.rate)


class _Outcome(msgspec.Struct, frozen=True):
    """The outcome of a case.

    Attributes:
        shares: delivered over promised, of each type.
        breaches: leases before their time.
        late_ms: from the slot to the answer at the worker, of each job that had to wait for it.
        server, store: CPU time, shares of a core.
    """

    shares: list[float]
    breaches: int
    leases: int
    late_ms: list[float]
    server: float
    store: float


_SINGLE = [_Case(target, rate, burst, queues) for (rate, burst, queues), target in targets.CAP_SHARE.items()]
_TOGETHER = _Case(targets.CAPS_TOGETHER, 40, 1.8, queues=10, types=_MANY_TYPES, polls=1)
_UNITS = _Case(targets.CAP_OF_UNITS, 100, 3, queues=100, most_cost=5)
_CASES = [*_SINGLE, _UNITS, _TOGETHER]


def run(is_quick: bool) -> Report:
    """Run the cases one after another, and then the costs."""
    judged_s, count = (5.0, 1) if is_quick else (15.0, 3)
    rounds = [[_run_case(case, judged_s) for case in _CASES] for _ in range(count)]
    costs = cap_costs.measure(is_quick)
    return Report(
        name="caps",
        question="Are the caps of gathered types kept and used, and what do they cost?",
        parameters={
            "judged": f"{judged_s:g} s after a warm-up of {_WARM_UP_S:g} s",
            "rounds": str(count),
            "workers": "one process with 4 long polls of up to 100 jobs; with 100 types one for each 14 or 15 of them, "
            "as workers of several types have; bulk finishes",
            "server": "one sharq-server; store with an append-only file written out each second",
            **costs.parameters,
        },
        rows=_rows(rounds) + costs.rows,
        grids=[_grid(rounds[-1]), *costs.grids],
        notes=[
            "A share is of the units in whole intervals. Lease times are cut to 1 ms: a breach is one by 1 ms or more.",
            "With burst 1 each late slot is lost.",
            *costs.notes,
        ],
    )


def _run_case(case: _Case, judged_s: float) -> _Outcome:
    work_s = _WARM_UP_S + judged_s + _SLACK_S
    types = [f"caps~{number}" for number in range(case.types)]
    with ExitStack() as stack:
        running = stack.enter_context(store(is_durable=True))
        server = stack.enter_context(sharq_server(running.url))
        _cap(running, types, case)
        jobs.enqueue(server.url, _backlog(case, types, work_s + 2 * _SLACK_S))
        meter = CpuMeter(server.pid, running.pid)
        notes = _work(server.url, case, types, work_s)
        server_us, store_us = meter.spent_us()
    return _judge(case, notes, judged_s, server_us / 1e6 / work_s, store_us / 1e6 / work_s)


def _cap(running: Store, types: list[str], case: _Case) -> None:
    keys = Keys(DEFAULT_KEY_PREFIX, DEFAULT_PARTITIONS)
    unit = LimitUnit.COST if case.most_cost > 1 else LimitUnit.JOB
    settings = TypeSettings(limits=[Limit(unit, case.interval_us, case.burst)])
    for queue_type in types:
        place = partition_of(queue_type, "", DEFAULT_PARTITIONS)
        running.execute(TypeCalls(keys).set_type(place, queue_type, settings))


def _backlog(case: _Case, types: list[str], duration_s: float) -> list[EnqueueJob]:
    """Return as many jobs as each cap allows in the time, the queues in turn. A queue's id begins with its type."""
    mean_cost = (1 + case.most_cost) / 2
    count = math.ceil(case.rate * duration_s / mean_cost + case.burst + case.most_cost)
    return [
        EnqueueJob(
            queue_type=queue_type,
            queue_id=f"{queue_type.partition('~')[2]}-{number % case.queues}",
            job_id=f"job-{number}",
            payload=_PAYLOAD,
            interval=0,
            cost=1 + number % case.most_cost,
            requeue_limit=None,
            retry=None,
        )
        for number in range(max(count, case.queues))
        for queue_type in types
    ]


def _work(url: str, case: _Case, types: list[str], work_s: float) -> list[Note]:
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        notes = Path(name) / "notes"
        workers = math.ceil(len(types) / _TYPES_A_WORKER)
        asked = [",".join(types[number::workers]) for number in range(workers)]
        arguments = [url, str(case.polls), str(work_s), str(notes), *asked]
        with python_child("benchmarks.rates.waiting_worker", arguments, Path(name)) as worker:
            wait_for_end(worker, work_s + 60, Path(name))
        return read_notes(notes).notes


def _judge(
    case: _Case, notes: list[Note], judged_s: float, server_share: float, store_share: float
) -> _Outcome:
    by_type: defaultdict[str, list[Note]] = defaultdict(list)
    for note in sorted(notes, key=lambda note: note.leased_ms):
        by_type[note.queue_id.partition("-")[0]].append(note)
    if len(by_type) != case.types:
        raise Spoiled(f"{len(by_type)} types of {case.types} gave jobs")
    from_us = min(note.leased_ms for note in notes) * 1000 + round(_WARM_UP_S * 1e6)
    until_us = from_us + round(judged_s * 1e6)
    shares, late_ms, breaches = [], [], 0
    for own in by_type.values():
        leases_us = [note.leased_ms * 1000 for note in own]
        costs = [note.cost for note in own]
        units_us = [at_us for at_us, cost in zip(leases_us, costs, strict=True) for _ in range(cost)]
        share = delivered_share(units_us, case.interval_us, from_us, until_us)
        if share is None:
            raise Spoiled(f"no interval fits into {judged_s:g} s")
        shares.append(share)
        breaches += count_violations(leases_us, case.interval_us, case.burst, costs)
        earliest = earliest_times(leases_us, case.interval_us, case.burst, costs)
        late_ms += [
            (note.received_us - due_us) / 1000
            for note, due_us in zip(own, earliest, strict=True)
            if due_us is not None and due_us > from_us
        ]
    return _Outcome(shares, breaches, len(notes), late_ms, server_share, store_share)


def _rows(rounds: list[list[_Outcome]]) -> list[Row]:
    rows = [
        case.target.row(Spread.of([sum(outcome.shares) / len(outcome.shares) for outcome in outcomes]))
        for case, outcomes in zip(_CASES, zip(*rounds, strict=True), strict=True)
    ]
    breaches = [sum(outcome.breaches for outcome in outcomes) for outcomes in rounds]
    return [*rows, targets.CAP_BREACHES.row(Spread.of(breaches))]


def _grid(outcomes: list[_Outcome]) -> Grid:
    columns = (
        "cap", "burst", "types", "queues each", "leases", "breaches", "least share", "late p50 ms", "late p99 ms",
        "server, of a core", "store, of a core",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            f"{case.rate:,} {'units' if case.most_cost > 1 else 'jobs'}/s",
            f"{case.burst:g}",
            case.types,
            case.queues,
            outcome.leases,
            outcome.breaches,
            min(outcome.shares),
            percentile(outcome.late_ms, 50),
            percentile(outcome.late_ms, 99),
            outcome.server,
            outcome.store,
        )
        for case, outcome in zip(_CASES, outcomes, strict=True)
    ]
    return Grid("By case (the last round)", columns, rows)
