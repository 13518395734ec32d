"""Passes the hint of each reply on to the parts of the node that use it."""

from __future__ import annotations

from typing import Any

from shard.batching.pipeline import SingleCall
from shard.cluster.ownership import Ownership
from shard.index.explanations import Explanations
from shard.index.ready_index import ReadyIndex
from shard.reaper import Reaper
from sharq_core.scheduler.replies import Hint, Reply


class NodeHints:
    """The users of hints in one node. As an Observer it notes the hints of single calls.

    Args:
        reaper: None if this node runs none.

    Attributes:
        ownership: the partitions of this node. A hint about one of them need not be noted if it has no time.
        explained: the types for which the node remembers why nothing was leased. Their hints are always noted.
    """

    def __init__(
        self, ownership: Ownership, index: ReadyIndex, reaper: Reaper | None, explanations: Explanations
    ) -> None:
        self.ownership = ownership
        self.explained = explanations.by_type
        self._explanations = explanations
        self._index = index
        self._reaper = reaper

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """Record a reply's hint: a queue became due earlier, or a timer was set. Forget why nothing was leased.

        The node serves a partition of another node for a while after a call for it.
        """
        if self.explained:
            self._explanations.drop(queue_type)
        if partition not in self.ownership.mine:
            self.ownership.extend_grace(partition)
        if hint.ready_us is not None:
            self._index.note(partition, queue_type, hint)
        if hint.timer_us is not None and self._reaper is not None:
            self._reaper.note(partition, queue_type, hint)

    def observe(self, submitted: SingleCall[Any], reply: Reply[Any], _: float) -> None:
        """Note the hint of a reply."""
        call = submitted.call
        self.note(call.partition, call.queue_type, reply.hint)
