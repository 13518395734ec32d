"""The Prometheus metrics of a shard node. No label names a queue, because there may be millions of queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shard.cluster.ownership import Ownership
from shard.index.census import MAX_NAMED, Census
from shard.index.ready_index import ReadyIndex
from shard.index.refresher import Refresher
from shard.index.set_aside import SetAside
from shard.metrics.attempts import AttemptCounts
from shard.metrics.batches import BatchMetrics
from shard.metrics.outcome_counters import OutcomeCounter
from shard.metrics.unit_counts import UnitCounts
from sharq_core.job_changes import CancelStatus
from sharq_core.job_life import DeadReason
from sharq_core.link.node_load import READY_DELAYS_S
from sharq_core.models import EnqueueStatus, LeasedJob, LeaseOutcome, LeaseStatus, ReleaseJob
from sharq_core.process.counters import OTHER_TYPES, Durations, OutcomeCounts

MAX_TYPES = MAX_NAMED
"""Types that get a label value of their own; all others share one."""

_STORE_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class NodeMetrics:
    """The counters that the node's parts write to. Values that are refreshed once a second are read at the scrape.

    Attributes:
        counters: the counter of outcomes by the function of a verb about jobs; some functions have none.
        attempts: the attempts of jobs, and those that failed.
        units: the units that gathered types have leased.
        results: the number of results of finished jobs that the store kept, and for which it had no room.
        deaths: the number of jobs of all types that became dead letters.
        batches: the numbers of batches.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        ended = Counter(
            "sharq_leases_ended_total", "Leases whose time ran out", ["queue_type"], registry=registry
        )
        died = Counter(
            "sharq_dead_letters_total",
            "Jobs that became dead letters, by reason: they passed their requeue limit, or they expired",
            ["queue_type", "reason"],
            registry=registry,
        )
        expired = Counter(
            "sharq_expired_jobs_total",
            "Jobs that expired before they were leased; they became dead letters or were dropped",
            ["queue_type"],
            registry=registry,
        )
        self.store_calls = Durations(_STORE_S)
        self.ready_delays: dict[str, Durations] = {}
        self._ready_delay = _by_type(self._new_delays)
        self.units = UnitCounts()
        self.attempts = AttemptCounts(MAX_TYPES)
        self.enqueues = OutcomeCounts(EnqueueStatus, MAX_TYPES)
        self.finishes = OutcomeCounts(LeaseStatus, MAX_TYPES)
        self.results = {"kept": 0, "not_kept": 0}
        self.deaths = 0
        self.extends = OutcomeCounts(LeaseStatus, MAX_TYPES)
        self.releases = OutcomeCounts(LeaseStatus, MAX_TYPES)
        self.cancels = OutcomeCounts(CancelStatus, MAX_TYPES)
        self.counters: dict[str, OutcomeCounter] = {
            "enqueue": self.enqueues,
            "finish": self.finishes,
            "extend": self.extends,
            "release": _Releases(self),
            "cancel": self.cancels,
        }
        self.batches = BatchMetrics()
        registry.register(self.batches)
        registry.register(self.attempts)
        registry.register(_Outcomes(self))
        registry.register(_Durations(self))
        self._ended = _by_type(lambda queue_type: ended.labels(queue_type).inc)
        self._died = _by_type(lambda queue_type: died.labels(queue_type, DeadReason.LIMIT).inc)
        self._died_expired = _by_type(lambda queue_type: died.labels(queue_type, DeadReason.EXPIRED).inc)
        self._expired = _by_type(lambda queue_type: expired.labels(queue_type).inc)

    def export(
        self,
        refresher: Refresher,
        census: Census,
        index: ReadyIndex,
        ownership: Ownership,
        set_aside: SetAside,
        reaper_lag_s: Callable[[], float],
        is_out: Callable[[str], bool],
    ) -> None:
        """Export the metrics that are read from these parts.

        Args:
            is_out: tells whether a quota holds a type back.
        """
        self._registry.register(_Totals(refresher, census, reaper_lag_s))
        self._registry.register(_Readiness(census, index, ownership, set_aside, is_out))

    def export_store(self, notices: Callable[[], Mapping[str, int]]) -> None:
        """Export the number of primaries that each check of the store's settings complains about."""
        self._registry.register(_StoreNotices(notices))

    def count_results(self, outcomes: Sequence[LeaseOutcome]) -> None:
        """Count the results that the store kept, and those for which it had no room."""
        for outcome in outcomes:
            if outcome.result_kept is not None:
                self.results["kept" if outcome.result_kept else "not_kept"] += 1

    def leased(self, queue_type: str, jobs: list[LeasedJob], ready_for_us: list[int]) -> None:
        """Record the attempt of each leased job, and how long it had been ready, in µs."""
        self.attempts.leased(queue_type, jobs)
        observe = self._ready_delay(queue_type)
        for delay_us in ready_for_us:
            observe(delay_us / 1e6)

    def reaped(self, queue_type: str, ended: int, died: int) -> None:
        """Count leases that ended by time, and the jobs among them that became dead letters."""
        if ended:
            self._ended(queue_type)(ended)
            self.attempts.timed_out(queue_type, ended)
        if died:
            self._died(queue_type)(died)
            self.deaths += died

    def expired(self, queue_type: str, expired: int, dropped: int) -> None:
        """Count jobs that expired, and those of them that were dropped; the others became dead letters."""
        self._expired(queue_type)(expired)
        if expired > dropped:
            self._died_expired(queue_type)(expired - dropped)
            self.deaths += expired - dropped

    def delay_counts(self) -> list[int]:
        """Return the number of leases of all types in each bucket of READY_DELAYS_S."""
        every = [delays.counts for delays in self.ready_delays.values()]
        return [sum(bucket) for bucket in zip(*every, strict=True)] or [0] * (len(READY_DELAYS_S) + 1)

    def _new_delays(self, queue_type: str) -> Callable[[float], None]:
        delays = self.ready_delays[queue_type] = Durations(READY_DELAYS_S)
        return delays.observe


