"""A cluster on a store that keeps its data, and a run: load, a fault in the middle of it, load again, drain, check."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from zlib import crc32

import msgspec

from sharq_core.config import StoreAddress, parse_url
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from tests.chaos import audit
from tests.chaos.report import Report
from tests.scheduler.drivers.driver import Driver
from tests.support.load.crowd import BUSY, Crowd, Habits, running_crowd
from tests.support.load.hands import looking_after, tell_fates
from tests.support.load.history import History
from tests.support.load.life import ORDINARY
from tests.support.load.life_verdict import wrong_fates
from tests.support.load.promise import Promise, Rate
from tests.support.load.verdict import Counts, around, check, over_named_caps, unexpected
from tests.support.processes.servers import SharqCluster
from tests.support.stores.server import StoreServer

INTERVAL_MS = 50
PLAIN = Promise(Rate(INTERVAL_MS))

QUIET_S = 45.0
"""Longest time without progress after a fault."""

MOST_TOLD = 5
"""Most jobs without a lease that a failure message lists."""

FORGOTTEN = frozenset(
    {
        "lost",
        "revived",
        "out_of_order",
        "too_close",
        "too_many_leased",
        "in_hold",
        "double_leased",
        "stale_finished",
    }
)
"""Counts of what a failover may do with the durability `fast`: the new primary lacks the latest calls."""

Fault: TypeAlias = Callable[[Crowd], Awaitable[None]]

Audited: TypeAlias = Callable[[str], AbstractContextManager[audit.ClientOf]]


class Pace(msgspec.Struct, frozen=True):
    """The lengths of a run's parts, in seconds.

    Attributes:
        lead_s: of load before the fault, and after it.
        hold_s: that a fault lasts, where it has a length.
        long_s: that one lasts which must outlast the members' TTL (5 s).
    """

    lead_s: float
    hold_s: float
    long_s: float


QUICK = Pace(0.6, 1.2, 6.0)
FULL = Pace(3.0, 5.0, 10.0)


def is_quick() -> bool:
    """The run is to be short: `make chaos QUICK=1`."""
    return os.environ.get("CHAOS") != "full"


class Stage:
    """A cluster on which scenarios are played.

    Args:
        seed: of the clients' choices in every scenario.
        report: gets the counts of each.
        audited: given the key prefix, opens clients of the servers that have the data in the end; None for the store's.
    """

    def __init__(
        self,
        store: StoreServer,
        cluster: SharqCluster,
        prefix: str,
        seed: int,
        report: Report,
        audited: Audited | None = None,
    ) -> None:
        self.store = store
        self.cluster = cluster
        self.prefix = prefix
        self.pace = QUICK if is_quick() else FULL
        self.kind = ""
        self._seed = seed
        self._report = report
        self._audited: Audited = audited or (lambda _: audit.one_client(store.client))

    def repair(self) -> None:
        """Let everything run again that a test has ended or paused."""
        if not self.store.is_running:
            self.store.start()
        self.store.resume()
        for process in (*self.cluster.shards, *self.cluster.routers):
            if process.is_running:
                process.signal(signal.SIGCONT)
            else:
                process.launch()
        for process in (*self.cluster.shards, *self.cluster.routers):
            process.until_status(200)
        self.cluster.until_members(len(self.cluster.shards))

    async def play(
        self,
        scenario: str,
        fault: Fault,
        *,
        habits: Habits = BUSY,
        queues: int = 12,
        may_fail: bool = True,
        may_forget: bool = False,
        promise: Promise = PLAIN,
        kind: str | None = None,
    ) -> tuple[Counts, History]:
        """Run the load, the fault in the middle of it, and check that nothing happened that must not.

        Args:
            scenario: its name in the table.
            may_fail: requests may fail while the fault lasts.
            may_forget: the store may forget its latest calls: what FORGOTTEN names is not judged.
            promise: the limits of the queues; a type's own must have been set. If it names a life for the jobs, some
                are cancelled and changed too, and their fates are asked for.
            kind: the queue type; None for a new plain one.
        """
        kind = self.kind = kind or f"t-{uuid.uuid4().hex[:12]}"
        history = History(
            crc32(f"{self._seed}:{scenario}".encode()),
            promise,
            lambda queue: partition_of(kind, queue, DEFAULT_PARTITIONS),
        )
        began_s = time.monotonic()
        async with running_crowd(
            self.cluster.urls, self.kind, history, queues=queues, habits=habits
        ) as crowd:
            async with looking_after(crowd) if promise.life != ORDINARY else nullcontext():
                await self.go_on(crowd)
                await fault(crowd)
                await self.go_on(crowd)
            await crowd.end()
            await self._until_drained(crowd, may_forget=may_forget)
            if promise.life != ORDINARY:
                await tell_fates(crowd, history.acknowledged())
        counts = check(history)
        self._report.add(scenario, counts, time.monotonic() - began_s)
        whys = sorted({f"{type(call).__name__}: {call.why}: {call.message}" for call in history.failures})
        suspects = [*unexpected(history), *sorted(wrong_fates(history))]
        wrong: list[list[object]] = [[*history.about(job)] for job in suspects[:3]]
        wrong += [list(around(history, taken)) for taken in over_named_caps(history)[:3]]
        violations = counts.violations.keys() - (FORGOTTEN if may_forget else frozenset())
        assert not violations, f"seed {self._seed}: {violations} {counts} {whys} {wrong}"
        assert may_fail or not counts.failed, f"seed {self._seed}: {counts.failed} failed: {whys}"
        with self._audited(self.prefix) as client_of:
            audit.assert_conserved(client_of, self.prefix, self.kind)
        return counts, history

    @contextmanager
    def driver(self, kind: str) -> Iterator[Driver]:
        """Runs functions on the partition that a gathered type has."""
        place = partition_of(kind, "", DEFAULT_PARTITIONS)
        with self._audited(self.prefix) as client_of:
            yield Driver(
                client_of(place), self.prefix, partitions=DEFAULT_PARTITIONS, partition=place, queue_type=kind
            )

    async def go_on(self, crowd: Crowd) -> None:
        """Some more load, until some more of it was delivered, too."""
        await crowd.go_on(self.pace.lead_s)

    async def _until_drained(self, crowd: Crowd, *, may_forget: bool) -> None:
        """Wait until no job is live; the backlog leaves at the queues' rates, so only a standstill is a failure.

        Args:
            may_forget: an acknowledged job may have been lost, so that nobody gets it.
        """
        with self._audited(self.prefix) as client_of:
            fewest, deadline_s = math.inf, time.monotonic() + QUIET_S
            while left := self._left(crowd, client_of, may_forget=may_forget):
                if left < fewest:
                    fewest, deadline_s = left, time.monotonic() + QUIET_S
                assert time.monotonic() < deadline_s, await self._standstill(crowd, client_of)
                await asyncio.sleep(0.1)

    def _left(self, crowd: Crowd, client_of: audit.ClientOf, *, may_forget: bool) -> int:
        """Return the number of live jobs, and of acknowledged ones that nobody got yet."""
        live = audit.live(client_of, self.prefix, self.kind)
        return live if may_forget else live + crowd.unfinished

    async def _standstill(self, crowd: Crowd, client_of: audit.ClientOf) -> str:
        """Return what is known of the jobs that nobody got, and when the store was ended, which may have lost them."""
        totals = audit.totals(client_of, self.prefix, self.kind)
        jobs = sorted(crowd.history.undelivered())
        told = jobs[:MOST_TOLD]
        live = sum(totals[name] for name in audit.LIVE)
        lines = [
            f"{live} live jobs, {len(jobs)} undelivered; seed {self._seed}",
            f"totals of the type: {dict(totals)}",
            f"the store was last ended at {self.store.ended_s} s, and it is {time.monotonic()} s",
        ]
        try:
            await tell_fates(crowd, told)
        except TimeoutError:
            lines.append("the routers do not tell the fates of the jobs")
        for queue in sorted({queue for queue, _ in told}):
            answer = await crowd.ask("GET", f"{self.cluster.urls[0]}/metrics/{self.kind}/{queue}/")
            lines.append(f"{queue}: {answer.status} {answer.content}")
        return "\n".join([*lines, *(f"{job}: {crowd.history.about(job)}" for job in told)])


@contextmanager
def stage(
    store: StoreServer,
    seed: int,
    report: Report,
    *,
    store_url: str | None = None,
    address: StoreAddress | None = None,
    first_shard: Mapping[str, str] | None = None,
    audited: Audited | None = None,
    reached_at: Callable[[int], int] = int,
    routers: int = 2,
    shards: int = 3,
    **environ: str,
) -> Iterator[Stage]:
    """A running cluster, gone at the end.

    Args:
        store_url: what the shards know the store by; its own when None.
        address: what they know it by if it is a group; audited: see Stage.
        first_shard: variables of the first shard's environment that the others do not have.
        reached_at: see SharqCluster.
    """
    prefix = f"chaos-{uuid.uuid4().hex[:12]}"
    with TemporaryDirectory(prefix="sharq-") as directory:
        cluster = SharqCluster(
            Path(directory),
            address or parse_url(store_url or store.url),
            {"SHARQ_REDIS_KEY_PREFIX": prefix, **environ},
            routers=routers,
            shards=shards,
            reached_at=reached_at,
        )
        if first_shard is not None:
            cluster.shards[0] = cluster.make_shard("shard-1", **first_shard)
        try:
            cluster.start()
            yield Stage(store, cluster, prefix, seed, report, audited)
        finally:
            for process in (*cluster.routers, *cluster.shards):
                if process.is_running:
                    process.kill()
