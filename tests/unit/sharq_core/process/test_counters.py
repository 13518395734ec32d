"""Durations in plain numbers are exported as the metrics library would."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.process.counters import Durations

BOUNDS_S = (0.0005, 0.1, 1.0, 60.0)
SEEN_S = (0.0, 0.0005, 0.00051, 0.1, 0.7, 1.5, 3600.0)


class _One(Collector):
    def __init__(self, durations: Durations) -> None:
        self._durations = durations

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily("took_seconds", "How long it took.", labels=["verb"])
        self._durations.export(family, ["finish"])
        yield family


def samples(registry: CollectorRegistry) -> dict[tuple[str, str | None], float]:
    return {
        (sample.name, sample.labels.get("le")): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_durations_are_exported_as_a_histogram_of_the_library() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations(BOUNDS_S)
    ours.register(_One(durations))
    histogram = Histogram("took_seconds", "How long it took.", ["verb"], buckets=BOUNDS_S, registry=theirs)
    for seen_s in SEEN_S:
        durations.observe(seen_s)
        histogram.labels("finish").observe(seen_s)
    assert samples(ours) == samples(theirs)
