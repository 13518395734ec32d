"""Names the cap that holds a queue back, for every answer that says why nothing is leased.

A shard says only that the caps of a queue may hold it back, and which caps these are, because each cap is in the
partition of its own name. So the router asks the homes of the caps, and remembers what they said for a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from time import monotonic

import msgspec
from msgspec import UNSET, UnsetType

from router.shards.dispatch import Dispatch
from router.shards.walks.caps import home_of
from sharq_core.caps import CapState
from sharq_core.errors import SharqError
from sharq_core.limits import BlockedBy, Explanation, TypeStats
from sharq_core.link.cap_calls import GetCap
from sharq_core.models import JobStatus, QueueStats

log = logging.getLogger(__name__)

REMEMBERED_S = 1.0
"""Time for which the state of a cap is remembered: idle workers poll all the time."""

MOST_ASKED = 256
"""Most caps that one answer asks for; a list with more names a cap of each further queue without asking."""


class Asking:
    """The caps that one answer, whatever its length, may still ask for.

    Attributes:
        remaining: their number.
    """

    def __init__(self) -> None:
        self.remaining = MOST_ASKED


MOST_REMEMBERED = 10_000
"""Most caps whose state is remembered; past that, all are forgotten."""


class Reason(msgspec.Struct, frozen=True):
    """A reason as an answer tells it.

    Attributes:
        text: a word of BlockedBy, or `cap:` and the name of a cap; None if nothing holds the queue back.
        next_ready_in_us: the time until a lease is possible; None if it is not known.
    """

    text: str | None
    next_ready_in_us: int | None


class _Slot(msgspec.Struct, frozen=True, gc=False):
    """The next slot of a cap, as its home said it.

    Attributes:
        is_unknown: there is no such cap.
        in_us: the time until the slot at that moment; infinite if it is not known.
        read_at: that moment (time.monotonic).
    """

    is_unknown: bool
    in_us: float
    read_at: float

    def left_us(self, now: float) -> float:
        """Return the time from now until the slot, 0 if it is due."""
        return max(0, self.in_us - (now - self.read_at) * 1e6)


class CapReasons:
    """The caps that hold queues back."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._slots: dict[str, _Slot] = {}

    async def of(self, explanation: Explanation) -> Reason:
        """Return the reason that an answer tells for what a shard says of a queue."""
        (reason,) = await self.of_all([explanation])
        return reason

    async def of_queue(self, stats: QueueStats) -> Reason:
        """Return the reason that an answer tells for a queue."""
        return await self.of(_held(stats))

    async def of_queues(self, queues: Iterable[QueueStats], asking: Asking) -> list[Reason]:
        """Return the reasons that an answer tells for some queues, in order, as `of_all` does."""
        return await self.of_all(list(map(_held, queues)), asking)

    async def of_type(self, stats: TypeStats) -> Reason:
        """Return the reason that an answer tells for a gathered type."""
        return await self.of(Explanation(stats.blocked_by, stats.next_ready_in_us, stats.caps))

    async def of_jobs(self, jobs: Sequence[JobStatus]) -> list[str | UnsetType | None]:
        """Return why each of some jobs waits: None if its queue gives a job, UNSET if it does not wait."""
        reasons = await self.of_all([Explanation(job.blocked_by, None, job.caps) for job in jobs])
        return [reason.text if job.is_explained else UNSET for job, reason in zip(jobs, reasons, strict=True)]

    async def of_all(self, explanations: Sequence[Explanation], asking: Asking | None = None) -> list[Reason]:
        """Return the reasons that an answer tells for what shards say of queues, in order.

        Cost: one call for each of the caps that were not asked for within the last second, at most MOST_ASKED.

        Args:
            asking: the same for all parts of one answer; None if this is all of it.
        """
        capped = [held for held in explanations if held.blocked_by is BlockedBy.CAP]
        if capped:
            await self._ask(dict.fromkeys(name for held in capped for name in held.caps), asking or Asking())
        now = monotonic()
        return [self._reason(held, now) for held in explanations]

    def _reason(self, held: Explanation, now: float) -> Reason:
        if held.blocked_by is not BlockedBy.CAP:
            return Reason(held.blocked_by, held.next_ready_in_us)
        if not held.caps:
            # A list of very many types tells their reasons from counts, and a cap shows like a rate there.
            return Reason(BlockedBy.RATE, held.next_ready_in_us)
        missing = _Slot(is_unknown=False, in_us=math.inf, read_at=now)
        slots = {name: self._slots.get(name, missing) for name in held.caps}
        name = max(slots, key=lambda cap: (slots[cap].is_unknown, slots[cap].left_us(now)))
        wait_us = slots[name].left_us(now)
        if not wait_us:
            return Reason(None, held.next_ready_in_us)
        ready_in_us = None if math.isinf(wait_us) else max(int(wait_us), held.next_ready_in_us or 0)
        return Reason(f"cap:{name}", ready_in_us)

    async def _ask(self, names: Iterable[str], asking: Asking) -> None:
        """Ask for the caps that were not asked for lately."""
        now = monotonic()
        outdated = [name for name in names if not self._is_known(name, now)][: asking.remaining]
        asking.remaining -= len(outdated)
        if len(self._slots) + len(outdated) > MOST_REMEMBERED:
            self._slots.clear()
        states = await asyncio.gather(*map(self._state, outdated))
        self._slots.update(zip(outdated, states, strict=True))

    def _is_known(self, name: str, now: float) -> bool:
        slot = self._slots.get(name)
        return slot is not None and now - slot.read_at < REMEMBERED_S

    async def _state(self, name: str) -> _Slot:
        """Return the next slot of a cap. While its home cannot be reached, its queues stand still."""
        try:
            state = await self._dispatch.route(GetCap("", home_of(name, self._dispatch.partitions), name))
        except SharqError as error:
            log.debug("cap_not_asked cap=%s error=%r", name, error.message)
            return _Slot(is_unknown=False, in_us=math.inf, read_at=monotonic())
        return _slot_of(state)


def _held(stats: QueueStats) -> Explanation:
    return Explanation(stats.blocked_by, stats.next_ready_in_us, stats.caps)


def _slot_of(state: CapState | None) -> _Slot:
    if state is None:
        return _Slot(is_unknown=True, in_us=math.inf, read_at=monotonic())
    in_us = math.inf if state.next_slot_in_us is None else state.next_slot_in_us
    return _Slot(is_unknown=False, in_us=in_us, read_at=monotonic())
