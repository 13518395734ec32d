"""Joins the metrics of all workers, so that any of them answers for all: each series gets the label `process`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

PROCESS = "process"
"""The label that tells the workers apart: their numbers, from 0."""


class Family(Struct, frozen=True, array_like=True):
    """One metric of a worker, with its samples: name, labels and value."""

    name: str
    text: str
    kind: str
    unit: str
    samples: list[tuple[str, dict[str, str], float]]


def families_of(registry: CollectorRegistry) -> list[Family]:
    """Return what a registry holds now."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            metric.unit,
            [(sample.name, dict(sample.labels), float(sample.value)) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


class JoinedMetrics(Collector):
    """The metrics of several workers as one collector.

    Args:
        by_worker: the metrics by the number of their worker.
    """

    def __init__(self, by_worker: Mapping[int, Sequence[Family]]) -> None:
        self._by_worker = by_worker

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once, with the samples of every worker that has it."""
        joined: dict[str, Any] = {}
        for number, families in sorted(self._by_worker.items()):
            for family in families:
                metric = joined.get(family.name)
                if metric is None:
                    metric = joined[family.name] = Metric(family.name, family.text, family.kind, family.unit)
                metric.samples.extend(_labelled(str(number), family.samples))
        yield from joined.values()


def _labelled(number: str, samples: Iterable[tuple[str, dict[str, str], float]]) -> Iterator[Sample]:
    for name, labels, value in samples:
        yield Sample(name, {PROCESS: number, **labels}, value)
