"""Single calls over HTTP: enqueue, dequeue and finish through one `sharq-server`, beside bare aiohttp.

In each round every number of connections is measured once, bare aiohttp first and then the three calls, so that
what disturbs the machine disturbs both. Rounds begin with fresh processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from benchmarks.errors import NotRun, Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, median
from benchmarks.load import wrk
from benchmarks.load.singles import INTERVAL_MS, LEASE_MS, PAYLOAD, QUEUES, enqueue_words, fill, leases
from benchmarks.peers.original import original_server
from benchmarks.processes.busy import BusyMeter, typical
from benchmarks.processes.servers import Server, Store, bare_server, sharq_server, store

_REFERENCE = 64
"""The number of connections at which the goals are judged."""
_MANY_QUEUES = 1_000
"""The number of queues above the reference. Of 256 dequeues at one moment, some would find nothing in 100 queues that
may each give one job."""
_EMPTY_SHARE = 0.01
"""The share of empty answers that is allowed when dequeues and finishes take turns. After a stall 64 dequeues come at
once, and of 100 queues that may each give one job a millisecond some have just done so. The original and ours are
allowed as many."""
_MANY = 256
"""Connections at which bare aiohttp is compared, too."""


class _Plan(msgspec.Struct, frozen=True):
    connections: tuple[int, ...]
    rounds: int
    duration_s: int


_FULL = _Plan((1, 8, _REFERENCE, _MANY), rounds=5, duration_s=4)
_QUICK = _Plan((1, _REFERENCE, _MANY), rounds=3, duration_s=1)


class _Call(msgspec.Struct, frozen=True):
    """One kind of call under load: requests a second, latency, and CPU time a request of server and store.

    Attributes:
        busy: shares of a core.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    store_us: float
    busy: dict[str, float]


class _Round(msgspec.Struct, frozen=True):
    """The calls at one number of connections."""

    bare: _Call
    enqueue: _Call
    dequeue: _Call
    finish: _Call

    @property
    def pair_rate(self) -> float:
        """Requests a second of a worker's dequeues and finishes in turn, from the rates of each alone."""
        return 2 / (1 / self.dequeue.rate + 1 / self.finish.rate)


class _Calls(msgspec.Struct, frozen=True):
    """Requests a second: single enqueues, and dequeues and finishes in turn; and the shares of a core in both."""

    enqueue: float
    pair: float
    enqueue_busy: dict[str, float]
    pair_busy: dict[str, float]


class _Pair(msgspec.Struct, frozen=True):
    """The figures of one round that are compared with the original."""

    ours: _Calls
    original: _Calls


class _Target(msgspec.Struct, frozen=True):
    """A target that is measured in a round."""

    bare: Server
    sharq: Server
    store: Store
    plan: _Plan


def run(is_quick: bool) -> Report:
    """Measure every number of connections in each round."""
    plan = _QUICK if is_quick else _FULL
    rounds: list[dict[int, _Round]] = []
    pairs: list[_Pair | str] = []
    for _ in range(plan.rounds):
        with ExitStack() as stack:
            running = stack.enter_context(store(is_durable=True))
            sharq = stack.enter_context(
                sharq_server(running.url, {"SHARQ_SHARQ_JOB_EXPIRE_INTERVAL": str(LEASE_MS)})
            )
            target = _Target(stack.enter_context(bare_server()), sharq, running, plan)
            _warm_up(target)
            rounds.append({count: _measure(target, count) for count in plan.connections})
            version = running.version
            pairs.append(_beside_original(target))
    return _report(plan, rounds, pairs, version)


def _beside_original(target: _Target) -> _Pair | str:
    """Measure ours and the original's server in turn; or why there is no comparison."""
    try:
        with original_server() as server:
            duration_s, pids = target.plan.duration_s, {"store": [target.store.pid]}
            return _Pair(_measure_pair(target.sharq, pids, duration_s), _measure_pair(server, {}, duration_s))
    except (NotRun, Spoiled) as error:
        return f"not run: {error}"


def _measure_pair(server: Server, others: dict[str, list[int]], duration_s: int) -> _Calls:
    """Enqueues, and then a worker's dequeues and finishes of what they left."""
    wrk.run(server.url, "enqueue", 8, 1, *enqueue_words("warm-pair"))
    pids = {"server": [server.pid], **others}
    meter = BusyMeter(pids)
    enqueue = wrk.run(server.url, "enqueue", _REFERENCE, duration_s, *enqueue_words("pair"))
    enqueue_busy, meter = meter.shares(), BusyMeter(pids)
    pairs = wrk.run(server.url, "pairs", _REFERENCE, duration_s, tolerated=_EMPTY_SHARE)
    return _Calls(enqueue.rate, pairs.rate, enqueue_busy, meter.shares())


def _warm_up(target: _Target) -> None:
    for server in (target.bare, target.sharq):
        wrk.run(server.url, "enqueue", 8, 1, *enqueue_words("warm"))


def _measure(target: _Target, connections: int) -> _Round:
    """Measure bare aiohttp, enqueue, dequeue and finish.

    Before each of the last two, more jobs are there than its calls can take, even if the machine stalled before.
    """
    arguments = enqueue_words(f"c{connections}")
    bare = _load(target, target.bare, "enqueue", connections, *arguments)
    enqueue = _load(target, target.sharq, "enqueue", connections, *arguments)
    enough = round(max(bare.rate * 1.2, enqueue.rate * 2.5) * target.plan.duration_s) + 1_000
    queues = QUEUES if connections <= _REFERENCE else _MANY_QUEUES
    fill(target.sharq.url, f"d{connections}", enough, queues)
    dequeue = _load(target, target.sharq, "dequeue", connections)
    fill(target.sharq.url, f"f{connections}", enough, queues)
    with leases(target.sharq.url, enough) as file:
        finish = _load(target, target.sharq, "finish", connections, file)
    return _Round(bare, enqueue, dequeue, finish)


