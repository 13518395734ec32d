"""Lists every goal of the project and the benchmark figure that it is compared with.

Goals are defined nowhere else. benchmarks/figures/summary.py prints the table.
"""

from __future__ import annotations

import msgspec

from benchmarks.figures.report import Goal, Peer, Row
from benchmarks.figures.spread import Spread

SINGLE_ENQUEUE = "single enqueue"
"""The row of `http` with the rate of enqueues, which the README shows."""

OWN_RAW, WHOLE_JOBS = "sharq-server, raw aiohttp", "whole jobs/s"
"""The row and the column of the table of `systems` with our rate, which the README shows."""


class Target(msgspec.Struct, frozen=True):
    """One goal.

    Attributes:
        benchmark: its name on the command line.
        figure: what the benchmark calls the row.
        unit: of the figure and the goal.
        peer: a figure of another system from another day; None if there is none, or one of the same run.
        headline: the figure in the README's words; empty if the README does not show it.
    """

    benchmark: str
    figure: str
    unit: str
    goal: Goal
    peer: Peer | None = None
    headline: str = ""

    def row(
        self, measured: Spread | str, peer: Peer | None = None, busy: dict[str, float] | None = None
    ) -> Row:
        """Return the benchmark's row for this goal.

        Args:
            measured: or why there is no number.
            peer: measured in the same run; None for the target's own.
            busy: the share of a core of each process while it was measured.
        """
        return Row(self.figure, self.unit, measured, self.goal, peer or self.peer, busy or {})


def _least(value: float) -> Goal:
    return Goal(value, is_least=True)


def _most(value: float) -> Goal:
    return Goal(value, is_least=False)


ENQUEUE_OF_BARE = Target(
    "http",
    "single enqueue, server CPU of bare aiohttp's, 64 connections",
    "x",
    _most(1.3),
    headline="server CPU of an enqueue, relative to a bare aiohttp POST",
)
ENQUEUES_OF_ORIGINAL = Target(
    "http",
    "single enqueue, of the original's rate",
    "x",
    _least(4),
    headline="single enqueues a second, relative to the original SHARQ",
)
PAIRS_OF_ORIGINAL = Target(
    "http",
    "dequeue + finish, of the original's rate",
    "x",
    _least(4),
    headline="single dequeues and finishes a second, relative to the original SHARQ",
)

JOBS_OF_BULLMQ = Target(
    "systems",
    "whole jobs by sharq-server, raw aiohttp, of BullMQ 6.7's rate",
    "x",
    _least(2.5),
    headline="whole jobs a second in batches, relative to BullMQ",
)
JOBS_OF_ASYNQ = Target(
    "systems",
    "whole jobs by sharq-server, raw aiohttp, of asynq 0.26's rate",
    "x",
    _least(1.5),
    headline="whole jobs a second in batches, relative to asynq",
)

_DEQUEUE_HEADLINES = {
    (
        "1 job",
        "1,000,000 ready queues",
    ): "cost of a dequeue among 1,000,000 ready queues, relative to 1,000",
}

DEQUEUES = {
    (jobs, case): Target(
        "queues",
        f"dequeue of {jobs} at {case} against 1,000",
        "x",
        _most(1.2),
        headline=_DEQUEUE_HEADLINES.get((jobs, case), ""),
    )
    for case in (
        "1,000,000 ready queues",
        "10,000,000 ready queues",
        "10,000,000 ready queues of 100,000 types",
    )
    for jobs in ("1 job", "100 jobs")
}
"""The cases of ten millions are in the full form."""

STORE_ON_8 = Target("store", "whole job, batches of 100 on 8 partitions", "SETs", _most(24))
STORE_ON_64 = Target("store", "whole job, batches of 100 on 64 partitions", "SETs", _most(43))
"""A fifth below the 30.6 and 53.8 SETs that were measured when the yardstick came."""

