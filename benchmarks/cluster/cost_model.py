"""The CPU time of a whole job as a sum over what is done for it: jobs, requests, frames, pipelines and calls.

A least-squares fit without negative costs, by coordinate descent: no library for it is among the dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.cluster.counts import Counts

_ROUNDS = 20_000
_LEAST_PARTITIONS = 256
_PARTITIONS_A_SHARD = 4
"""The least that keeps the partitions of shards within a fourth of each other."""
_TERMS = ("job", "request", "frame", "pipeline", "call", "process-second")


class Model(msgspec.Struct, frozen=True):
    """The cost of each part.

    Attributes:
        costs_us: CPU time by the part's name, in µs.
        error: the mean distance of the model from the measured costs, as a share of these.
    """

    costs_us: dict[str, float]
    error: float

    def predict_us(self, counts: Mapping[str, float]) -> float:
        """Return the CPU time of a whole job for which each part is done so often."""
        return sum(self.costs_us[name] * number for name, number in counts.items())


def parts(counts: Counts) -> dict[str, float]:
    """Return how often each part of the model is done for a job."""
    done = (1.0, counts.requests, counts.frames, counts.pipelines, counts.calls, counts.process_s)
    return dict(zip(_TERMS, done, strict=True))


def fit(samples: Sequence[Counts]) -> Model:
    """Return the model that is nearest to measured jobs, by their relative errors.

    Args:
        samples: the numbers for one job each, at least one.
    """
    rows = [[number / sample.cpu_us for number in parts(sample).values()] for sample in samples]
    costs = [0.0] * len(_TERMS)
    residuals = [1.0] * len(rows)
    squares = [sum(row[term] ** 2 for row in rows) for term in range(len(_TERMS))]
    for _ in range(_ROUNDS):
        for term, square in enumerate(squares):
            if not square:
                continue
            step = sum(row[term] * rest for row, rest in zip(rows, residuals, strict=True)) / square
            step = max(step, -costs[term])
            costs[term] += step
            residuals = [rest - step * row[term] for row, rest in zip(rows, residuals, strict=True)]
    error = sum(map(abs, residuals)) / len(rows)
    return Model(dict(zip(_TERMS, costs, strict=True)), error)


def most_parts(batch: int, shards: int, primaries: int) -> dict[str, float]:
    """Return how often each part is done for a whole job at most, on a Redis Cluster whose processes are busy.

    A job is enqueued, leased and finished in batches over many queues. The bound is that of a cluster so large that no
    two requests share a frame or a pipeline.

    Args:
        batch: jobs of a request, 1 for single calls.
        primaries: servers of the Redis Cluster, which takes no joint calls.
    """
    partitions = max(_LEAST_PARTITIONS, _PARTITIONS_A_SHARD * shards)
    steps = 3 / batch
    done = (
        1.0,
        steps,
        steps * 2 * _distinct(batch, shards),
        steps * _distinct(batch, shards * primaries),
        steps * _distinct(batch, partitions),
        0.0,
    )
    return dict(zip(_TERMS, done, strict=True))


def _distinct(jobs: int, places: int) -> float:
    """Return how many of some places get at least one of the jobs, which fall on them at random."""
    return places * (1 - (1 - 1 / places) ** jobs)
