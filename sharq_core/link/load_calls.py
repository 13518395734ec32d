"""Defines the call about the load of a node, for the console (router/console)."""

from __future__ import annotations

from typing import ClassVar

from sharq_core.link.messages import Call
from sharq_core.link.node_load import NodeLoad


class DescribeLoad(Call[NodeLoad], frozen=True):
    """A call for the load of the node, with the max_types types that have most jobs. It reads little of the store."""

    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 6

    max_types: int
