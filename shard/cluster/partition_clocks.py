"""Tracks the time of this node's partitions, and corrects it after a step of the store's clock.

A partition's time (lua/clock.lua) is the store's clock plus a shift. The monotonic clock of this machine cannot be set,
so a reading that does not fit the earlier ones shows that the store's clock stepped, or that the partition has moved to
a server whose clock differs. The node then sets the shift so that the partition's time continues without a step.
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
"""Smaller steps count as elapsed time."""

DRIFT = 0.01
"""Largest assumed difference in speed between two running clocks, as a fraction."""

MARK_AFTER_US = 10_000_000
"""A partition that no call has written for this long is marked as seen. If a call arrives after a step back, before the
node has mended it, this bounds the additional wait of the jobs there.
"""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

SetClock = Callable[[int, int, int, int], Awaitable[ClockShift]]
"""Called with a partition, the number and `seen` (µs) of its clock record, and a shift (µs); returns the new one."""


def elapsed_us() -> int:
    """Return this machine's monotonic time in µs; it includes the time of a suspend if the system supports that."""
    return time.clock_gettime_ns(_CLOCK) // 1000


class _Time(msgspec.Struct, frozen=True):
    """One reading of a partition's time.

    Attributes:
        earliest_us, latest_us: the bounds of the difference between the partition's time and elapsed_us.
        clock: the number and shift of the clock record in the reading.
        seen_us: the partition's time at its latest call.
        at_us: elapsed_us of the reading.
    """

    earliest_us: int
    latest_us: int
    clock: ClockShift
    seen_us: int
    at_us: int

    def off_us(self, earlier: _Time, *, is_raw: bool = False) -> int:
        """Return the time in µs by which this reading is ahead of an earlier one, beyond delays and drift.

        The result is negative if this reading is behind, and 0 if delays and drift explain the difference.

        Args:
            is_raw: compare the store's clock, without the shift.
        """
        allowance = int(DRIFT * (self.at_us - earlier.at_us))
        mine, others = (self.clock.shift_us, earlier.clock.shift_us) if is_raw else (0, 0)
        ahead = (self.earliest_us - mine) - (earlier.latest_us - others) - allowance
        behind = (earlier.earliest_us - others) - (self.latest_us - mine) - allowance
        return ahead if ahead > 0 else -max(behind, 0)

    def joined(self, earlier: _Time) -> _Time:
        """Return the combination of both readings.

        Of a small step ahead, only the part that drift explains counts, so that many small steps add up to one that is
        mended. A small step back counts in full; otherwise mending the next one would make the time gain.
        """
        if self.clock.number != earlier.clock.number or self.off_us(earlier) < 0:
            return self
        allowance = int(DRIFT * (self.at_us - earlier.at_us))
        low, high = earlier.earliest_us - allowance, earlier.latest_us + allowance
        return _Time(
            min(max(low, self.earliest_us), high),
            min(high, self.latest_us),
            self.clock,
            self.seen_us,
            self.at_us,
        )

    def moved(self, clock: ClockShift) -> _Time:
        """Return the same reading with another shift."""
        by_us = clock.shift_us - self.clock.shift_us
        return _Time(self.earliest_us + by_us, self.latest_us + by_us, clock, self.seen_us, self.at_us)


class PartitionClocks:
    """The times of the partitions that this node serves; it mends those of the partitions that it owns.

    Args:
        set_clock: changes a partition's shift in the store.
        steps: records each detected step.
    """

    def __init__(self, executor: Executor, set_clock: SetClock, steps: ClockSteps) -> None:
        self._executor = executor
        self._set_clock = set_clock
        self._steps = steps
        self._known: dict[int, _Time] = {}

    def not_after_us(self, partition: int, since: float | None = None) -> int | None:
        """Return the time, in µs of the partition's server, at which a call times out; None if its clock is unknown.

        The result follows the partition's time before a step that is not mended yet, so that the store refuses the call
        until then.

        Args:
            since: the loop's time, in seconds, at which the call's work arrived; None for now.
        """
        reading = self._known.get(partition)
        if reading is None:
            return self._executor.not_after_us(partition, since)
        return (
            reading.earliest_us - reading.clock.shift_us + elapsed_us() + self._executor.remaining_us(since)
        )

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node no longer serves."""
        self._known = {partition: known for partition, known in self._known.items() if covers(partition)}

    def others(self, owns: Callable[[int], bool]) -> list[int]:
        """Return the partitions that this node serves and does not own."""
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
        """Record a reading that arrived now, and mend the time of an owned partition if it is off.

        Args:
            now_us: the store's clock in the reading.
            asked_us: elapsed_us when the reading was requested.
            is_used: True if the partition has jobs or remembered finished jobs, for which the time matters.
            is_owned: True if this node owns the partition.

        Raises:
            SharqError: the time could not be set; the next reading tries again.
        """
        heard_us = elapsed_us()
        own_us = now_us + clock.shift_us
        seen_us = own_us - max(clock.unseen_us, 0)
        reading = _Time(own_us - heard_us, own_us - asked_us, clock, seen_us, heard_us)
        earlier = self._known.get(partition)
        if earlier is not None:
            self._report(partition, reading.off_us(earlier, is_raw=True))
            off_us = reading.off_us(earlier)
            is_off = abs(off_us) > TOLERANCE_US
            # Another number means that another node has mended the step already, so its shift stands.
            if is_off and clock.unseen_us >= 0 and clock.number == earlier.clock.number:
                if not is_owned:
                    return
                reading = await self._mend(partition, reading, earlier)
            elif not is_off:
                reading = reading.joined(earlier)
        self._known[partition] = reading
        if is_owned and is_used and clock.unseen_us > MARK_AFTER_US:
            await self._set_clock(partition, reading.clock.number, seen_us, reading.clock.shift_us)

    async def _mend(self, partition: int, reading: _Time, earlier: _Time) -> _Time:
        """Set the shift so that the partition's time is never ahead of its time without the step."""
        shift_us = reading.clock.shift_us + earlier.earliest_us - reading.latest_us
        held = await self._set_clock(partition, reading.clock.number, earlier.seen_us, shift_us)
        log.debug("partition_time_mended partition=%d shift_us=%d", partition, held.shift_us)
        return reading.moved(held)

    def _report(self, partition: int, by_us: int) -> None:
        node = self._executor.node_of(partition)
        if abs(by_us) > TOLERANCE_US and node is not None:
            self._steps.note(node.name, by_us)