def _by_type(make: Callable[[str], Callable[[float], None]]) -> Callable[[str], Callable[[float], None]]:
    """Return a function that caches the labelled child of each type, for at most MAX_TYPES types."""
    children: dict[str, Callable[[float], None]] = {}

    def child_of(queue_type: str) -> Callable[[float], None]:
        child = children.get(queue_type)
        if child is None:
            name = queue_type if len(children) < MAX_TYPES else OTHER_TYPES
            child = children.get(name) or children.setdefault(name, make(name))
        return child

    return child_of


class _Releases:
    """The counter of releases, of the attempts among them that failed, and of the jobs that became dead letters."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics

    def count(self, queue_type: str, jobs: Sequence[ReleaseJob], outcomes: Sequence[LeaseOutcome]) -> None:
        self._metrics.releases.count(queue_type, jobs, outcomes)
        self._metrics.attempts.released(queue_type, jobs, outcomes)
        self._metrics.reaped(queue_type, 0, sum(outcome.is_dead for outcome in outcomes))


class _Outcomes(Collector):
    """The outcomes of calls about jobs."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        enqueues = CounterMetricFamily(
            "sharq_enqueue_outcomes", "Jobs sent to the store, by outcome", labels=["queue_type", "outcome"]
        )
        for row in self._metrics.enqueues.rows():
            enqueues.add_metric(row[:2], row[2])
        leases = CounterMetricFamily(
            "sharq_lease_outcomes",
            "Leases that calls finished, extended or released, by outcome",
            labels=["verb", "queue_type", "outcome"],
        )
        verbs = (
            ("finish", self._metrics.finishes),
            ("extend", self._metrics.extends),
            ("release", self._metrics.releases),
        )
        for verb, counts in verbs:
            for queue_type, outcome, count in counts.rows():
                leases.add_metric([verb, queue_type, outcome], count)
        cancels = CounterMetricFamily(
            "sharq_cancel_outcomes",
            "Jobs that calls cancelled by their ids, by outcome",
            labels=["queue_type", "outcome"],
        )
        for row in self._metrics.cancels.rows():
            cancels.add_metric(row[:2], row[2])
        results = CounterMetricFamily(
            "sharq_job_results",
            "Results that came with a finish, by whether the store had room for them",
            labels=["outcome"],
        )
        for outcome, count in self._metrics.results.items():
            results.add_metric([outcome], count)
        yield from (enqueues, leases, cancels, results)


