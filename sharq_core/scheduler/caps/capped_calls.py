"""Makes the calls about queues with caps: which of them wait, and the dequeue that leases from them.

Such queues stand apart from the others (lua/parking.lua), because a lease from them needs a slot of each of their caps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from sharq_core.caps import CapUses, ParkedPage, ParkedSet, Permit
from sharq_core.models import ExtendJob, LeaseOutcome
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.caps.packed_permits import pack_permits
from sharq_core.scheduler.caps.renewals import decode_unextended
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import (
    DequeueReply,
    ParkedNews,
    Reply,
    decode_leases,
    decoder,
    hint_of,
)
from sharq_core.scheduler.status_replies import cap_names_of
from sharq_core.store.commands import Word

ANY_CLOCK = -1
"""The number of changes of a partition's time that stands for any number."""

MAX_SETS = 1000
"""Most sets of a cap that one call looks at, which takes the store about half a millisecond."""

_CAPPED_HEAD = 15
_PAGE_HEAD = 8
_SET_REPLY = 4
_STOPPED = -1


class CappedReply(msgspec.Struct, frozen=True):
    """The reply of a dequeue of queues with certain caps.

    Attributes:
        dequeue: as the reply of a dequeue. due_before and due_after count queues of the set; head_us is when a plain
            dequeue of the type may find something, perhaps too early.
        due_us: the time from which the first queue of the set may be leased from after the call; None if none waits.
        left_cost: the cost of the first job that was left, because it costs more than the slots allow; None for none.
    """

    dequeue: DequeueReply
    due_us: int | None
    left_cost: int | None


class CappedCalls:
    """The maker of one deployment's calls about queues with caps.

    Args:
        finished_us, dead_us: how long finished jobs and dead letters are remembered.
    """

    def __init__(self, keys: Keys, finished_us: int, dead_us: int) -> None:
        self._keys = keys
        self._finished_us = finished_us
        self._dead_us = dead_us

    def dequeue_capped(
        self,
        partition: int,
        queue_type: str,
        names: Sequence[str],
        count: int,
        units: int,
        lease_us: int,
        random: bytes,
        *,
        per_queue: int = MAX_BATCH,
        max_bytes: int = MAX_CALL_BYTES,
        permits: Sequence[Sequence[Permit]] = (),
        clock_number: int | None = None,
        most_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[CappedReply]:
        """Lease up to `count` ready jobs of queues with exactly these caps, as a dequeue does.

        Args:
            names: the names of the caps, sorted.
            units: the most points that each job may cost. A queue whose next job costs more gives none.
            random, per_queue, max_bytes, most_us: as in Functions.dequeue.
            permits: those of each slot, empty for one without. The first job that is leased gets the first ones, and so
                on.
            clock_number: the number of changes of the partition's time in the reading from which not_after_us was
                computed. If the store knows another number, nothing is done and the reply is expired. None for any.
        """
        demand = packed.DEMAND.pack(
            not_after_us or 0, count, per_queue, lease_us, max_bytes, random, packed.KNOWS_CAPS
        )
        slots = packed.SLOTS.pack(units, ANY_CLOCK if clock_number is None else clock_number)
        time = b"" if most_us is None else packed.MOST_TIME.pack(most_us)
        arguments: list[Word] = [demand + slots + time, packed.cap_names(names)]
        if any(permits):
            arguments += map(pack_permits, permits)
        decode = partial(_decode_capped, queue_type)
        return make_call(
            self._keys, library.DEQUEUE_CAPPED, partition, queue_type, now_us, arguments, decode, count
        )

    def extend_renewed(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[ExtendJob],
        *,
        clock_number: int,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Move the ends of leases whose permits were renewed just now. Value: one answer for each job.

        Args:
            clock_number: as in dequeue_capped.
            not_after_us: the end of the time for which the renewal counts (EXTEND_WITHIN_US). Unlike an extend, this
                call does nothing after it.
        """
        marks = packed.RENEWED.pack(packed.IS_RENEWED | packed.HAS_REPORTS[0], clock_number)
        arguments: list[Word] = [
            packed.TERMS.pack(not_after_us or 0, self._finished_us, self._dead_us) + marks,
            *packed.names(jobs),
            *(packed.token(job.lease) for job in jobs),
            *(job.by_us for job in jobs),
            *(job.progress for job in jobs),
        ]
        return make_call(
            self._keys, library.EXTEND, partition, queue_type, now_us, arguments, decode_unextended, len(jobs)
        )

    def list_parked(
        self, partition: int, queue_type: str, since: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[ParkedPage]:
        """Read up to `limit` (1 to MAX_BATCH) sets of caps that have news since the change `since` (0 for all)."""
        arguments: list[Word] = [since, min(limit, MAX_BATCH)]
        return make_call(
            self._keys, library.LIST_PARKED, partition, queue_type, now_us, arguments, _decode_parked
        )

    def cap_uses(
        self, partition: int, name: str, *, after: int = 0, now_us: int | None = None
    ) -> FunctionCall[CapUses]:
        """Read how many queues have a cap, from up to MAX_SETS of its sets after the set `after` (0 at first)."""
        arguments: list[Word] = [name, after, MAX_SETS]
        return make_call(self._keys, library.CAP_USES, partition, "", now_us, arguments, _decode_uses)


def _decode_capped(queue_type: str, raw: list[Any]) -> Reply[CappedReply]:
    hint = hint_of(raw)
    if raw[0]:
        return Reply(hint, None, is_expired=True)
    due_before, due_after, is_cut, ended, died, due_us, left_cost, expired, dropped, changed, ready_us = raw[
        4:_CAPPED_HEAD
    ]
    jobs, ready_for_us = decode_leases(queue_type, raw, _CAPPED_HEAD, len(raw))
    dequeue = DequeueReply(
        jobs,
        ready_for_us,
        hint.ready_us,
        due_before,
        due_after,
        bool(is_cut),
        ended=ended,
        died=died,
        expired=expired,
        dropped=dropped,
        parked=ParkedNews(changed, None if ready_us == _STOPPED else ready_us),
    )
    return Reply(hint, CappedReply(dequeue, due_us if due_us >= 0 else None, left_cost or None))


@decoder
def _decode_uses(raw: list[Any]) -> CapUses:
    return CapUses(*raw[4:7])


@decoder
def _decode_parked(raw: list[Any]) -> ParkedPage:
    changed, has_more, ready_us, clock_number = raw[4:_PAGE_HEAD]
    sets = [
        ParkedSet(raw[at], cap_names_of(raw[at + 1]), raw[at + 2], raw[at + 3])
        for at in range(_PAGE_HEAD, len(raw), _SET_REPLY)
    ]
    type_ready_us = None if ready_us == _STOPPED else ready_us
    return ParkedPage(sets, changed, raw[1], bool(has_more), type_ready_us, clock_number)