RATE_BURST = Target(
    "rate",
    "burst 2: delivered of promised, mean of all queues",
    "share",
    _least(0.9999),
    headline="share of the promised rate that was delivered, burst 2",
)
RATE_STRICT = Target(
    "rate",
    "strict: delivered of promised, mean of queues up to 20/s",
    "share",
    _least(0.998),
    headline="share of the promised rate that was delivered, strict spacing, up to 20/s",
)
RATE_STRICT_FAST = Target(
    "rate",
    "strict: delivered of promised, mean of queues at 100/s",
    "share",
    _least(0.95),
    headline="share of the promised rate that was delivered, strict spacing, 100/s",
)
RATE_EVEN = {
    rate: Target(
        "rate", f"burst 1.1: delivered of promised, mean of queues at {rate}/s", "share", _least(0.998)
    )
    for rate in (5, 20, 50)
}
RATE_EVEN_CLOSE = Target("rate", "burst 1.1: leases less than 0.9 of the interval apart", "leases", _most(0))
VIOLATIONS = Target(
    "rate", "spacing violations, all scenarios", "leases", _most(0), headline="jobs leased before their time"
)
LATENESS_P50 = Target("rate", "lateness at 2,000 jobs/s, of a timer and one round trip: p50", "x", _most(3))
LATENESS_P99 = Target("rate", "lateness at 2,000 jobs/s, of a timer and one round trip: p99", "x", _most(5))

IDLE = Target(
    "wait",
    "idle: server and store together",
    "of a core",
    _most(0.01),
    headline="CPU of server and store while 1,000 workers wait and no job comes",
)
IDLE_CALLS = Target("wait", "idle: function calls to the store", "a second", _most(10))

MEMORY_FEW_QUEUES = Target("memory", "1,000 queues, payload of 100 bytes: a job", "bytes", _most(360))
MEMORY_MANY_QUEUES = Target(
    "memory",
    "one job a queue, payload of 100 bytes: a job",
    "bytes",
    _most(540),
    headline="memory of a job of 100 bytes, in a queue of its own",
)
MEMORY_TEN_MILLIONS = {
    types: Target(
        "memory",
        f"10,000,000 queues{of_types}, one job each, payload of 100 bytes: a job",
        "bytes",
        _most(540),
    )
    for types, of_types in ((1, ""), (100_000, " of 100,000 types"))
}

SHARD_FAILURES = Target(
    "failover",
    "shard killed: failed requests that were not in flight on it",
    "requests",
    _most(0),
    headline="failed requests when a shard is killed, besides those that it was working on",
)
SHARD_RECOVERY = Target("failover", "shard killed: back to full rate", "s", _most(1))
ROUTER_FAILURES = Target(
    "failover", "router killed: failed requests that were not in flight on it", "requests", _most(0)
)
ROUTER_RECOVERY = Target("failover", "router killed: back to full rate", "s", _most(1))

WORKER_OF_RAW = Target(
    "worker",
    "worker with an async handler, of raw aiohttp's rate",
    "x",
    _least(0.8),
    headline="jobs a second of the Python worker, relative to plain HTTP calls",
)

START = Target(
    "start",
    "start to first answered request, new data",
    "s",
    _most(1),
    headline="start of the server to its first answer",
)
START_LOADED = Target(
    "start", "start to first answered request, 10,000,000 jobs, beyond the store's load time", "s", _most(2)
)

CLUSTER_COSTS = {
    kind: Target(
        "cluster",
        f"{kind}: CPU time of a job, 2 routers and 3 shards against 1 and 1",
        "x",
        _most(1.15),
        headline=f"CPU of a job on 2 routers and 3 shards, relative to 1 and 1, {kind}",
    )
    for kind in ("single calls", "batches of 100")
}

WORKERS_CPU = {
    kind: Target(
        "workers", f"{kind}: CPU time of a whole job with 2 workers, of that with 1", "x", _most(1.15)
    )
    for kind in ("single calls", "batches of 100")
}

CAP_SHARE = {
    (rate, burst, queues): Target(
        "caps",
        f"cap of {rate:,}/s, burst {burst:g}, {queues:,} queues: delivered of promised",
        "share",
        _least(0.95 if burst == 1 else 0.99),
        headline="share of a carrier's cap of 40/s that was delivered, over 1,000 queues"
        if burst == 1.8 and queues > 1
        else "",
    )
    for rate, burst in ((40, 1), (40, 1.8), (1_000, 21))
    for queues in (1, 1_000)
}
CAPS_TOGETHER = Target(
    "caps", "100 types with a cap of 40/s, burst 1.8: delivered of promised, mean", "share", _least(0.99)
)
CAP_OF_UNITS = Target(
    "caps", "cap of 100 units/s, burst 3, costs 1 to 5: delivered of promised", "share", _least(0.99)
)
CAP_BREACHES = Target(
    "caps",
    "leases before a cap let them, all cases",
    "leases",
    _most(0),
    headline="jobs above a carrier's cap",
)
CAP_UNREACHED = Target("caps", "jobs/s with an unreached cap, of a plain type's", "x", _least(0.9))
CAP_QUEUES = Target(
    "caps", "dequeue of 1 job at 100,000 queues of a gathered type against 10", "x", _most(1.2)
)

