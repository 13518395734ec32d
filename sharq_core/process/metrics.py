"""Measures the process itself: its CPU, memory and files, the lag of its event loop and its lost log lines.

A late loop delays everything, so its lag is part of every duration that the process measures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.logs.line_queue import open_queues

_LOOK_EVERY_S = 0.25
_LAGS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def measure_process(registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    """Measure this process and its running event loop until the stack's end."""
    ProcessCollector(registry=registry)
    registry.register(_LogMetrics())
    lags = Histogram(
        "sharq_event_loop_lag_seconds",
        "Lateness of event loop timers, sampled four times a second",
        buckets=_LAGS_S,
        registry=registry,
    )
    task = asyncio.create_task(_watch_loop(lags))
    stack.callback(task.cancel)


class _LogMetrics(Collector):
    """The metrics of this process's logs, read at each scrape."""

    def collect(self) -> Iterator[Metric]:
        lost = CounterMetricFamily(
            "sharq_log_lines_lost",
            "Log lines dropped because the log's reader was stalled or its disk was full",
            labels=["log"],
        )
        for queue in open_queues():
            lost.add_metric([queue.name], queue.lost)
        yield lost


async def _watch_loop(lags: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + _LOOK_EVERY_S
        await asyncio.sleep(_LOOK_EVERY_S)
        lags.observe(max(loop.time() - due_at, 0.0))
