"""What a router counts about its requests, for Prometheus; labelled by operation and result, never by queue.

sharq_router_requests_total counts every answer, a bulk call once. sharq_router_request_duration_seconds
leaves out the dequeues that wait: they last as long as their client wished. Not here: what shards count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.process.durations import Durations
from sharq_core.version import __version__

_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class OperationMeter:
    """The numbers of one operation, plain ones, since each request is counted.

    Attributes:
        results: how many answers there were of each result: ok, empty, duplicate, gone or an error code.
        durations: how long they took.
    """

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.results: dict[str, int] = {}
        self.durations = Durations(_BUCKETS_S)

    def count(self, result: str) -> None:
        """One answer more."""
        self.results[result] = self.results.get(result, 0) + 1


class RouterMetrics:
    """The router's own metrics on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._meters: list[OperationMeter] = []
        registry.register(_Requests(self._meters))
        build = Gauge(
            "sharq_router_build_info", "1, labelled with the version.", ["version"], registry=registry
        )
        build.labels(__version__).set(1)

    def meter(self, operation: str) -> OperationMeter:
        """The meter of an operation; made once for each."""
        meter = OperationMeter(operation)
        self._meters.append(meter)
        return meter

    def watch_load(self, in_flight: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Read the gauges of unanswered requests from these at each scrape."""
        gauges = (
            ("sharq_router_in_flight_requests", "Unanswered requests, waiting dequeues left out.", in_flight),
            ("sharq_router_waiting_dequeues", "Unanswered dequeues that may wait.", waiting),
        )
        for name, words, read in gauges:
            Gauge(name, words, registry=self._registry).set_function(read)

    def watch_bodies(self, used_bytes: Callable[[], int], given_way: Callable[[], int]) -> None:
        """Read what bodies take from these at each scrape."""
        Gauge(
            "sharq_router_body_bytes",
            "Bytes of unanswered requests' bodies that have come, but for the first 64 KiB of each.",
            registry=self._registry,
        ).set_function(used_bytes)
        self._registry.register(_GivenWay(given_way))


class _GivenWay(Collector):
    """The bodies that gave way to others."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_router_bodies_given_way",
            "Bodies that came too slowly while others needed their room: answered 429.",
            value=self._count(),
        )


class _Requests(Collector):
    """The meters, as metrics."""

    def __init__(self, meters: list[OperationMeter]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "sharq_router_requests", "Answers by operation and result.", labels=["operation", "result"]
        )
        durations = HistogramMetricFamily(
            "sharq_router_request_duration_seconds",
            "Time to an answer, waiting dequeues left out.",
            labels=["operation"],
        )
        for meter in self._meters:
            for result, count in meter.results.items():
                requests.add_metric([meter.operation, result], count)
            meter.durations.export(durations, [meter.operation])
        yield from (requests, durations)
