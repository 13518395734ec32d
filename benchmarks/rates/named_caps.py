"""Are named caps kept and used over 1,000 queues of two types on three shards, shared fairly, and what do they cost?

Shares and breaches are judged by the lease times that the server gives, which are the store's. All shards have one
store here; tests/chaos judges several. The costs are CPU time of the store.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import redis

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.figures.targets import Target
from benchmarks.processes.clusters import Cluster, Tiers, cluster
from benchmarks.processes.servers import python_child, wait_for_end
from benchmarks.rates import named_cap_costs, named_cap_load
from benchmarks.rates.lease_times import count_violations, delivered_share
from benchmarks.rates.waiting_worker import Note, read_notes
from sharq_core.caps import grace_us

_WARM_UP_S = 2.0
_SLACK_S = 1.0
_IDLE_S = 5.0
_SETTLE_S = 2.0
_TYPES = ("sms", "email")
_QUEUES = 1_000
_SHARDS = 3
_POLLS = 4
"""Long polls at once of each type."""
_CAP = "account"


class _Case(msgspec.Struct, frozen=True):
    """A cap and a backlog; target is None for the queues alone, with as many jobs a second by their own rates."""

    rate: int
    burst: float
    target: Target | None

    @property
    def interval_us(self) -> int:
        """The interval of the cap, in µs."""
        return math.ceil(1e6 / self.rate)


class _Outcome(msgspec.Struct, frozen=True):
    """The outcome of a case.

    Attributes:
        share: delivered over promised.
        breaches: leases above the bound.
        fairness: Jain's index of the queues' leases.
        tiers: CPU time of a lease and a finish.
        idle_calls: function calls to the store a second while jobs wait and no worker does.
    """

    share: float
    breaches: int
    leases: int
    fairness: float
    tiers: Tiers
    idle_calls: float


_CAPPED = [_Case(rate, burst, target) for (rate, burst), target in targets.NAMED_SHARE.items()]
_FAST = _CAPPED[-1]
_ALONE = _Case(_FAST.rate, 1, None)
_CASES = [*_CAPPED, _ALONE]


def run(is_quick: bool) -> Report:
    """Run the cases one after another, and then the costs of reservations."""
    judged_s, count = (5.0, 1) if is_quick else (20.0, 3)
    rounds = [{case: _run_case(case, judged_s) for case in _CASES} for _ in range(count)]
    costs = named_cap_costs.measure(is_quick)
    return Report(
        name="named-caps",
        question="Are named caps kept and used over types and shards, shared fairly, and what do they cost?",
        parameters={
            "judged": f"{judged_s:g} s after a warm-up of {_WARM_UP_S:g} s; {count} rounds",
            "processes": f"by sharq-cluster: one router, {_SHARDS} shards, one store with an append-only file",
            "workers": f"one process with {_POLLS} long polls of each of {len(_TYPES)} types; bulk finishes",
            "jobs": f"{_QUEUES:,} backlogged queues over {len(_TYPES)} types, all with one cap and without a rate of "
            "their own; without the cap, queues have rates of 0.6 to 2.4 a second",
            **costs.parameters,
        },
        rows=_rows(rounds) + costs.rows,
        grids=[_grid(rounds[-1])],
        notes=[
            "A share is of whole intervals. A breach is a lease above burst + (t + g) / interval in some time t.",
            "Jain's index is of the leases that each queue got in the judged time.",
            *costs.notes,
        ],
    )


def _run_case(case: _Case, judged_s: float) -> _Outcome:
    work_s = _WARM_UP_S + judged_s + _SLACK_S
    count = max(math.ceil(case.rate * (work_s + 2 * _SLACK_S) + case.burst), 2 * _QUEUES)
    intervals_ms = [0.0] * _QUEUES if case.target else _own_intervals(case.rate)
    caps = [_CAP] if case.target else []
    with cluster(1, _SHARDS) as running:
        url = running.routers[0].url
        if caps:
            named_cap_load.define(url, _CAP, case.interval_us / 1000, case.burst)
        named_cap_load.enqueue(url, named_cap_load.backlog(_TYPES, intervals_ms, count, caps))
        idle_calls = _idle_calls(running)
        before = running.cpu
        notes = _work(url, work_s)
        spent = running.cpu - before
    return _judge(case, notes, judged_s, spent.a_job(len(notes)), idle_calls)


def _own_intervals(rate: int) -> list[float]:
    """Return intervals of the queues that give this many jobs a second together, which are due one after the other.

    Equal ones would be due all at once again and again, and so be served in a few large calls.
    """
    shares = [0.5 + 1.5 * number / _QUEUES for number in range(_QUEUES)]
    scale = 1000 / rate * sum(1 / share for share in shares)
    return [round(scale * share, 3) for share in shares]


def _idle_calls(running: Cluster) -> float:
    """Count the calls of functions while nobody waits, a second."""
    with redis.Redis.from_url(running.stores[0].url) as client:
        time.sleep(_SETTLE_S)
        before = _function_calls(client)
        time.sleep(_IDLE_S)
        return (_function_calls(client) - before) / _IDLE_S


def _function_calls(client: redis.Redis) -> int:
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_fcall", "cmdstat_fcall_ro") if name in stats)


def _work(url: str, work_s: float) -> list[Note]:
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        notes = Path(name) / "notes"
        arguments = [url, str(_POLLS), str(work_s), str(notes), *_TYPES]
        with python_child("benchmarks.rates.waiting_worker", arguments, Path(name)) as worker:
            wait_for_end(worker, work_s + 60, Path(name))
        return read_notes(notes).notes


def _judge(case: _Case, notes: list[Note], judged_s: float, tiers: Tiers, idle_calls: float) -> _Outcome:
    if not notes:
        raise Spoiled("no job came")
    leases_us = sorted(note.leased_ms * 1000 for note in notes)
    from_us = leases_us[0] + round(_WARM_UP_S * 1e6)
    until_us = from_us + round(judged_s * 1e6)
    share = delivered_share(leases_us, case.interval_us, from_us, until_us)
    if share is None:
        raise Spoiled(f"no interval fits into {judged_s:g} s")
    given = Counter(note.queue_id for note in notes if from_us < note.leased_ms * 1000 <= until_us)
    breaches = (
        count_violations(leases_us, case.interval_us, case.burst, grace_us=grace_us([case.interval_us]))
        if case.target
        else 0
    )
    return _Outcome(share, breaches, len(notes), _fairness(given), tiers, idle_calls)


def _fairness(given: Counter[str]) -> float:
    """Return Jain's index over all queues: 1 if each got as much, 1/n if one got everything."""
    squares = _QUEUES * sum(count * count for count in given.values())
    return given.total() ** 2 / squares


