"""Handles the call that changes the settings of a gathered type, and what follows from it for the calendar.

It brings the periods of the quotas with it, so that no lease has to wait for the task that keeps periods known
(shard/calendar/period_keeper.py). A change of the default window lets the ready times of the queues be computed anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import UNSET

from shard.batching.pipeline import Observer, Pipeline
from shard.calendar.period_keeper import PeriodKeeper
from shard.calendar.renewals import Renewals
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.limits import TypeStats
from sharq_core.link.control_calls import SetType
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.limit_calls import TypeCalls


class TypeChanges:
    """The handler of one node's changes of types.

    Args:
        observer: gets the hint of each change, which may make a queue due.

    Attributes:
        by_type: the handler of each type of call; it raises as ShardPort.call does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: TypeCalls,
        periods: PeriodKeeper,
        renewals: Renewals,
        clocks: PartitionClocks,
        observer: Observer,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._periods = periods
        self._renewals = renewals
        self._clocks = clocks
        self._observer = observer
        self.by_type: Mapping[type, Callable[[Any], Awaitable[Any]]] = {SetType: self._set_type}

    async def _set_type(self, call: SetType) -> TypeStats:
        """Change the settings of a type, and return the type afterwards."""
        bounds = self._periods.bounds_for(call.partition, call.settings)
        change = self._calls.set_type(
            call.partition,
            call.queue_type,
            call.settings,
            bounds=bounds,
            not_after_us=self._clocks.not_after_us(call.partition),
        )
        reply, _ = await self._pipeline.submit(change, self._observer)
        if bounds:
            self._periods.read_soon(call.partition)
        if call.settings.window is not UNSET:
            self._renewals.note_put(call.partition, must_rescore=True)
        return value_of(reply)
