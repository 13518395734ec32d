"""Builds and drives what one node does by the calendar: the periods of quotas, and schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.store_calls import StoreCalls
from shard.calendar.period_keeper import PeriodKeeper
from shard.calendar.schedule_changes import ScheduleChanges
from shard.calendar.schedules import Schedules
from shard.calendar.type_changes import TypeChanges
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.hints import NodeHints
from shard.metrics.firings import FiringCounts
from sharq_core.scheduler.executor import Executor


class NodeCalendar:
    """The calendar of one node.

    Args:
        registry: receives the metrics of schedules.
        hints: gets the hint of each firing and of each change of a type.

    Attributes:
        schedules: the schedules of the node's partitions.
        handlers: the handler of each type of call whose work needs the calendar.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        pipeline: Pipeline,
        calls: StoreCalls,
        executor: Executor,
        ownership: Ownership,
        clocks: PartitionClocks,
        hints: NodeHints,
    ) -> None:
        counts = FiringCounts()
        self.schedules = Schedules(pipeline, calls.schedules, executor, ownership, hints, clocks, counts)
        self._periods = PeriodKeeper(pipeline, calls.periods, ownership, executor.now_us)
        schedule_changes = ScheduleChanges(
            pipeline, calls.schedules, calls.surveys, self.schedules, ownership, clocks
        )
        type_changes = TypeChanges(pipeline, calls.types, self._periods, clocks, hints)
        self.handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            **schedule_changes.by_type,
            **type_changes.by_type,
        }
        counts.known, counts.lag_s = self.schedules.__len__, lambda: self.schedules.lag_s
        registry.register(counts)

    async def run(self) -> None:
        """Look ahead until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.schedules.run())
            tasks.create_task(self._periods.run())
