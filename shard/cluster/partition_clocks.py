"""What this node knows of the time in its partitions, and how it mends that time when the store's clock steps.

A partition's time (lua/clock.lua) is the store's clock and a shift. Nobody can set the clock that this machine counts
by, so a reading that does not fit the earlier ones shows that the store's clock stepped, or that the partition is at
another server now whose clock differs. The node then sets the shift so that the partition's time goes on as if nothing
had happened.
docs/decisions/store-clock.md has the argument.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.replies import ClockShift
from sharq_core.store.clock_steps import ClockSteps

log = logging.getLogger(__name__)

TOLERANCE_US = 500_000
"""Smaller steps are taken for passed time."""

DRIFT = 0.01
"""Most difference in speed between two clocks that run."""

MARK_AFTER_US = 10_000_000
"""A partition that no call has written for so long is marked as seen: should a call come just after a step back, before
the node has mended it, what waits there waits so much longer at the most.
"""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

SetClock = Callable[[int, int, int, int], Awaitable[ClockShift]]
"""Given a partition, number and `seen` (µs) of its clock record and a shift (µs): what holds then (set_clock.lua)."""


def elapsed_us() -> int:
    """This machine's time since some moment, which nobody can set; a suspended machine's goes on where it can."""
    return time.clock_gettime_ns(_CLOCK) // 1000


class _Time(msgspec.Struct, frozen=True):
    """A partition's time as it was read.

    Attributes:
        earliest_us, latest_us: bounds of the difference between the partition's time and elapsed_us.
        clock: number and shift as they were then.
        seen_us: the partition's time at its latest call.
        at_us: elapsed_us of the reading.
    """

    earliest_us: int
    latest_us: int
    clock: ClockShift
    seen_us: int
    at_us: int

    def off_us(self, known: _Time, *, is_raw: bool = False) -> int:
        """How far this reading is ahead of (behind: negative) an earlier one, beyond what delays and drift explain.

        Args:
            is_raw: compare the store's clock, without the shift.
        """
        allowance = int(DRIFT * (self.at_us - known.at_us))
        mine, others = (self.clock.shift_us, known.clock.shift_us) if is_raw else (0, 0)
        ahead = (self.earliest_us - mine) - (known.latest_us - others) - allowance
        behind = (known.earliest_us - others) - (self.latest_us - mine) - allowance
        return ahead if ahead > 0 else -max(behind, 0)

    def joined(self, known: _Time) -> _Time:
        """What both readings say together. Of a small step ahead it is the part that drift explains, so that many of
        them add up to one that is mended; a small step back is taken as it is, or mending the next one would let the
        time gain.
        """
        if self.clock.number != known.clock.number or self.off_us(known) < 0:
            return self
        allowance = int(DRIFT * (self.at_us - known.at_us))
        low, high = known.earliest_us - allowance, known.latest_us + allowance
        return _Time(
            min(max(low, self.earliest_us), high),
            min(high, self.latest_us),
            self.clock,
            self.seen_us,
            self.at_us,
        )

    def moved(self, clock: ClockShift) -> _Time:
        """The same reading with another shift."""
        by_us = clock.shift_us - self.clock.shift_us
        return _Time(self.earliest_us + by_us, self.latest_us + by_us, clock, self.seen_us, self.at_us)


class PartitionClocks:
    """The times of the partitions that this node answers for; those that it owns it mends.

    Args:
        set_clock: changes a partition's shift in the store.
        steps: told each step that is noticed.
    """

    def __init__(self, executor: Executor, set_clock: SetClock, steps: ClockSteps) -> None:
        self._executor = executor
        self._set_clock = set_clock
        self._steps = steps
        self._known: dict[int, _Time] = {}

    def not_after_us(self, partition: int, since: float | None = None) -> int | None:
        """The time (µs) by the clock of the partition's server at which a call times out whose work came in at `since`
        (the loop's seconds; None: now). None while that clock is unknown.

        It goes by the partition's time as it was before a step that is not mended yet, so that the store refuses the
        call until then.
        """
        known = self._known.get(partition)
        if known is None:
            return self._executor.not_after_us(partition, since)
        return known.earliest_us - known.clock.shift_us + elapsed_us() + self._executor.left_us(since)

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node answers for no longer."""
        self._known = {partition: known for partition, known in self._known.items() if covers(partition)}

    def others(self, owns: Callable[[int], bool]) -> list[int]:
        """The partitions that this node answers for and does not own."""
        return [partition for partition in self._known if not owns(partition)]

    async def see(
        self,
        partition: int,
        now_us: int,
        clock: ClockShift,
        asked_us: int,
        *,
        is_used: bool = True,
        is_owned: bool = True,
    ) -> None:
        """Take note of a reading that arrived now, and mend the partition's time if need be and it is owned.

        Args:
            now_us: the store's clock in it.
            asked_us: elapsed_us when it was asked for.
            is_used: there are jobs or finished jobs that it matters to.

        Raises:
            SharqError: its time could not be set; it is tried again with the next reading.
        """
        heard_us = elapsed_us()
        own_us = now_us + clock.shift_us
        seen_us = own_us - max(clock.unseen_us, 0)
        found = _Time(own_us - heard_us, own_us - asked_us, clock, seen_us, heard_us)
        known = self._known.get(partition)
        if known is not None:
            self._report(partition, found.off_us(known, is_raw=True))
            off_us = found.off_us(known)
            is_off = abs(off_us) > TOLERANCE_US
            if is_off and clock.unseen_us >= 0 and clock.number == known.clock.number:
                if not is_owned:
                    return
                found = await self._mend(partition, found, known)
            elif not is_off:
                found = found.joined(known)
        self._known[partition] = found
        if is_owned and is_used and clock.unseen_us > MARK_AFTER_US:
            await self._set_clock(partition, found.clock.number, seen_us, found.clock.shift_us)

    async def _mend(self, partition: int, found: _Time, known: _Time) -> _Time:
        """Set the shift so that the partition's time is never ahead of what it would be without the step."""
        shift_us = found.clock.shift_us + known.earliest_us - found.latest_us
        held = await self._set_clock(partition, found.clock.number, known.seen_us, shift_us)
        log.debug("partition_time_mended partition=%d shift_us=%d", partition, held.shift_us)
        return found.moved(held)

    def _report(self, partition: int, by_us: int) -> None:
        node = self._executor.node_of(partition)
        if abs(by_us) > TOLERANCE_US and node is not None:
            self._steps.note(node.name, by_us)
