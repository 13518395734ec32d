"""Kills a shard and then a router under load, and measures failed requests and the time to recover the full rate.

The processes are those of `sharq-cluster`, ended by SIGKILL. The load is benchmarks/cluster/failover_load.py.
"""

from __future__ import annotations

import bisect
import itertools
import os
import select
import signal
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.cluster.failover_load import QUEUE_TYPE, Note, read_notes
from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.load.singles import fill
from benchmarks.processes.clusters import Cluster, cluster
from benchmarks.processes.servers import Server, python_child, wait_for_end
from sharq_core.partitions import Ring, partition_of

_ROUTERS, _SHARDS = 2, 3
_BACKLOG = 5_000
"""Jobs that wait all the time, so that each dequeue finds one."""
_SETTLE_S = 5.0
_BEFORE_S = 2.0
"""The full rate is that of so long before the kill."""
_AFTER_S = 6.0
_WINDOW_S = 1.0
_STEP_S = 0.01
_FULL = 0.95
"""The share of the rate before, over a window, that counts as full."""
_NOTICE_S = 0.05
"""A router may send to a socket whose other end has gone until its event loop comes to read the end."""
_DEATH_TIMEOUT_S = 10.0


class Kill(msgspec.Struct, frozen=True):
    """The times of a kill on the monotonic clock: signal sent, and process and sockets gone."""

    sent_s: float
    gone_s: float


class Outcome(msgspec.Struct, frozen=True):
    """The effect of one kill.

    Attributes:
        in_flight: failed requests that were on the killed process, or could be.
        others: failures of other requests.
        recovery_s: from the kill to the first second at full rate.
        gap_s: the longest time without a good answer.
        rate: good answers a second before it.
    """

    in_flight: list[Note]
    others: list[Note]
    recovery_s: float
    gap_s: float
    rate: float


class _Round(msgspec.Struct, frozen=True):
    shard: Outcome
    router: Outcome


class _Member(msgspec.Struct, frozen=True):
    node: str
    address: str


class _View(msgspec.Struct, frozen=True):
    """The part of the reply to GET /cluster/ that the benchmark uses."""

    version: int
    partitions: int
    members: list[_Member]


def run(is_quick: bool) -> Report:
    """Give each round a cluster of its own, which loses a shard and then a router."""
    return _report([_run_once() for _ in range(2 if is_quick else 5)])


def judge(notes: Sequence[Note], kill: Kill, owned: Sequence[str] | None) -> Outcome:
    """Return the effect of a kill on the requests around it.

    Args:
        notes: of all requests from 2 s before the kill to 6 s after it, or more.
        owned: queues of the killed shard; None if it was not a shard.

    Raises:
        Spoiled: there was no load before it, or no full rate after it.
    """
    answered_s = sorted(note.ended_s for note in notes if not note.failure)
    rate = _count(answered_s, kill.sent_s - _BEFORE_S, kill.sent_s) / _BEFORE_S
    if not rate:
        raise Spoiled("there was no load before the kill")
    failed = [
        note for note in notes if note.failure and kill.sent_s <= note.ended_s <= kill.sent_s + _AFTER_S
    ]
    names = None if owned is None else frozenset(owned)
    in_flight = [note for note in failed if _may_be_in_flight(note, kill, names)]
    return Outcome(
        in_flight=in_flight,
        others=[note for note in failed if note not in in_flight],
        recovery_s=_recovery_s(answered_s, kill.sent_s, rate),
        gap_s=_longest_gap_s(answered_s, kill.sent_s, kill.sent_s + _AFTER_S),
        rate=rate,
    )


def _may_be_in_flight(note: Note, kill: Kill, owned: frozenset[str] | None) -> bool:
    """Return True if the request may be on the killed shard: a dequeue always, any other request by its queue."""
    is_there = owned is None or not note.queue_id or note.queue_id in owned
    return is_there and note.began_s <= kill.gone_s + _NOTICE_S


def _recovery_s(answered_s: list[float], killed_s: float, rate: float) -> float:
    for step in range(round((_AFTER_S - _WINDOW_S) / _STEP_S)):
        from_s = killed_s + step * _STEP_S
        if _count(answered_s, from_s, from_s + _WINDOW_S) >= _FULL * rate * _WINDOW_S:
            return step * _STEP_S
    raise Spoiled(f"the full rate did not come back within {_AFTER_S:g} s")


def _longest_gap_s(answered_s: list[float], from_s: float, until_s: float) -> float:
    inside = [from_s, *(at_s for at_s in answered_s if from_s < at_s < until_s), until_s]
    return max(later - earlier for earlier, later in itertools.pairwise(inside))


def _count(times_s: list[float], from_s: float, until_s: float) -> int:
    return bisect.bisect(times_s, until_s) - bisect.bisect(times_s, from_s)


