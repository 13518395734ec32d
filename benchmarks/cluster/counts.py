"""Counts what a cluster does for its jobs, exactly: requests, frames, pipelines and calls of the store.

Read from the metrics of routers and shards, and from the store's own statistics.
"""

from __future__ import annotations

import time
import urllib.request

import msgspec
import redis
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.processes.clusters import Cluster, Tiers
from benchmarks.processes.servers import Server

_COUNTERS = {
    "requests": "sharq_router_request_duration_seconds_count",
    "calls_frames": "sharq_router_link_frames_total",
    "answers_frames": "sharq_shard_link_frames_total",
    "pipelines": "sharq_store_call_duration_seconds_count",
}
_FUNCTIONS = ("cmdstat_fcall", "cmdstat_fcall_ro")


class Counts(msgspec.Struct, frozen=True):
    """The numbers since the start of a cluster, or for one job.

    Attributes:
        requests: HTTP requests of all routers.
        frames: of all links, in both directions.
        pipelines: of all shards to the store.
        calls: of functions, as the store gets them: joint calls count once.
        tiers: CPU time in µs.
        process_s: seconds of each router and shard together, in which they also do what they do without jobs.
    """

    requests: float
    frames: float
    pipelines: float
    calls: float
    tiers: Tiers
    process_s: float = 0.0

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts(
            self.requests - earlier.requests,
            self.frames - earlier.frames,
            self.pipelines - earlier.pipelines,
            self.calls - earlier.calls,
            self.tiers - earlier.tiers,
        )

    def __add__(self, more: Counts) -> Counts:
        return Counts(
            self.requests + more.requests,
            self.frames + more.frames,
            self.pipelines + more.pipelines,
            self.calls + more.calls,
            self.tiers + more.tiers,
            self.process_s + more.process_s,
        )

    def a_job(self, jobs: float) -> Counts:
        """Return the numbers for one job, from those for `jobs` jobs."""
        return Counts(
            self.requests / jobs,
            self.frames / jobs,
            self.pipelines / jobs,
            self.calls / jobs,
            self.tiers.a_job(jobs),
            self.process_s / jobs,
        )

    @property
    def cpu_us(self) -> float:
        """The CPU time of all tiers."""
        return self.tiers.router + self.tiers.shard + self.tiers.store


class Counting:
    """The numbers of a cluster from the making on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before = _count(cluster, cluster.cpu)
        self._started_s = time.perf_counter()
        self._cpu_before = cluster.cpu

    def spent(self) -> Counts:
        """Return the numbers since the making, without the CPU time of reading them."""
        tiers = self._cluster.cpu - self._cpu_before
        processes = len(self._cluster.routers) + len(self._cluster.shards)
        process_s = (time.perf_counter() - self._started_s) * processes
        done = _count(self._cluster, tiers) - self._before
        return msgspec.structs.replace(done, tiers=tiers, process_s=process_s)


def _count(cluster: Cluster, tiers: Tiers) -> Counts:
    routers = [_scrape(server) for server in cluster.routers]
    shards = [_scrape(server) for server in cluster.shards]

    def total(pages: list[dict[str, float]], counter: str) -> float:
        return sum(page.get(_COUNTERS[counter], 0.0) for page in pages)

    return Counts(
        requests=total(routers, "requests"),
        frames=total(routers, "calls_frames") + total(shards, "answers_frames"),
        pipelines=total(shards, "pipelines"),
        calls=sum(_function_calls(store) for store in cluster.stores),
        tiers=tiers,
    )


def _scrape(server: Server) -> dict[str, float]:
    """Return the metrics of a process, each the sum over its labels."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def _function_calls(store: Server) -> int:
    with redis.Redis.from_url(store.url) as client:
        stats: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(stats[name]["calls"] for name in _FUNCTIONS if name in stats)
