"""Exports the request metrics of a router to Prometheus, labelled by operation and result, never by queue.

sharq_router_requests_total counts every response; a bulk call counts once. sharq_router_request_duration_seconds leaves
out dequeues with `wait`, since the client chooses how long they last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.process.counters import OperationMeter
from sharq_core.version import __version__

_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class RouterMetrics:
    """The router's metrics on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._meters: list[OperationMeter] = []
        registry.register(_Requests(self._meters))
        build = Gauge(
            "sharq_router_build_info", "Always 1; the label is the version", ["version"], registry=registry
        )
        build.labels(__version__).set(1)

    def meter(self, operation: str) -> OperationMeter:
        """Return a new meter. Call it once an operation."""
        meter = OperationMeter(operation, _BUCKETS_S)
        self._meters.append(meter)
        return meter

    def watch_load(self, in_flight: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Export the gauges of unanswered requests; the functions are called at each scrape."""
        gauges = (
            (
                "sharq_router_in_flight_requests",
                "Unanswered requests, without those that may wait",
                in_flight,
            ),
            (
                "sharq_router_waiting_dequeues",
                "Unanswered requests that may wait: dequeues, and reads of a job with wait",
                waiting,
            ),
        )
        for name, documentation, read in gauges:
            Gauge(name, documentation, registry=self._registry).set_function(read)

    def watch_bodies(self, used_bytes: Callable[[], int], given_way: Callable[[], int]) -> None:
        """Export the memory of bodies and the count of displaced ones; the functions are called at each scrape."""
        Gauge(
            "sharq_router_body_bytes",
            "Received bytes of the bodies of unanswered requests, without the first 64 KiB of each",
            registry=self._registry,
        ).set_function(used_bytes)
        self._registry.register(_GivenWay(given_way))


class _GivenWay(Collector):
    """The counter of slow bodies that were rejected to make room for others."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sharq_router_bodies_given_way",
            "Slow request bodies rejected with 429 because others needed the memory",
            value=self._count(),
        )


class _Requests(Collector):
    """The collector that exports the meters."""

    def __init__(self, meters: list[OperationMeter]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "sharq_router_requests", "Responses by operation and result", labels=["operation", "result"]
        )
        durations = HistogramMetricFamily(
            "sharq_router_request_duration_seconds",
            "Time from request to response, without dequeues that may wait",
            labels=["operation"],
        )
        for meter in self._meters:
            for result, count in meter.results.items():
                requests.add_metric([meter.operation, result], count)
            meter.durations.export(durations, [meter.operation])
        yield from (requests, durations)