def _run_once() -> _Round:
    work_s = _SETTLE_S + 2 * _AFTER_S + _WINDOW_S
    with (
        cluster(_ROUTERS, _SHARDS) as running,
        tempfile.TemporaryDirectory(prefix="sharq-bench-") as name,
    ):
        fill(running.routers[0].url, "backlog", _BACKLOG)
        directory = Path(name)
        file, urls = directory / "notes", ",".join(router.url for router in running.routers)
        with python_child(
            "benchmarks.cluster.failover_load", [urls, str(work_s), str(file)], directory
        ) as load:
            time.sleep(_SETTLE_S)
            owned = _queues_of(running, running.shards[0])
            shard = _kill(running.shards[0])
            time.sleep(_AFTER_S)
            router = _kill(running.routers[0])
            wait_for_end(load, work_s + 30, directory)
        notes = read_notes(file)
    named = [note.queue_id for note in notes if owned(note.queue_id)]
    return _Round(judge(notes, shard, named), judge(notes, router, None))


class _Owned:
    """A predicate: True for queues in the partitions of one shard, by the present ring."""

    def __init__(self, view: _View, address: str) -> None:
        ring = Ring.build(view.version, frozenset(member.node for member in view.members), view.partitions)
        (node,) = (member.node for member in view.members if member.address == address)
        self._partitions = view.partitions
        self._owned = frozenset(ring.owned_by(node))

    def __call__(self, queue_id: str) -> bool:
        return partition_of(QUEUE_TYPE, queue_id, self._partitions) in self._owned


def _queues_of(running: Cluster, shard: Server) -> _Owned:
    with urllib.request.urlopen(f"{running.routers[-1].url}/cluster/", timeout=10) as answer:
        view = msgspec.json.decode(answer.read(), type=_View)
    return _Owned(view, shard.url.removeprefix("http://"))


def _kill(server: Server) -> Kill:
    """End it without notice, and wait until it is gone. It is another process's child, and stays a zombie."""
    descriptor = os.pidfd_open(server.pid)
    try:
        sent_s = time.monotonic()
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], _DEATH_TIMEOUT_S)[0]:
            raise Spoiled("a killed process does not end")
        return Kill(sent_s, time.monotonic())
    finally:
        os.close(descriptor)


def _report(rounds: list[_Round]) -> Report:
    shards, routers = [turn.shard for turn in rounds], [turn.router for turn in rounds]
    rate = Spread.of([outcome.rate for outcome in shards]).median
    return Report(
        name="failover",
        question="When a shard or a router is killed under load, what fails, and how soon is all as fast as before?",
        parameters={
            "processes": f"sharq-cluster: {_ROUTERS} routers, {_SHARDS} shards and one store, all on this machine",
            "load": f"whole jobs by single calls at a steady pace, {rate:,.0f} requests a second; "
            "the client goes to the other router when a connection breaks",
            "rounds": f"{len(rounds)}; in each a shard is killed, and {_AFTER_S:g} s later a router",
        },
        rows=[
            targets.SHARD_FAILURES.row(Spread.of([len(outcome.others) for outcome in shards])),
            targets.SHARD_RECOVERY.row(Spread.of([outcome.recovery_s for outcome in shards])),
            _failed_row("shard", shards),
            Row(
                "shard killed: longest time without an answer",
                "s",
                Spread.of([outcome.gap_s for outcome in shards]),
            ),
            targets.ROUTER_FAILURES.row(Spread.of([len(outcome.others) for outcome in routers])),
            targets.ROUTER_RECOVERY.row(Spread.of([outcome.recovery_s for outcome in routers])),
            _failed_row("router", routers),
            Row(
                "router killed: longest time without an answer",
                "s",
                Spread.of([outcome.gap_s for outcome in routers]),
            ),
        ],
        grids=[_failures(rounds)],
        notes=[
            f"Full rate: {_FULL:.0%} of the good answers of the {_BEFORE_S:g} s before, over a whole second. The "
            "load does not catch up what it missed.",
            f"In flight: sent until {_NOTICE_S * 1000:g} ms after the process was gone, and for the shard a dequeue, "
            "or about a queue that it owned.",
            "The requests do not say `repeat`, so that every enqueue in flight shows.",
        ],
    )


def _failed_row(what: str, outcomes: list[Outcome]) -> Row:
    counts = [len(outcome.in_flight) for outcome in outcomes]
    return Row(f"{what} killed: failed requests that were in flight on it", "requests", Spread.of(counts))


def _failures(rounds: list[_Round]) -> Grid:
    """Return the failures of all rounds, by the result that came instead of an answer."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for turn in rounds:
        for killed, outcome in (("shard", turn.shard), ("router", turn.router)):
            for where, notes in (("on it", outcome.in_flight), ("elsewhere", outcome.others)):
                for note in notes:
                    key = killed, where, note.verb, note.failure
                    counts[key] = counts.get(key, 0) + 1
    rows: list[tuple[Cell, ...]] = [(*key, count) for key, count in sorted(counts.items())]
    return Grid("Failed requests", ("killed", "was", "verb", "answer", "times"), rows)