class _Durations(Collector):
    """The durations of store calls, and the delays from ready to leased."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        delays = HistogramMetricFamily(
            "sharq_ready_delay_seconds",
            "Time from when a job became ready until it was leased",
            labels=["queue_type"],
        )
        for queue_type, durations in self._metrics.ready_delays.items():
            durations.export(delays, [queue_type])
        store_calls = HistogramMetricFamily(
            "sharq_store_call_duration_seconds", "Duration of a pipeline of calls to the store", labels=[]
        )
        self._metrics.store_calls.export(store_calls, [])
        yield from (delays, store_calls)


class _Readiness(Collector):
    """The ages of ready queues, the changes of owned partitions, and the number of watches."""

    def __init__(
        self,
        census: Census,
        index: ReadyIndex,
        ownership: Ownership,
        set_aside: SetAside,
        is_out: Callable[[str], bool],
    ) -> None:
        self._is_out = is_out
        self._census = census
        self._index = index
        self._ownership = ownership
        self._set_aside = set_aside

    def collect(self) -> Iterator[Metric]:
        ages = GaugeMetricFamily(
            "sharq_oldest_ready_age_seconds",
            "Time since the longest-waiting queue became ready",
            labels=["queue_type"],
        )
        named, others = self._census.totals()
        for totals in named:
            # The index lets workers look again at such a type before its quota allows a lease.
            is_ready = not self._is_out(totals.queue_type)
            ages.add_metric(
                [totals.queue_type], self._index.overdue_s(totals.queue_type) if is_ready else 0.0
            )
        if others is not None:
            ages.add_metric([OTHER_TYPES], self._index.longest_overdue_s)
        yield ages
        yield GaugeMetricFamily(
            "sharq_partitions_set_aside",
            "Partitions that failed in the last 10 s while their server worked; retried once a second",
            value=len(self._set_aside),
        )
        yield CounterMetricFamily(
            "sharq_partitions_taken", "Partitions taken over by this node", value=self._ownership.taken
        )
        yield CounterMetricFamily(
            "sharq_partitions_given_up", "Partitions given up to other nodes", value=self._ownership.given_up
        )
        yield GaugeMetricFamily(
            "sharq_watches",
            "Queue types watched by routers with waiting dequeues",
            value=self._index.subscriptions,
        )


class _StoreNotices(Collector):
    """The notices about the store, by check."""

    def __init__(self, notices: Callable[[], Mapping[str, int]]) -> None:
        self._notices = notices

    def collect(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily(
            "sharq_store_notices",
            "Primaries of the store with a setting that may lose jobs",
            labels=["check"],
        )
        for check, primaries in self._notices().items():
            gauge.add_metric([check], primaries)
        yield gauge


class _Totals(Collector):
    """The jobs by type and state, as of the last read."""

    def __init__(self, refresher: Refresher, census: Census, reaper_lag_s: Callable[[], float]) -> None:
        self._refresher = refresher
        self._census = census
        self._reaper_lag_s = reaper_lag_s

    def collect(self) -> Iterator[Metric]:
        yield from self._by_type()
        yield from self._of_partitions()

    def _by_type(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("sharq_jobs", "Jobs by state", labels=["queue_type", "state"])
        enqueued = CounterMetricFamily(
            "sharq_jobs_enqueued", "Jobs accepted, as counted by the store", labels=["queue_type"]
        )
        finished = CounterMetricFamily(
            "sharq_jobs_finished", "Jobs finished, as counted by the store", labels=["queue_type"]
        )
        cancelled = CounterMetricFamily(
            "sharq_jobs_cancelled",
            "Jobs cancelled, deleted with their queue, or dropped, as counted by the store",
            labels=["queue_type"],
        )
        named, others = self._census.totals()
        for name, totals in [
            *((of_type.queue_type, of_type) for of_type in named),
            *([(OTHER_TYPES, others)] if others else []),
        ]:
            jobs.add_metric([name, "queued"], totals.queued)
            jobs.add_metric([name, "delayed"], totals.delayed)
            jobs.add_metric([name, "leased"], totals.leased)
            jobs.add_metric([name, "dead"], totals.dead)
            enqueued.add_metric([name], totals.enqueued)
            finished.add_metric([name], totals.finished)
            cancelled.add_metric([name], totals.cancelled)
        yield from (jobs, enqueued, finished, cancelled)

    def _of_partitions(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "sharq_finished_remembered",
            "Finished jobs that the store remembers",
            value=self._refresher.tombstones,
        )
        yield CounterMetricFamily(
            "sharq_finished_forgotten_early",
            "Finished jobs forgotten before they were a minute old because the limit was reached",
            value=self._refresher.forgotten_early,
        )
        yield GaugeMetricFamily(
            "sharq_result_bytes",
            "Bytes that the results of finished jobs take in the store",
            value=self._refresher.result_bytes,
        )
        yield CounterMetricFamily(
            "sharq_results_dropped",
            "Results of finished jobs dropped to make room for others before their time was over",
            value=self._refresher.results_dropped,
        )
        yield GaugeMetricFamily(
            "sharq_reaper_lag_seconds",
            "Time by which the earliest timer is overdue",
            value=self._reaper_lag_s(),
        )
