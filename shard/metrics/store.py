"""The Prometheus metrics of the store's servers and of its data; they are read at each scrape.

The label is the server, of which there are few. shard/metrics/node.py has the durations of calls.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shard.data_identity.guard import DataGuard
from sharq_core.store.node import StoreNode
from sharq_core.store.store import Store

_SERVER = ["server"]


class StoreMetrics(Collector):
    """The metrics of one store's primaries."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the connections and servers of the store."""
        yield CounterMetricFamily(
            "sharq_store_resent_calls",
            "Calls resent because a slot had moved",
            value=self._store.resent_calls,
        )
        yield CounterMetricFamily(
            "sharq_store_cut_bytes",
            "Bytes lost at the end of the embedded store's files before it started",
            value=self._store.inspector.cut_bytes,
        )
        yield from self._links()
        yield from self._promises()
        yield from self._clocks()
        yield from self._facts()

    def _links(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "sharq_store_up", "1 if the server answered its last call, else 0", labels=_SERVER
        )
        connects = CounterMetricFamily(
            "sharq_store_connects", "Connections opened to the server", labels=_SERVER
        )
        failures = CounterMetricFamily(
            "sharq_store_failures", "Pipelines that failed", labels=["server", "outcome"]
        )
        for node in self._store.nodes():
            up.add_metric([node.name], node.is_reachable)
            connects.add_metric([node.name], node.connects)
            failures.add_metric([node.name, "not_done"], node.reach.failed_unsent)
            failures.add_metric([node.name, "perhaps_done"], node.reach.failed_sent)
        yield from (up, connects, failures)

    def _promises(self) -> Iterator[Metric]:
        kept = GaugeMetricFamily(
            "sharq_store_promises_kept",
            "0 if new work is refused because a replica is missing, else 1",
            labels=_SERVER,
        )
        refused = CounterMetricFamily(
            "sharq_store_refused_calls", "Calls refused because a replica is missing", labels=_SERVER
        )
        for node in self._store.nodes():
            keeping = node.keeping
            is_kept = keeping is None or keeping.refusal is None
            kept.add_metric([node.name], is_kept and not self._refuses_writes(node))
            refused.add_metric([node.name], 0 if keeping is None else keeping.refused)
        yield from (kept, refused)

    def _refuses_writes(self, node: StoreNode) -> bool:
        """Return True if the server itself refuses writes because it lacks a replica.

        INFO has the field only if min-replicas-to-write is set.
        """
        return self._store.inspector.facts.get(node.name, {}).get("min_slaves_good_slaves") == "0"

    def _clocks(self) -> Iterator[Metric]:
        steps = CounterMetricFamily(
            "sharq_store_clock_steps",
            "Steps of the server's clock that this node noticed, including failovers to another clock",
            labels=["server", "direction"],
        )
        difference = GaugeMetricFamily(
            "sharq_store_clock_difference_seconds",
            "Time by which the server's clock is ahead of this machine's; negative if it is behind",
            labels=_SERVER,
        )
        for node in self._store.nodes():
            for direction in ("ahead", "back"):
                count = self._store.inspector.clock_steps.counts[node.name, direction]
                steps.add_metric([node.name, direction], count)
            now_us = node.clock.now_us()
            if now_us is not None:
                difference.add_metric([node.name], now_us / 1e6 - time.time())
        yield from (steps, difference)

    def _facts(self) -> Iterator[Metric]:
        role = GaugeMetricFamily(
            "sharq_store_role", "Always 1; the label is the server's role", labels=["server", "role"]
        )
        memory = GaugeMetricFamily(
            "sharq_store_memory_bytes", "Memory used by the server's data", labels=_SERVER
        )
        limit = GaugeMetricFamily(
            "sharq_store_memory_limit_bytes", "The server's maxmemory; 0 means no limit", labels=_SERVER
        )
        replicas = GaugeMetricFamily(
            "sharq_store_replicas", "Replicas connected to the server", labels=_SERVER
        )
        for node, facts in self._with_facts():
            role.add_metric([node.name, facts.get("role", "unknown")], 1)
            memory.add_metric([node.name], float(facts.get("used_memory", 0)))
            limit.add_metric([node.name], float(facts.get("maxmemory", 0)))
            replicas.add_metric([node.name], float(facts.get("connected_slaves", 0)))
        yield from (role, memory, limit, replicas)

    def _with_facts(self) -> Iterator[tuple[StoreNode, dict[str, str]]]:
        """Return the primaries whose INFO is known, with its fields."""
        facts = self._store.inspector.facts
        return ((node, facts[node.name]) for node in self._store.nodes() if node.name in facts)


class DataMetrics(Collector):
    """The metrics of data losses and of older copies of the data set that the node remembers."""

    def __init__(self, guard: DataGuard) -> None:
        self._guard = guard

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the data that the node watches over."""
        yield GaugeMetricFamily(
            "sharq_store_lost_partitions",
            "Partitions refused because their data is lost or belongs to another data set",
            value=self._guard.lost_partitions,
        )
        yield GaugeMetricFamily(
            "sharq_store_writes_refused",
            "1 if the store refuses every write because it cannot write to its disk, else 0",
            value=int(self._guard.writes_refused),
        )
        yield CounterMetricFamily(
            "sharq_store_data_losses", "Times data was found to be lost", value=self._guard.losses
        )
        yield CounterMetricFamily(
            "sharq_store_data_rollbacks",
            "Times the store was found to hold an older copy of its data",
            value=self._guard.pulse.rollbacks,
        )
