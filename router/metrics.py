"""What a router counts about its requests, for Prometheus; labelled by operation and result, never by queue.

sharq_router_requests_total counts every answer, a bulk call once. sharq_router_request_duration_seconds
leaves out the dequeues that wait: they last as long as their client wished. Not here: what shards count.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sharq_core.version import __version__

_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class OperationMeter:
    """The numbers of one operation; keeps its children: to find one by labels costs more than to count."""

    def __init__(self, operation: str, requests: Counter, durations: Histogram) -> None:
        self.operation = operation
        self._requests = requests
        self._by_result: dict[str, Counter] = {}
        self.observe_s: Callable[[float], None] = durations.labels(operation).observe

    def count(self, result: str) -> None:
        """One answer more. result: ok, empty, duplicate, gone or an error code."""
        child = self._by_result.get(result)
        if child is None:
            child = self._by_result[result] = self._requests.labels(self.operation, result)
        child.inc()


class RouterMetrics:
    """The router's own metrics on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "sharq_router_requests",
            "Answers by operation and result.",
            ["operation", "result"],
            registry=registry,
        )
        self._durations = Histogram(
            "sharq_router_request_duration_seconds",
            "Time to an answer, waiting dequeues left out.",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        build = Gauge(
            "sharq_router_build_info", "1, labelled with the version.", ["version"], registry=registry
        )
        build.labels(__version__).set(1)

    def meter(self, operation: str) -> OperationMeter:
        """The meter of an operation; made once for each."""
        return OperationMeter(operation, self._requests, self._durations)

    def watch_load(self, in_flight: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Read the gauges of unanswered requests from these at each scrape."""
        gauges = (
            ("sharq_router_in_flight_requests", "Unanswered requests, waiting dequeues left out.", in_flight),
            ("sharq_router_waiting_dequeues", "Unanswered dequeues that may wait.", waiting),
        )
        for name, words, read in gauges:
            Gauge(name, words, registry=self._registry).set_function(read)
