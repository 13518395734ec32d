"""Builds the parts of a node that keep, change and fire schedules."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Observer, Pipeline
from shard.batching.store_calls import StoreCalls
from shard.calendar.schedule_changes import ScheduleChanges
from shard.calendar.schedules import Schedules
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.metrics.firings import FiringCounts
from sharq_core.scheduler.executor import Executor


def make_schedules(
    registry: CollectorRegistry,
    pipeline: Pipeline,
    calls: StoreCalls,
    executor: Executor,
    ownership: Ownership,
    clocks: PartitionClocks,
    observer: Observer,
) -> tuple[Schedules, ScheduleChanges]:
    """Return the schedules of a node and the handlers of their changes, and export their metrics.

    Args:
        observer: gets the hint of each firing, which may make a queue due.
    """
    counts = FiringCounts()
    schedules = Schedules(pipeline, calls.schedules, executor, ownership, observer, clocks, counts)
    counts.known, counts.lag_s = schedules.__len__, lambda: schedules.lag_s
    registry.register(counts)
    return schedules, ScheduleChanges(pipeline, calls.schedules, calls.surveys, schedules, ownership, clocks)
