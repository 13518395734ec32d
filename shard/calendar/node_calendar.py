"""Builds and drives what one node does by the calendar: windows, the periods of quotas, and schedules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.store_calls import StoreCalls
from shard.calendar.period_keeper import PeriodKeeper
from shard.calendar.renewals import Renewals
from shard.calendar.schedule_changes import ScheduleChanges
from shard.calendar.schedules import Schedules
from shard.calendar.type_changes import TypeChanges
from shard.calendar.windows import WindowCalendar
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.hints import NodeHints
from shard.index.surveyor import Surveyor
from shard.metrics.firings import FiringCounts
from sharq_core.campaigns.windows import PutOutcome
from sharq_core.errors import SharqError
from sharq_core.link.campaigns.window_calls import PutWindow
from sharq_core.scheduler.executor import Executor

log = logging.getLogger(__name__)


class NodeCalendar:
    """The calendar of one node.

    Args:
        registry: receives the metrics of schedules and windows.
        hints: gets the hint of each firing and of each change of a type.

    Attributes:
        schedules: the schedules of the node's partitions.
        windows: the windows of the partitions that the node serves.
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
        surveyor: Surveyor,
        hints: NodeHints,
    ) -> None:
        counts = FiringCounts()
        self.schedules = Schedules(pipeline, calls.schedules, executor, ownership, hints, clocks, counts)
        self._periods = PeriodKeeper(pipeline, calls.periods, ownership, executor.now_us)
        self.windows = WindowCalendar(pipeline, calls.windows, executor.now_us, clocks.not_after_us)
        parts = (self.windows,)
        self._renewals = Renewals(registry, ownership, executor.now_us, surveyor.clock_of, parts)
        surveyor.on_touched = self._look_at
        self._pipeline, self._surveys, self._ownership = pipeline, calls.surveys, ownership
        schedule_changes = ScheduleChanges(
            pipeline, calls.schedules, calls.surveys, self.schedules, ownership, clocks
        )
        type_changes = TypeChanges(pipeline, calls.types, self._periods, self._renewals, clocks, hints)
        self.handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            **schedule_changes.by_type,
            **type_changes.by_type,
            PutWindow: self._put_window,
        }
        counts.known, counts.lag_s = self.schedules.__len__, lambda: self.schedules.lag_s
        registry.register(counts)

    async def run(self) -> None:
        """Look ahead until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.schedules.run())
            tasks.create_task(self._periods.run())
            tasks.create_task(self._renewals.run())

    async def _put_window(self, call: PutWindow) -> PutOutcome:
        outcome = await self.windows.put(call)
        self._renewals.note_put(call.partition, must_rescore=outcome.must_rescore)
        if outcome.must_rescore and not self._ownership.owns(call.partition):
            await self._tell_owner(call)
        return outcome

    async def _tell_owner(self, call: PutWindow) -> None:
        """Leave a note for the owner of a partition, so that it ends the walk over its queues if this node stops.

        The note names the window in place of a type: the owner looks at the partition, and need not read a type.
        """
        try:
            await self._pipeline.value(self._surveys.touch(call.partition, call.name))
        except SharqError as error:
            # This node does the walk in any case.
            log.debug("owner_not_told partition=%d error=%r", call.partition, error.message)

    def _look_at(self, partition: int) -> None:
        """Look at a partition in which another node has changed something."""
        self.schedules.look_at(partition)
        self._renewals.look_at(partition)
