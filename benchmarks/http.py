"""Single calls over HTTP: enqueue, dequeue and finish through one `sharq-server`, beside bare aiohttp.

In each round every number of connections is measured once, bare aiohttp first and then the three calls, so that
what disturbs the machine disturbs both. Rounds begin with fresh processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from benchmarks import jobs, wrk
from benchmarks.cpu import cpu_us
from benchmarks.report import Cell, Goal, Grid, Peer, Report, Row
from benchmarks.servers import Server, Store, bare_server, sharq_server, store
from benchmarks.spread import Spread
from sharq_core.client import EnqueueJob

_TYPE = "sms"
_QUEUES = 100
_INTERVAL_MS = 1
"""A limit that is kept and that no queue reaches: 100 queues may give 100,000 jobs a second."""
_PAYLOAD = {"message": "hello, world", "to": "4912345678"}
_LEASE_MS = 3_600_000
_REFERENCE = 64
"""The number of connections at which the goals are judged."""


class _Plan(msgspec.Struct, frozen=True):
    connections: tuple[int, ...]
    rounds: int
    duration_s: int


_FULL = _Plan((1, 8, _REFERENCE, 256), rounds=3, duration_s=4)
_QUICK = _Plan((1, _REFERENCE), rounds=3, duration_s=1)


class _Call(msgspec.Struct, frozen=True):
    """One kind of call under load: requests a second, latency, and CPU time a request of server and store."""

    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    store_us: float


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


class _Target(msgspec.Struct, frozen=True):
    """What is measured in a round."""

    bare: Server
    sharq: Server
    store: Store
    plan: _Plan


def run(is_quick: bool) -> Report:
    """Measure every number of connections in each round."""
    plan = _QUICK if is_quick else _FULL
    rounds: list[dict[int, _Round]] = []
    for _ in range(plan.rounds):
        with ExitStack() as stack:
            running = stack.enter_context(store(is_durable=True))
            sharq = stack.enter_context(
                sharq_server(running.url, {"SHARQ_SHARQ_JOB_EXPIRE_INTERVAL": str(_LEASE_MS)})
            )
            target = _Target(stack.enter_context(bare_server()), sharq, running, plan)
            _warm_up(target)
            rounds.append({count: _measure(target, count) for count in plan.connections})
            version = running.version
    return _report(plan, rounds, version)


def _warm_up(target: _Target) -> None:
    for server in (target.bare, target.sharq):
        wrk.run(server.url, "enqueue", 8, 1, "warm", str(_QUEUES), str(_INTERVAL_MS))


def _measure(target: _Target, connections: int) -> _Round:
    """Bare aiohttp, enqueue, dequeue, finish; in between, more jobs than a call can take."""
    arguments = (f"c{connections}", str(_QUEUES), str(_INTERVAL_MS))
    bare = _load(target, target.bare, "enqueue", connections, *arguments)
    enqueue = _load(target, target.sharq, "enqueue", connections, *arguments)
    enough = round(min(bare.rate * 1.2, enqueue.rate * 2.5) * target.plan.duration_s) + 1_000
    _fill(target.sharq, f"d{connections}", enough)
    dequeue = _load(target, target.sharq, "dequeue", connections)
    _fill(target.sharq, f"f{connections}", enough)
    with _leases(target.sharq, enough) as leases:
        finish = _load(target, target.sharq, "finish", connections, leases)
    return _Round(bare, enqueue, dequeue, finish)


def _load(target: _Target, server: Server, script: str, connections: int, *arguments: str) -> _Call:
    before_us, store_before_us = cpu_us(server.pid), cpu_us(target.store.pid)
    done = wrk.run(server.url, script, connections, target.plan.duration_s, *arguments)
    spent_us, store_spent_us = cpu_us(server.pid) - before_us, cpu_us(target.store.pid) - store_before_us
    return _Call(
        done.rate, done.p50_ms, done.p99_ms, spent_us / done.requests, store_spent_us / done.requests
    )


def _fill(server: Server, word: str, count: int) -> None:
    payload = msgspec.Raw(msgspec.json.encode(_PAYLOAD))
    new = [
        EnqueueJob(
            queue_type=_TYPE,
            queue_id=f"q{number % _QUEUES}",
            job_id=f"{word}-{number}",
            payload=payload,
            interval_ms=_INTERVAL_MS,
        )
        for number in range(count)
    ]
    jobs.enqueue(server.url, new)


@contextmanager
def _leases(server: Server, count: int) -> Iterator[str]:
    """Lease jobs and write them to a file as load/finish.lua reads it; yields its path."""
    leased = jobs.lease(server.url, _TYPE, count, _LEASE_MS)
    with tempfile.NamedTemporaryFile("w", prefix="sharq-bench-") as file:
        file.writelines(f"{job.queue_id} {job.job_id} {job.lease}\n" for job in leased)
        file.flush()
        yield file.name


def _report(plan: _Plan, rounds: list[dict[int, _Round]], version: str) -> Report:
    return Report(
        name="http",
        question="How many single calls a second does one `sharq-server` answer, and what of them is HTTP itself?",
        parameters={
            "server": "one sharq-server: router and shard in one process",
            "store": f"{version}, append-only file written out each second, over a UNIX socket",
            "load": f"{wrk.version()}, 1 thread, {plan.duration_s} s a measurement, {plan.rounds} rounds",
            "queues": f"{_QUEUES}, interval {_INTERVAL_MS} ms: limits are on and none is reached",
            "payload": f"{len(msgspec.json.encode(_PAYLOAD))} bytes",
        },
        rows=_goal_rows([one[_REFERENCE] for one in rounds]),
        grids=[_grid(plan, rounds)],
        notes=[
            f"The rows are at {_REFERENCE} connections.",
            "Load, server and store share the cores, so that rates are below what the server alone could do.",
            "A finish names its lease; `dequeue + finish` is reckoned from the rates of each alone.",
            "Bare aiohttp is one process on uvloop that parses the same body with msgspec and answers 201.",
        ],
    )


def _goal_rows(rounds: list[_Round]) -> list[Row]:
    def of(value: Callable[[_Round], float]) -> Spread:
        return Spread.of([value(one) for one in rounds])

    return [
        Row(
            "single enqueue",
            "req/s",
            of(lambda one: one.enqueue.rate),
            Goal(15_000, is_least=True),
            Peer("original", 5_008, is_same_run=False),
        ),
        Row(
            "dequeue + finish",
            "req/s",
            of(lambda one: one.pair_rate),
            Goal(13_000, is_least=True),
            Peer("original", 4_298, is_same_run=False),
        ),
        Row("single dequeue", "req/s", of(lambda one: one.dequeue.rate)),
        Row("single finish", "req/s", of(lambda one: one.finish.rate)),
        Row("bare aiohttp", "req/s", of(lambda one: one.bare.rate)),
        Row(
            "single enqueue, of bare aiohttp's rate",
            "x",
            of(lambda one: one.enqueue.rate / one.bare.rate),
            Goal(0.60, is_least=True),
            Peer("original", 0.21, is_same_run=False),
        ),
    ]


def _grid(plan: _Plan, rounds: list[dict[int, _Round]]) -> Grid:
    columns = ("call", "connections", "req/s", "p50 ms", "p99 ms", "server CPU µs", "store CPU µs", "of bare")
    rows: list[tuple[Cell, ...]] = []
    for name in _Round.__struct_fields__:
        for count in plan.connections:
            calls: list[_Call] = [getattr(one[count], name) for one in rounds]
            ratios = [call.rate / one[count].bare.rate for call, one in zip(calls, rounds, strict=True)]
            medians = (
                Spread.of([getattr(call, field) for call in calls]).median
                for field in _Call.__struct_fields__
            )
            rows.append((name, str(count), *medians, Spread.of(ratios).median))
    return Grid("By call and connections (medians; CPU time a request)", columns, rows)