def _rows(rounds: list[dict[_Case, _Outcome]]) -> list[Row]:
    shares = [
        case.target.row(Spread.of([outcomes[case].share for outcomes in rounds]))
        for case in _CAPPED
        if case.target is not None
    ]
    breaches = [sum(outcome.breaches for outcome in outcomes.values()) for outcomes in rounds]
    prices = [outcomes[_FAST].tiers.store / outcomes[_ALONE].tiers.store for outcomes in rounds]
    idle = [max(0.0, outcomes[_FAST].idle_calls - outcomes[_ALONE].idle_calls) for outcomes in rounds]
    return [
        *shares,
        targets.NAMED_BREACHES.row(Spread.of(breaches)),
        targets.NAMED_FAIR.row(Spread.of([outcomes[_FAST].fairness for outcomes in rounds])),
        targets.NAMED_STORE.row(Spread.of(prices)),
        targets.NAMED_IDLE.row(Spread.of(idle)),
    ]


def _grid(outcomes: dict[_Case, _Outcome]) -> Grid:
    columns = (
        "cap", "burst", "leases", "breaches", "share", "Jain's index", "router µs a job", "shard µs", "store µs",
        "idle: calls/s",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            f"{case.rate:,}/s" if case.target else "none",
            f"{case.burst:g}",
            outcome.leases,
            outcome.breaches,
            outcome.share,
            outcome.fairness,
            outcome.tiers.router,
            outcome.tiers.shard,
            outcome.tiers.store,
            outcome.idle_calls,
        )
        for case, outcome in outcomes.items()
    ]
    return Grid("By case (the last round)", columns, rows)
