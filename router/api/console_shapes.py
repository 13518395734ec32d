"""Defines the query of the console's stream and the events that it sends; docs/console.md describes them for people."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from router.api.cluster_shapes import MemberInfo
from router.api.fields import QueueId, QueueType
from router.api.queue_shapes import QueueAnswer, TypeAnswer
from sharq_core.limits import BlockedBy


class StreamQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The type or the queue that is watched besides the whole; `queue_id` needs `queue_type`."""

    queue_type: QueueType | UnsetType = UNSET
    queue_id: QueueId | UnsetType = UNSET


class WatchedTotals(Struct, frozen=True, kw_only=True):
    """The numbers of all types together; None for a number that is not known, or not yet.

    Attributes:
        enqueued_per_s, delivered_per_s, finished_per_s: jobs per second over the last 10 s.
        failed_per_min: attempts that failed in the last minute: released and counted, or ended by time.
        died_per_min: jobs that became dead letters in the last minute, as far as shards count them.
        ready_delay_p50_ms, ready_delay_p99_ms: the time from ready to leased over the last minute.
    """

    queued: int | None
    delayed: int | None
    leased: int | None
    dead: int | None
    enqueued_per_s: float | None
    delivered_per_s: float | None
    finished_per_s: float | None
    failed_per_min: float | None
    died_per_min: int | None
    ready_delay_p50_ms: float | None
    ready_delay_p99_ms: float | None


class WatchedType(Struct, frozen=True, kw_only=True):
    """The numbers of one type.

    Attributes:
        enqueued_per_s, delivered_per_s: jobs per second over the last 10 s; None if not known.
        failed_per_min: attempts that failed in the last minute; None if not known.
        ready_for_ms: how long the job that has been ready longest has waited for a worker; None if none is ready.
        blocked_by: why no queue of the type gives a job now; None if one does, or if the reason is not known yet.
        caps: limit or quota → the share of it that is in use, 1 for all of it.
    """

    queue_type: str
    queued: int
    delayed: int
    leased: int
    dead: int
    enqueued_per_s: float | None
    delivered_per_s: float | None
    failed_per_min: int | None
    ready_for_ms: int | None
    blocked_by: BlockedBy | None
    caps: dict[str, float]


class WatchedMinute(Struct, frozen=True, kw_only=True):
    """The jobs of all types in one minute, as the store counts them.

    Attributes:
        at: the start of the minute, in ms since the epoch.
    """

    at: int
    enqueued: int
    delivered: int


class WatchedNotice(Struct, frozen=True, kw_only=True):
    """A problem of a router, a shard or its store.

    Attributes:
        node: the shard that it is about, or several with commas between them; empty if that is not known, and for the
            router.
        code: `store`; `node` for the shard itself and `router` for this router, such as a certificate that ends soon;
            `shard` for a shard that cannot be reached; `load` for one whose numbers are missing.
    """

    node: str
    code: str
    text: str


class Snapshot(Struct, frozen=True, kw_only=True):
    """The event `snapshot`: the numbers of the whole cluster.

    Attributes:
        at: when it was made, in ms since the epoch by the router's clock.
        every_ms: the time between two snapshots.
        minutes: the last ten minutes, oldest first; None if they are not known.
        types: the types with most jobs first, at most 200.
        types_total: the number of all types that the token may see.
        version, partitions: of the ring, as in /cluster/.
    """

    at: int
    every_ms: int
    totals: WatchedTotals
    minutes: list[WatchedMinute] | None
    types: list[WatchedType]
    types_total: int
    version: int
    partitions: int
    shards: list[MemberInfo]
    notices: list[WatchedNotice]


class WatchedQueue(Struct, frozen=True, kw_only=True):
    """The event `queue`: the state of one queue.

    Attributes:
        queue: as in GET /queue/<type>/<id>/; None if there is no such queue.
        minute: the start of the current minute, in ms since the epoch.
        enqueued, delivered: the queue's jobs in that minute so far.
    """

    queue_type: str
    queue_id: str
    at: int
    queue: QueueAnswer | None
    minute: int
    enqueued: int
    delivered: int


class WatchedTypeState(Struct, frozen=True, kw_only=True):
    """The event `type`: the state of one type.

    Attributes:
        numbers: those of the snapshot; None if the type has no jobs.
        state: as in GET /type/<type>/; None for a type that is not gathered.
    """

    queue_type: str
    at: int
    numbers: WatchedType | None
    state: TypeAnswer | None
