"""A shard whose calls have spans: in a router around its calls over the link, in a shard around their handling."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from sharq_core.errors import SharqError
from sharq_core.link.messages import Call, Dequeue, JobsCall, PartitionCall, QueueCall, ShardPort
from sharq_core.telemetry import call_traces

if TYPE_CHECKING:
    from sharq_core.telemetry.spans import SpanKind, Spans

ReplyT = TypeVar("ReplyT")


class TracedPort:
    """A ShardPort whose calls have spans if the work that they belong to is recorded.

    Args:
        verb: what the name of a span begins with.
        shard: the name of the shard, for the spans; empty for none.

    Attributes:
        port: the shard itself.
    """

    def __init__(self, port: ShardPort, spans: Spans, kind: SpanKind, verb: str, shard: str) -> None:
        self.port = port
        self._spans = spans
        self._kind = kind
        self._verb = verb
        self._shard = shard
        self.watch, self.unwatch = port.watch, port.unwatch
        self.watch_job, self.unwatch_job = port.watch_job, port.unwatch_job

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Send one call, with a span if there is a recorded one above it; see ShardPort."""
        trace = call_traces.current.get()
        parent = call_traces.from_link.get() if trace is None else trace.context
        return self._call_within(parent, call) if parent else self.port.call(call)

    async def _call_within(self, parent: bytes, call: Call[ReplyT]) -> ReplyT:
        span = self._spans.begin(
            f"{self._verb} {type(call).__name__}", self._kind, parent, _attributes(call, self._shard)
        )
        if span is None:
            return await self.port.call(call)
        before = call_traces.current.set(span)
        try:
            return await self.port.call(call)
        except SharqError as error:
            span.fail(error.code, error.message)
            raise
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            call_traces.current.reset(before)
            span.end()


def _attributes(call: Call[Any], shard: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"sharq.call": type(call).__name__}
    if shard:
        attributes["sharq.shard"] = shard
    if isinstance(call, Dequeue | PartitionCall):
        attributes["sharq.queue_type"] = call.queue_type
    elif isinstance(call, QueueCall):
        attributes["sharq.queue_type"] = call.key.queue_type
    elif isinstance(call, JobsCall):
        attributes["sharq.jobs"] = len(call.jobs)  # type: ignore[attr-defined] # every such call has them
    return attributes
