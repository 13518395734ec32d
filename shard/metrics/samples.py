"""Holds the parts of a node that sample limits and report its load, and runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.store_calls import StoreCalls
from shard.index.census import Census
from shard.index.explanations import Explanations
from shard.index.ready_index import ReadyIndex
from shard.metrics.limit_samples import LimitSamples
from shard.metrics.load import LoadReports
from shard.metrics.node import NodeMetrics
from shard.metrics.type_caps import TypeCaps
from sharq_core.link.load_calls import DescribeLoad
from sharq_core.link.node_load import NodeLoad


class NodeSamples:
    """The samples and reports of one node.

    Args:
        served: returns the partitions that the node serves.

    Attributes:
        caps: how much of their limits the gathered types use.
        handlers: the handlers of calls for reports, by the type of call.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        metrics: NodeMetrics,
        pipeline: Pipeline,
        calls: StoreCalls,
        explanations: Explanations,
        index: ReadyIndex,
        census: Census,
        served: Callable[[], list[int]],
    ) -> None:
        self._limits = LimitSamples(registry, pipeline, calls.limits, explanations, index, census)
        self.caps = TypeCaps(registry, pipeline, calls.types, census, metrics.units)
        self._reports = LoadReports(
            metrics, census, index, explanations, served, self.caps.shares, self.caps.is_out
        )
        self.handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {DescribeLoad: self._describe}

    async def run(self) -> None:
        """Take samples until cancelled."""
        await asyncio.gather(self._limits.run(), self.caps.run())

    async def _describe(self, call: DescribeLoad) -> NodeLoad:
        return await self._reports.report(call.max_types)