def _load(target: _Target, server: Server, script: str, connections: int, *arguments: str) -> _Call:
    meter = BusyMeter({"server": [server.pid], "store": [target.store.pid]})
    done = wrk.run(server.url, script, connections, target.plan.duration_s, *arguments)
    spent_us, busy = meter.spent_us(), meter.shares()
    server_us, store_us = spent_us["server"] / done.requests, spent_us["store"] / done.requests
    return _Call(done.rate, done.p50_ms, done.p99_ms, server_us, store_us, busy)


def _report(plan: _Plan, rounds: list[dict[int, _Round]], pairs: list[_Pair | str], version: str) -> Report:
    return Report(
        name="http",
        question="How many single calls a second does one `sharq-server` answer, and what of them is HTTP itself?",
        parameters={
            "server": "one sharq-server: router and shard in one process",
            "store": f"{version}, append-only file written out each second, over a UNIX socket",
            "load": f"{wrk.version()}, 1 thread, {plan.duration_s} s a measurement, {plan.rounds} rounds",
            "queues": f"{QUEUES}; {_MANY_QUEUES:,} for dequeues above {_REFERENCE} connections; interval "
            f"{INTERVAL_MS} ms: limits are on and none is reached",
            "payload": f"{len(PAYLOAD)} bytes",
        },
        rows=[*_goal_rows(rounds), *_original_rows(pairs)],
        grids=[_grid(plan, rounds)],
        notes=[
            f"The rows are at {_REFERENCE} connections, where they do not say another number.",
            "The original: its core 1.3.0 behind Flask, gevent and two gunicorn workers, on a store of its own in the "
            "same rounds; a worker's dequeues and finishes in turn, by the same load on both.",
            "Load, server and store share the cores, so that rates are below what the server alone could do.",
            "A finish names its lease; `dequeue + finish` is reckoned from the rates of each alone.",
            "Bare aiohttp is one process on uvloop that parses the same body with msgspec and answers 201.",
        ],
    )


def _original_rows(pairs: list[_Pair | str]) -> list[Row]:
    """Ours over the original's; one round without it, and there is no number."""
    measured = [pair for pair in pairs if isinstance(pair, _Pair)]
    reasons = [pair for pair in pairs if isinstance(pair, str)]
    enqueues = [pair.ours.enqueue / pair.original.enqueue for pair in measured]
    both = [pair.ours.pair / pair.original.pair for pair in measured]
    if reasons:
        return [targets.ENQUEUES_OF_ORIGINAL.row(reasons[0]), targets.PAIRS_OF_ORIGINAL.row(reasons[0])]
    enqueue_busy = typical([pair.ours.enqueue_busy for pair in measured])
    pair_busy = typical([pair.ours.pair_busy for pair in measured])
    return [
        targets.ENQUEUES_OF_ORIGINAL.row(Spread.of(enqueues), busy=enqueue_busy),
        targets.PAIRS_OF_ORIGINAL.row(Spread.of(both), busy=pair_busy),
    ]


def _goal_rows(rounds: list[dict[int, _Round]]) -> list[Row]:
    def of(value: Callable[[_Round], float], connections: int = _REFERENCE) -> Spread:
        return Spread.of([value(turn[connections]) for turn in rounds])

    enqueues = [turn[_REFERENCE].enqueue.busy for turn in rounds]
    return [
        targets.ENQUEUE_OF_BARE.row(
            of(lambda turn: turn.enqueue.server_us / turn.bare.server_us), busy=typical(enqueues)
        ),
        Row(
            f"single enqueue, server CPU of bare aiohttp's, {_MANY} connections",
            "x",
            of(lambda turn: turn.enqueue.server_us / turn.bare.server_us, _MANY),
        ),
        Row(targets.SINGLE_ENQUEUE, "req/s", of(lambda turn: turn.enqueue.rate)),
        Row("dequeue + finish", "req/s", of(lambda turn: turn.pair_rate)),
        Row("single dequeue", "req/s", of(lambda turn: turn.dequeue.rate)),
        Row("single finish", "req/s", of(lambda turn: turn.finish.rate)),
        Row("bare aiohttp", "req/s", of(lambda turn: turn.bare.rate)),
    ]


def _grid(plan: _Plan, rounds: list[dict[int, _Round]]) -> Grid:
    columns = ("call", "connections", "req/s", "p50 ms", "p99 ms", "server CPU µs", "store CPU µs", "of bare")
    rows: list[tuple[Cell, ...]] = []
    for name in _Round.__struct_fields__:
        for count in plan.connections:
            calls: list[_Call] = [getattr(turn[count], name) for turn in rounds]
            figures = [
                median(getattr(call, field) for call in calls)
                for field in ("rate", "p50_ms", "p99_ms", "server_us", "store_us")
            ]
            ratios = [call.rate / turn[count].bare.rate for call, turn in zip(calls, rounds, strict=True)]
            rows.append((name, str(count), *figures, median(ratios)))
    return Grid("By call and connections (medians; CPU time a request)", columns, rows)
