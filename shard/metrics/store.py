"""What a node says of its store's servers to Prometheus, read at each scrape; labelled by server, of which there are
few. Not here: how long calls take (shard/metrics/node.py), and what is off with a server's settings (inspection.py).
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
    """The primaries of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_store_resent_calls",
            "Calls sent again because a slot had moved",
            value=self._store.resent_calls,
        )
        yield CounterMetricFamily(
            "sharq_store_cut_bytes",
            "Bytes at the end of the embedded store's files that were lost before it started",
            value=self._store.inspector.cut_bytes,
        )
        yield from self._links()
        yield from self._promises()
        yield from self._clocks()
        yield from self._facts()

    def _links(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("sharq_store_up", "1: it answered when it was last asked", labels=_SERVER)
        connects = CounterMetricFamily("sharq_store_connects", "Connections opened", labels=_SERVER)
        failures = CounterMetricFamily(
            "sharq_store_failures", "Pipelines that failed", labels=["server", "outcome"]
        )
        for node in self._store.nodes():
            up.add_metric([node.name], node.is_reachable)
            connects.add_metric([node.name], node.connects)
            failures.add_metric([node.name, "not_done"], node.failed_unsent)
            failures.add_metric([node.name, "perhaps_done"], node.failed_sent)
        yield from (up, connects, failures)

    def _promises(self) -> Iterator[Metric]:
        kept = GaugeMetricFamily(
            "sharq_store_promises_kept", "0: new work is refused for want of a replica", labels=_SERVER
        )
        refused = CounterMetricFamily(
            "sharq_store_refused_calls", "Calls refused because no replica follows", labels=_SERVER
        )
        for node in self._store.nodes():
            keeping = node.keeping
            is_kept = keeping is None or keeping.refusal is None
            kept.add_metric([node.name], is_kept and not self._refuses_writes(node))
            refused.add_metric([node.name], 0 if keeping is None else keeping.refused)
        yield from (kept, refused)

    def _refuses_writes(self, node: StoreNode) -> bool:
        """The server itself does, for want of a replica; INFO has the field where min-replicas-to-write is set."""
        return self._store.inspector.facts.get(node.name, {}).get("min_slaves_good_slaves") == "0"

    def _clocks(self) -> Iterator[Metric]:
        steps = CounterMetricFamily(
            "sharq_store_clock_steps",
            "Steps of its clock that this node noticed, failovers to another clock among them",
            labels=["server", "direction"],
        )
        difference = GaugeMetricFamily(
            "sharq_store_clock_difference_seconds",
            "How far its clock is ahead of this machine's; behind: negative",
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
        role = GaugeMetricFamily("sharq_store_role", "1, labelled with its role", labels=["server", "role"])
        memory = GaugeMetricFamily("sharq_store_memory_bytes", "Memory that its data takes", labels=_SERVER)
        limit = GaugeMetricFamily(
            "sharq_store_memory_limit_bytes", "Its maxmemory; 0: without limit", labels=_SERVER
        )
        replicas = GaugeMetricFamily("sharq_store_replicas", "Replicas connected to it", labels=_SERVER)
        for node, facts in self._with_facts():
            role.add_metric([node.name, facts.get("role", "unknown")], 1)
            memory.add_metric([node.name], float(facts.get("used_memory", 0)))
            limit.add_metric([node.name], float(facts.get("maxmemory", 0)))
            replicas.add_metric([node.name], float(facts.get("connected_slaves", 0)))
        yield from (role, memory, limit, replicas)

    def _with_facts(self) -> Iterator[tuple[StoreNode, dict[str, str]]]:
        """The primaries that have said something, and what."""
        known = self._store.inspector.facts
        return ((node, known[node.name]) for node in self._store.nodes() if node.name in known)


class DataMetrics(Collector):
    """Whether the store still holds the data set that the node remembers."""

    def __init__(self, guard: DataGuard) -> None:
        self._guard = guard

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "sharq_store_lost_partitions",
            "Partitions whose data the store has lost, or holds of another data set; they are refused",
            value=self._guard.lost_partitions,
        )
        yield GaugeMetricFamily(
            "sharq_store_writes_refused",
            "1: the store refuses every call that changes something, because it cannot write to its disk",
            value=int(self._guard.writes_refused),
        )
        yield CounterMetricFamily(
            "sharq_store_data_losses", "Times that data was found to be lost", value=self._guard.losses
        )
        yield CounterMetricFamily(
            "sharq_store_data_rollbacks",
            "Times that the store was found to hold an older copy of its data",
            value=self._guard.pulse.rollbacks,
        )
