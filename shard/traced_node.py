"""Gives the calls of a node spans: handling a call that came over the link, or from a router in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shard.node import ShardNode
from sharq_core.link.traced_port import TracedPort

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import Spans


def traced(node: ShardNode, spans: Spans) -> TracedPort:
    """Return the node with a span around each of its calls."""
    from sharq_core.telemetry.spans import SpanKind  # noqa: PLC0415 - it needs the extra otel

    return TracedPort(node, spans, SpanKind.SERVER, "handle", node.settings.node_id)
