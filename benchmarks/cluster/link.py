"""Calls a second over the link of a router and a shard: the real link in two processes, with nothing behind it."""

from __future__ import annotations

import msgspec

from benchmarks.cluster.link_load import LinkRun
from benchmarks.errors import Spoiled
from benchmarks.figures.report import Cell, Grid, Peer, Report, Row
from benchmarks.figures.spread import Spread, medians
from benchmarks.load.programs import run_load
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import Server, link_shard

_BARE = {64: 252_000.0, 8: 60_000.0, 1: 8_400.0}
"""Calls in flight, and what a bare WebSocket with msgpack frames carried on such a machine, calls a second."""


class Sample(msgspec.Struct, frozen=True):
    """Calls a second, and CPU time a call of each end."""

    rate: float
    router_us: float
    shard_us: float


def run(is_quick: bool) -> Report:
    """Measure each number in flight in turns."""
    rounds, duration_s = (3, 1.0) if is_quick else (7, 4.0)
    with link_shard() as shard:
        measure(shard, max(_BARE), 0.5)
        samples = [{count: measure(shard, count, duration_s) for count in _BARE} for _ in range(rounds)]
    return report(samples, duration_s)


def measure(shard: Server, in_flight: int, duration_s: float) -> Sample:
    """Put load on the link from a process of its own.

    Raises:
        Spoiled: it failed.
    """
    meter = CpuMeter(shard.pid)
    address = shard.url.removeprefix("http://")
    said = run_load(
        "benchmarks.cluster.link_load", [address, str(in_flight), str(duration_s)], duration_s + 30
    )
    done = msgspec.json.decode(said, type=LinkRun)
    if not done.calls:
        raise Spoiled("no call was answered")
    (spent_us,) = meter.spent_us()
    return Sample(done.calls / done.duration_s, done.cpu_us / done.calls, spent_us / done.calls)


def report(samples: list[dict[int, Sample]], duration_s: float) -> Report:
    """Return the report of some rounds, each with a sample by the number of calls in flight."""
    counts = list(samples[0])
    rows = [
        Row(
            f"{count} in flight",
            "calls/s",
            Spread.of([turn[count].rate for turn in samples]),
            peer=Peer("bare link", _BARE[count], is_same_run=False) if count in _BARE else None,
        )
        for count in counts
    ]
    grid: list[tuple[Cell, ...]] = [
        (str(count), *medians([turn[count] for turn in samples])[1:]) for count in counts
    ]
    return Report(
        name="link",
        question="How many calls a second does the link of a router and a shard carry?",
        parameters={
            "ends": "two processes on loopback, the calls Peek of one type; no secret, no scheduler, no store",
            "load": f"{duration_s:g} s a measurement, {len(samples)} rounds",
        },
        rows=rows,
        grids=[Grid("CPU time (medians, µs a call)", ("in flight", "router's end", "shard's end"), grid)],
        notes=[
            "A bare link carries numbered msgpack frames and nothing else: no deadlines, no bounds, no silence."
        ],
    )
