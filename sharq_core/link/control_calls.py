"""Defines the calls about limits: settings, holds, pauses above a queue, lists with numbers, and explanations.

Most are of format 2, and those about several types of format 7. A router sends none before every member knows it.
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.limits import Explanation, PauseStatus, QueueSettings, TypeSettings, TypeStats, TypeSummary
from sharq_core.link.messages import Call, PartitionCall, QueueCall
from sharq_core.models import QueueStats, QueueStatsPage


class HoldQueue(QueueCall[PauseStatus], frozen=True):
    """A call that holds a queue, for a time from now or until a time by the store's clock: one of the two is set."""

    function: ClassVar[str] = "pause"
    formats: ClassVar[int] = 2

    hold_us: int | None = None
    until_us: int | None = None
    is_paused: bool = True


class SetQueue(QueueCall[QueueStats], frozen=True):
    """A call that changes the settings of a queue, which is created if need be, and returns its statistics."""

    function: ClassVar[str] = "set_queue"
    formats: ClassVar[int] = 2

    settings: QueueSettings


class GetQueueLimits(QueueCall[QueueStats], frozen=True):
    """A call for the statistics of one queue."""

    function: ClassVar[str] = "get_queue"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 2


class ListQueueStats(PartitionCall[QueueStatsPage], frozen=True):
    """A call for the statistics of about `count` queues of one partition from `scan` on (0: from the start).

    Attributes:
        search: only queues whose ids contain this text; a page may then be short or empty although more follow. Empty
            for all.
        with_ages: tell the ages of the queues' heads, too. A shard of an older format leaves them out.
    """

    function: ClassVar[str] = "list_queue_stats"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 2

    scan: int
    count: int
    search: str = ""
    with_ages: bool = False


class Explain(Call[Explanation], frozen=True):
    """A call for the reason why a dequeue of a type gets nothing from this shard's partitions.

    The shard remembers its answer for a second, so that idle polls cost the store nothing.
    """

    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 2

    queue_type: str


class ExplainTypes(Call[Explanation], frozen=True):
    """A call for the reason why a dequeue of several types gets nothing from this shard's partitions."""

    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 7

    queue_types: list[str]


class PeekTypes(Call[list[int | None]], frozen=True):
    """A call for the answer of Peek about each of several types, in order."""

    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 7

    queue_types: list[str]


class SetType(PartitionCall[TypeStats], frozen=True):
    """A call that changes the settings of a gathered type in its partition, and returns the type afterwards."""

    function: ClassVar[str] = "set_type"
    formats: ClassVar[int] = 2

    settings: TypeSettings


class GetTypeStats(PartitionCall[TypeStats], frozen=True):
    """A call for the settings and the statistics of a type in one partition."""

    function: ClassVar[str] = "get_type_stats"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 2


class PauseType(PartitionCall[None], frozen=True):
    """A call that pauses or resumes all queues of a type in one partition, those that come later, too."""

    function: ClassVar[str] = "pause_type"
    formats: ClassVar[int] = 2

    is_paused: bool


class PauseAll(PartitionCall[None], frozen=True):
    """A call that pauses or resumes all queues of one partition, those that come later, too; its type is empty."""

    function: ClassVar[str] = "pause_all"
    formats: ClassVar[int] = 2

    is_paused: bool


class ListTypes(Call[list[TypeSummary]], frozen=True):
    """A call for the numbers, in some partitions, of the first `limit` types whose names sort after `after`.

    At least the first type is explained.
    """

    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 2

    partitions: list[int]
    after: str
    limit: int
