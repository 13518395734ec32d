"""Writes metrics as the text that Prometheus reads, in pieces, because a few thousand samples take 20 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

SAMPLES_AT_ONCE = 500
"""Samples after which other work has its turn: they take 2 to 3 ms."""


async def metrics_text(metrics: Collector) -> bytes:
    """Return the text of all metrics, as they are when the call begins."""
    pieces: list[bytes] = []
    some: list[Metric] = []
    samples = 0
    # All are collected first: what they are collected from may change in between.
    for metric in list(metrics.collect()):
        some.append(metric)
        samples += len(metric.samples)
        if samples >= SAMPLES_AT_ONCE:
            pieces.append(generate_latest(_Some(some)))
            some, samples = [], 0
            await asyncio.sleep(0)
    return b"".join((*pieces, generate_latest(_Some(some))))


class _Some(Collector):
    """A few metrics that were collected."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._metrics
