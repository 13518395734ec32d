"""Asks the ledgers of caps for slots, and gives slots back.

A cap has its ledger in its home partition, which may be that of another node: the store is asked directly. At most one
question about a cap is under way at a time, and a bounded number in all. The answers say when it is of use to ask about
a cap again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any

import msgspec

from shard.batching.pipeline import Pipeline
from shard.caps.grants import CapGrant, SlotTerms, grants_of
from shard.caps.metrics import CapCounts
from shard.caps.rounds import MOST_AHEAD_US, Taken
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.caps import MAX_TAKE, CapReply, CapSlot, CapTakeStatus, Permit
from sharq_core.clock import elapsed_us
from sharq_core.errors import SharqError
from sharq_core.limits import CapHold
from sharq_core.logs.troubles import SharedTrouble
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import FunctionCall

log = logging.getLogger(__name__)

ASKS_AT_ONCE = 64
"""Most questions of one node at one time."""

MOST_UNSETTLED = 10_000
"""Most caps whose permits wait to be given back while their ledgers are away."""

ASK_AGAIN_US = 1_000_000
"""The longest time after which a cap without a slot is asked again, and that for a cap that does not exist."""

AFTER_FAILURE_US = 200_000
"""Pause before a ledger that failed is asked again."""

AFTER_NOTHING_US = 2_000
"""Least pause after an answer without a slot, if that says nothing of the next one."""

TELL_FOR_S = 3.0
"""Time for which a hold or a correction is sent again to a ledger that failed. A stepped clock is corrected sooner."""

TELL_AGAIN_S = 0.1
"""Pause between two such tries."""

WHILE_FULL_US = 50_000
"""Pause before a cap is asked again that has as many leases as it allows: any of them may end."""


VAIN_EVERY_US = 1_000
"""Least distance between questions about caps that gave nothing and told nothing of their next slot, because they are
full or do not exist. Thousands of them would otherwise keep the node and the store busy.
"""


class _CapPace(msgspec.Struct):
    """The times, from the answers of one cap, before which it is of no use to ask it.

    Attributes:
        due_us: when its next slot is due; questions for a slot that is due now are in vain before that.
        ahead_us: when its next slot may be reserved; questions for slots ahead are in vain before that.
        lock: held by the one question at a time.
        users: the number of those that ask or wait to ask.
    """

    due_us: int = 0
    ahead_us: int = 0
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    users: int = 0


class CapLedgers:
    """The ledgers of all caps, as one node asks them.

    Args:
        ownership: the name under which the node takes its turns.
        weigh: returns the node's share of a cap beside other nodes: its number of due queues.
        reign: returns Executor.reign.

    Attributes:
        on_settled: called with a cap after permits of it were given back.
        on_held: called with a cap before and after it is held.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: CapCalls,
        clocks: PartitionClocks,
        ownership: Ownership,
        counts: CapCounts,
        weigh: Callable[[str], int],
        reign: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._clocks = clocks
        self._ownership = ownership
        self._counts = counts
        self._weigh = weigh
        self._reign = reign
        self._paces: dict[str, _CapPace] = {}
        self._room = asyncio.Semaphore(ASKS_AT_ONCE)
        self._trouble: SharedTrouble[str] = SharedTrouble(
            log, "cap_ledger_failed", "cap=%s", ": its queues wait"
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, list[int]] = {}
        self._has_given_up = False
        self._vain_us: dict[int, int] = {}
        self.on_settled: Callable[[str], None] = lambda _: None
        self.on_held: Callable[[str], None] = lambda _: None

    @property
    def reign(self) -> int:
        """Executor.reign: a primary that was replaced may have given slots that its successor gives, too."""
        return self._reign()

    def next_us(self, name: str, *, is_ahead: bool) -> int:
        """Return the time before which it is of no use to ask a cap; 0 if nothing is known of it.

        Args:
            is_ahead: the question is for slots that are due later, too.
        """
        pace = self._paces.get(name)
        if pace is None:
            return 0
        return pace.ahead_us if is_ahead else pace.due_us

    def keep(self, names: Callable[[str], bool]) -> None:
        """Forget what is known of the caps that no queue of this node waits for."""
        self._paces = {name: pace for name, pace in self._paces.items() if pace.users or names(name)}
        self._trouble.keep(lambda name: name in self._paces or name in self._unsettled)

    async def take(
        self, name: str, want: int, terms: SlotTerms, *, within_us: int, after_us: int = 0
    ) -> Taken:
        """Reserve up to `want` slots of a cap; none if there is none, or if the ledger failed.

        Args:
            terms: what the slots are for.
            within_us, after_us: the most and the least time until the slots are due.
        """
        pace = self._paces.setdefault(name, _CapPace())
        pace.users += 1
        try:
            async with pace.lock, self._room:
                return await self._take(name, pace, want, terms, within_us, after_us)
        finally:
            pace.users -= 1

    async def _take(
        self, name: str, pace: _CapPace, want: int, terms: SlotTerms, within_us: int, after_us: int
    ) -> Taken:
        partition = self._home(name)
        self._counts.asks += 1
        call = self._calls.cap_take(
            partition,
            name,
            self._ownership.node_id,
            min(want, MAX_TAKE),
            weight=max(self._weigh(name), 1),
            units=terms.units,
            lease_us=terms.lease_us,
            within_us=within_us,
            after_us=after_us,
            not_after_us=self._clocks.not_after_us(partition),
        )
        reign = self.reign
        asked_us, asked_at = elapsed_us(), monotonic()
        try:
            reply, sent_at = await self._pipeline.submit(call, is_urgent=True)
            answer = value_of(reply)
        except SharqError as error:
            self._counts.failures += 1
            self._trouble.note(name, error.message)
            pace.due_us = pace.ahead_us = elapsed_us() + AFTER_FAILURE_US
            return Taken([], pace.due_us)
        came_us = elapsed_us()
        self._note_answer(name)
        self._counts.taken += len(answer.slots)
        pause_us = _pause_us(answer, is_ahead=within_us > 0)
        next_us = came_us + pause_us
        if not answer.slots and answer.ask_in_us is None:
            next_us = self._vain_us[pause_us] = max(next_us, self._vain_us.get(pause_us, 0) + VAIN_EVERY_US)
        if within_us == MOST_AHEAD_US:
            pace.ahead_us = next_us
        elif not within_us:
            pace.due_us = next_us
        # The call cannot have run before it was sent. If the machine slept in between, that seems earlier than it was.
        sent_us = asked_us + int((sent_at - asked_at) * 1e6)
        return Taken(grants_of(name, answer, terms, sent_us, came_us, reign), next_us)

    def give_back(self, grants: Iterable[CapGrant]) -> None:
        """Give slots back in the background. A ledger takes those that are not due yet; the others are lost."""
        slots: dict[tuple[str, int], list[CapSlot]] = {}
        with_permits: set[Permit] = set()
        for grant in grants:
            with_permits.update(grant.permits)
            for name, slot in grant.slots:
                slots.setdefault((name, grant.terms.units), []).append(slot)
        for (name, units), own in slots.items():
            for at in range(0, len(own), MAX_TAKE):
                some = own[at : at + MAX_TAKE]
                permits = [(name, slot.serial) for slot in some if (name, slot.serial) in with_permits]
                self._start(self._return(name, units, some, permits))

    def settle(self, permits: Sequence[Permit]) -> None:
        """Give permits back in the background whose leases have ended, or never began.

        If a ledger is away, it is tried again later. Permits that are never given back end by themselves.
        """
        for name, serial in permits:
            serials = self._unsettled.get(name)
            if serials is not None:
                serials.append(serial)
            elif len(self._unsettled) < MOST_UNSETTLED:
                self._unsettled[name] = [serial]
                self._start(self._settle_cap(name))

    async def renew(self, name: str, serials: Sequence[int], lease_us: int) -> list[bool]:
        """Let permits outlast an extend of their leases by lease_us; return for each one if it does.

        Raises:
            SharqError: the ledger failed. Permits that were renewed all the same only last longer.
        """
        partition = self._home(name)
        not_after_us = self._clocks.not_after_us(partition)
        call = self._calls.cap_renew(partition, name, serials, lease_us, not_after_us=not_after_us)
        return await self._pipeline.value(call)

    async def _settle_cap(self, name: str) -> None:
        """Give the permits of one cap back until none is left. A ledger that is away holds up no other cap."""
        serials = self._unsettled[name]
        try:
            while serials and not self._has_given_up:
                some, serials[:] = serials[:MAX_TAKE], serials[MAX_TAKE:]
                if not await self._settle(name, some):
                    serials.extend(some)
                    await asyncio.sleep(ASK_AGAIN_US / 1e6)
        finally:
            del self._unsettled[name]

    async def _settle(self, name: str, serials: list[int]) -> bool:
        """Give permits of a cap back, so that it may have more leases; return False if the ledger failed."""
        partition = self._home(name)
        not_after_us = self._clocks.not_after_us(partition)
        call = self._calls.cap_settle(partition, name, serials, not_after_us=not_after_us)
        try:
            await self._pipeline.value(call)
        except SharqError as error:
            self._trouble.note(name, error.message)
            return False
        self._note_answer(name)
        pace = self._paces.get(name)
        if pace is not None:
            pace.due_us = pace.ahead_us = 0
        self.on_settled(name)
        return True

    async def hold(self, hold: CapHold) -> None:
        """Hold a cap: no slot of it is due for a time. If that fails for long, it is logged, and the cap goes on.

        This node uses none of the slots that it has. Those of other nodes are used up, which takes a horizon at most.
        """
        partition = self._home(hold.name)

        def call() -> FunctionCall[bool]:
            not_after_us = self._clocks.not_after_us(partition)
            return self._calls.cap_hold(partition, hold.name, hold.hold_us, not_after_us=not_after_us)

        self.on_held(hold.name)
        await self._tell(hold.name, call, may_be_repeated=True)
        self.on_held(hold.name)

    async def correct(self, name: str, difference: int) -> None:
        """Charge later slots of a cap for jobs that cost more than their slots. A lasting failure is logged."""
        partition = self._home(name)

        def call() -> FunctionCall[bool]:
            not_after_us = self._clocks.not_after_us(partition)
            return self._calls.cap_correct(partition, name, difference, not_after_us=not_after_us)

        await self._tell(name, call, may_be_repeated=False)

    async def drained(self) -> None:
        """Wait until no call in the background is under way."""
        while self._tasks:
            _, under_way = await asyncio.wait(self._tasks, timeout=1.0)
            # A ledger that is away is not waited for; permits end by themselves.
            self._has_given_up = bool(under_way and self._unsettled)
        self._has_given_up = False

    async def _return(self, name: str, units: int, slots: list[CapSlot], permits: Sequence[Permit]) -> None:
        """Give slots of a cap back; if that fails, their permits are given back later."""
        partition = self._home(name)
        not_after_us = self._clocks.not_after_us(partition)
        call = self._calls.cap_return(partition, name, slots, units=units, not_after_us=not_after_us)
        returned = 0
        try:
            returned = await self._pipeline.value(call)
        except SharqError as error:
            self._trouble.note(name, error.message)
            self.settle(permits)
        self._counts.returned += returned
        self._counts.lost += len(slots) - returned

    async def _tell(
        self, name: str, call: Callable[[], FunctionCall[bool]], *, may_be_repeated: bool
    ) -> None:
        """Run a call to a ledger whose answer does not matter; if it fails, repeat it for up to TELL_FOR_S.

        Args:
            call: makes it anew, with a deadline by what is known of the partition's time by then.
            may_be_repeated: a call that was perhaps done may be sent again.
        """
        until = monotonic() + TELL_FOR_S
        while True:
            try:
                await self._pipeline.value(call())
            except SharqError as error:
                if monotonic() < until and (may_be_repeated or not error.perhaps_done):
                    await asyncio.sleep(TELL_AGAIN_S)
                    continue
                self._trouble.note(name, error.message)
            return

    def _note_answer(self, name: str) -> None:
        if (lasted_s := self._trouble.end(name)) is not None:
            log.info("cap_ledger_back cap=%s after_s=%.1f", name, lasted_s)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _home(self, name: str) -> int:
        """Return the partition of a cap's ledger."""
        return self._calls.home(name)


def _pause_us(answer: CapReply, *, is_ahead: bool) -> int:
    """Return the time after which it is of use to ask again.

    A node that is not given all that it wants, and asks for slots ahead, waits for half a horizon. Otherwise it would
    ask for each slot alone; after a whole horizon it would come too late for some.
    """
    if answer.status is CapTakeStatus.UNKNOWN:
        return ASK_AGAIN_US
    if answer.ask_in_us is None:
        return WHILE_FULL_US
    least_us = 0 if answer.slots else AFTER_NOTHING_US
    if is_ahead and answer.blocked_by is not None:
        least_us = answer.horizon_us // 2
    return min(max(answer.ask_in_us, least_us), ASK_AGAIN_US)
