"""Counts what a worker does, and serves the counts to Prometheus. It needs the extra `metrics`."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

try:
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "metrics_port: the worker's metrics need the extra `metrics`: pip install 'sharq-client[metrics]'",
        name=error.name,
    ) from error

log = logging.getLogger("sharq.worker")

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""The upper bounds of the histogram of handler times."""

OUTCOMES = ("finished", "failed", "retried", "throttled", "dropped", "stopped", "abandoned")


class WorkerMetrics(Collector):
    """The counts of one worker.

    The event loop counts, and the thread of the endpoint reads at each scrape.

    Attributes:
        dequeue_failures: the dequeues that the server did not answer, or refused.
        in_flight: returns the queue type of each job whose handler runs.
    """

    def __init__(self, queue_types: list[str]) -> None:
        self.dequeue_failures = 0
        self.in_flight: Callable[[], list[str]] = list
        self._queue_types = queue_types
        self._jobs = {name: dict.fromkeys(OUTCOMES, 0) for name in queue_types}
        self._lost = dict.fromkeys(queue_types, 0)
        self._times = {name: [0] * (len(BUCKETS_S) + 1) for name in queue_types}
        self._seconds = dict.fromkeys(queue_types, 0.0)

    def count(self, queue_type: str, outcome: str) -> None:
        """Count a job whose handler has ended. The outcome is one of OUTCOMES."""
        self._jobs[queue_type][outcome] += 1

    def count_lost(self, queue_type: str) -> None:
        """Count a job whose lease was lost."""
        self._lost[queue_type] += 1

    def observe(self, queue_type: str, duration_s: float) -> None:
        """Count the time of one call of a handler."""
        self._times[queue_type][bisect.bisect_left(BUCKETS_S, duration_s)] += 1
        self._seconds[queue_type] += duration_s

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the worker."""
        yield self._collect_jobs()
        yield self._collect_times()
        yield self._collect_in_flight()
        lost = CounterMetricFamily(
            "sharq_worker_leases_lost",
            "Jobs whose lease ended before the worker had reported them, so that another worker may run them again",
            labels=["queue_type"],
        )
        for queue_type, count in self._lost.items():
            lost.add_metric([queue_type], count)
        yield lost
        yield CounterMetricFamily(
            "sharq_worker_dequeue_failures",
            "Requests for jobs that failed because the server was unreachable, overloaded or refused them",
            value=self.dequeue_failures,
        )

    def _collect_jobs(self) -> Metric:
        jobs = CounterMetricFamily(
            "sharq_worker_jobs",
            "Jobs whose handler has ended, by outcome: finished, failed (it raised), retried (it raised Retry), "
            "throttled, dropped, stopped (cancelled when the worker stopped), abandoned (its thread outlasted the "
            "stop)",
            labels=["queue_type", "outcome"],
        )
        for queue_type, counts in self._jobs.items():
            for outcome, count in counts.items():
                jobs.add_metric([queue_type, outcome], count)
        return jobs

    def _collect_times(self) -> Metric:
        times = HistogramMetricFamily(
            "sharq_worker_handler_seconds",
            "Time from the start of a handler to its end, with its middleware; a batch counts once",
            labels=["queue_type"],
        )
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        for queue_type, counts in self._times.items():
            buckets = list(zip(bounds, itertools.accumulate(counts), strict=True))
            times.add_metric([queue_type], buckets, self._seconds[queue_type])
        return times

    def _collect_in_flight(self) -> Metric:
        running = Counter(self.in_flight())
        jobs = GaugeMetricFamily(
            "sharq_worker_jobs_in_flight", "Jobs whose handler is running", labels=["queue_type"]
        )
        for queue_type in self._queue_types:
            jobs.add_metric([queue_type], running[queue_type])
        return jobs


@contextlib.asynccontextmanager
async def served(metrics: WorkerMetrics, host: str, port: int) -> AsyncIterator[None]:
    """Serve the metrics of a worker and of its process over HTTP, from a thread of their own.

    So a scrape is answered even while a handler blocks the event loop.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise OSError(error.errno, f"metrics_port: {host}:{port}: {error.strerror}") from error
    log.info("metrics_served url=http://%s:%d/metrics", host, server.server_port)
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