NAMED_SHARE = {
    (rate, burst): Target(
        "named-caps",
        f"cap of {rate:,}/s, burst {burst:g}, 1,000 queues on 3 shards: delivered of promised",
        "share",
        _least(0.95 if burst == 1 else 0.99),
    )
    for rate, burst in ((40, 1), (40, 1.8), (1_000, 21))
}
NAMED_BREACHES = Target(
    "named-caps",
    "leases above the bound of a cap, all cases",
    "leases",
    _most(0),
    headline="jobs above a named cap",
)
NAMED_FAIR = Target(
    "named-caps",
    "cap of 1,000/s: Jain's index of the queues",
    "index",
    _least(0.98),
    headline="evenness of 1,000 queues under a named cap (Jain's index)",
)
NAMED_STORE = Target(
    "named-caps",
    "cap of 1,000/s: store CPU of a lease and a finish, of the same jobs without",
    "x",
    _most(1.10),
)
NAMED_IDLE = Target(
    "named-caps", "nobody waits: function calls to the store more than without caps", "a second", _most(1)
)
NAMED_MANY = Target("named-caps", "a reservation beside 10,000 caps against 10", "x", _most(1.2))

FEATURES_INSTRUCTIONS = Target(
    "features", "store instructions of a job without features, of the version before", "x", _most(1.02)
)
LIMITS_INSTRUCTIONS = Target(
    "features",
    "store instructions of a job without features, of the version without limits",
    "x",
    _most(1.04),
)
"""The editions since then may cost 4 % together."""

FEATURES_CPU = Target(
    "features", "store CPU of a job without features, of the version before", "x", _most(1.02)
)
FEATURES_BYTES = Target(
    "features", "bytes of a job without features, of the version before", "x", _most(1.02)
)
FEATURES_HTTP = Target("features", "server CPU of a single enqueue, of the version before", "x", _most(1.02))

LIFE_LEASED = {
    jobs: Target(
        "life",
        f"{jobs:,} expired jobs: until the one behind them is leased",
        "s",
        _most(seconds),
        headline=f"time to a live job behind {jobs:,} expired ones" if jobs == 1_000_000 else "",
    )
    for jobs, seconds in ((100_000, 2), (1_000_000, 20))
}
LIFE_CALL = Target("life", "expired jobs: longest call of the store", "ms", _most(5))
LIFE_OTHERS = Target("life", "expired jobs: p99 of a dequeue of others, of that without", "x", _most(2))
CANCEL_CALL = Target("life", "cancel by prefix: longest call of the store", "ms", _most(5))
LIFE_STEP = Target("life", "longest single step of either, CPU time", "ms", _most(5))
BATCH_CALL = Target("life", "cancel of a batch: longest call of the store", "ms", _most(5))
BATCH_OTHERS = Target("life", "cancel of a batch: p99 of a dequeue of others, of that without", "x", _most(2))
CANCEL_OTHERS = Target("life", "cancel by prefix: p99 of a dequeue of others, of that without", "x", _most(2))

OPENING_CALL = Target(
    "campaigns", "opening of a window: a call of the store for 100 jobs, p99", "ms", _most(5)
)
OPENING_CPU = Target(
    "campaigns", "opening of a window: a call of the store for 100 jobs, CPU time, p99", "ms", _most(5)
)
OPENING_FIRST = Target(
    "campaigns", "opening of a window: until a waiting worker has its first jobs", "ms", _most(50)
)
OPENING_EARLY = Target("campaigns", "leases before the window opens", "leases", _most(0))
OPENING_VIOLATIONS = Target("campaigns", "opening of a window: spacing violations", "leases", _most(0))
OPENING_SHARE = Target("campaigns", "opening of a window: delivered of promised", "share", _least(0.98))
OPENING_OTHERS = Target(
    "campaigns",
    "opening of a window: p50 of a dequeue of others, of that beside jobs without a window",
    "x",
    _most(1.2),
)
SCHEDULES_IDLE = Target(
    "campaigns",
    "10,000 schedules between their times: CPU of server and store, more than without",
    "of a core",
    _most(0.001),
)
SCHEDULES_CALLS = Target(
    "campaigns",
    "10,000 schedules between their times: function calls to the store, more than without",
    "a second",
    _most(0.1),
)

TARGETS = tuple(
    target
    for value in list(globals().values())
    for target in (value.values() if isinstance(value, dict) else [value])
    if isinstance(target, Target)
)
"""All of them, in the order of this file."""
