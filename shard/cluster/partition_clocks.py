"""Tracks the time of this node's partitions, and corrects it after a step of the store's clock.

A partition's time (lua/clock.lua) is the store's clock plus a shift. The monotonic clock of this machine cannot be set,
so a reading that does not fit the earlier ones shows that the store's clock stepped, or that the partition has moved to
a server whose clock differs. The node then sets the shift so that the partition's time continues without a step.
docs/decisions/store-clock.md has the argument.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from sharq_core.clock import elapsed_us
from sharq_core.scheduler.arguments import own_deadline
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import ClockShift, Reply
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

PATIENCE_US = 30_000_000
"""The time for which a node holds on to its own view of a partition that another node owns. The owner mends a step in
about a second, so a node that disagrees for longer was suspended, or the step was kept (docs/decisions/store-clock.md).
"""

RunCall = Callable[[FunctionCall[ClockShift]], Awaitable[tuple[Reply[ClockShift], float]]]
"""Runs a call in the store, as Pipeline.run does."""


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

    @classmethod
    def told(cls, now_us: int, clock: ClockShift, asked_us: int) -> _Time:
        """Return the reading in an answer that arrived now.

        Args:
            now_us: the store's clock in the answer.
            asked_us: elapsed_us when the answer was requested.
        """
        heard_us, own_us = elapsed_us(), now_us + clock.shift_us
        return cls(own_us - heard_us, own_us - asked_us, clock, own_us - max(clock.unseen_us, 0), heard_us)

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

    def has_gained(self, earlier: _Time) -> bool:
        """Return True if the clock has stepped ahead since the call that gave the record another number.

        That call came after the earlier reading, so the time since it is at most the time between the readings.
        """
        if self.clock.number == earlier.clock.number:
            return False
        return self.clock.unseen_us > self.at_us - earlier.at_us + TOLERANCE_US

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


class PartitionClocks:
    """The times of the partitions that this node serves; it mends those of the partitions that it owns.

    Args:
        executor: gets the time of each partition, from which it sets the deadlines of calls.
        functions, run: make and run the calls that change a partition's shift.
        steps: records each detected step.

    Attributes:
        not_after_us: returns the time at which a call times out (Executor.not_after_us).
    """

    def __init__(self, executor: Executor, functions: Functions, run: RunCall, steps: ClockSteps) -> None:
        self._executor = executor
        self.not_after_us = executor.not_after_us
        self._functions = functions
        self._run = run
        self._steps = steps
        self._known: dict[int, _Time] = {}

    def deadline(self, partition: int, until_us: int) -> tuple[int, int] | None:
        """Return the time (µs), as calls name it, after which a call must not run because of until_us (elapsed_us).

        The partition's time does not reach the returned one after until_us, if its clock runs evenly. It may not: so
        the second value is the number of its shifts in the reading, with which the store compares its own.

        Returns:
            None if the partition was not read yet.
        """
        reading, server_us = self._known.get(partition), self._executor.careful_us(partition)
        if reading is None or server_us is None:
            return None
        # The latest answers of the server tell its clock better than the reading, which may have been on its way for
        # long. The shift is that of the reading as long as it has the same number.
        own_us = server_us + reading.clock.shift_us
        return own_deadline(own_us, until_us - elapsed_us()), reading.clock.number

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node no longer serves."""
        for partition in [partition for partition in self._known if not covers(partition)]:
            del self._known[partition], self._executor.offsets_us[partition]

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
        reading = _Time.told(now_us, clock, asked_us)
        earlier = self._known.get(partition)
        if earlier is not None:
            self._report(partition, reading.off_us(earlier, is_raw=True))
            off_us = reading.off_us(earlier)
            # A time that is behind with another number was mended by a call or by another node, so its shift stands.
            # A time that is ahead never stands: calls raise the shift after a step back, and the clock may then step
            # ahead again.
            is_ahead = off_us > TOLERANCE_US or reading.has_gained(earlier)
            is_mended = clock.number != earlier.clock.number and not is_ahead
            if abs(off_us) <= TOLERANCE_US and not is_ahead:
                reading = reading.joined(earlier)
            elif clock.unseen_us >= 0 and not is_mended:
                if is_owned:
                    reading = await self._mend(partition, now_us, reading, earlier)
                elif reading.at_us - earlier.at_us < PATIENCE_US:
                    return
        self._known[partition] = reading
        self._executor.offsets_us[partition] = reading.earliest_us
        if is_owned and is_used and clock.unseen_us > MARK_AFTER_US:
            await self._set(partition, now_us, reading.clock.number, reading.seen_us, reading.clock.shift_us)

    async def _mend(self, partition: int, now_us: int, reading: _Time, earlier: _Time) -> _Time:
        """Set the shift so that the partition's time is never ahead of its time without the step.

        Returns:
            The reading in the answer, or `earlier` if the next reading must try again.
        """
        by_us = earlier.earliest_us - reading.latest_us
        if reading.clock.number != earlier.clock.number:
            # A call has raised the shift since, at a time that lacked up to as long as no call had come. The partition
            # goes on from its latest call, because to give it the lacking time would end the lease of that call early.
            by_us = min(by_us, -max(reading.clock.unseen_us, 0))
        shift_us = reading.clock.shift_us + by_us
        asked_us = elapsed_us()
        told_us, held = await self._set(partition, now_us, reading.clock.number, earlier.seen_us, shift_us)
        mended = _Time.told(told_us, held, asked_us)
        if held.is_set:
            log.debug("partition_time_mended partition=%d shift_us=%d", partition, held.shift_us)
            return mended
        has_stepped = not now_us <= told_us <= self._latest_us(now_us)
        return earlier if has_stepped or mended.off_us(earlier) > TOLERANCE_US else mended

    async def _set(
        self, partition: int, read_us: int, number: int, seen_us: int, shift_us: int
    ) -> tuple[int, ClockShift]:
        """Set a shift that was computed from a reading; returns the store's clock, and what the record says now.

        Args:
            read_us: the store's clock in the reading. Nothing is set if it stepped since.
        """
        latest_us = self._latest_us(read_us)
        call = self._functions.set_clock(
            partition, number, seen_us, shift_us, read_us=read_us, not_after_us=latest_us
        )
        reply, _ = await self._run(call)
        return reply.hint.now_us, value_of(reply)

    def _latest_us(self, read_us: int) -> int:
        """Return the latest time by the store's clock at which a call after a reading can run if no step intervened."""
        return read_us + self._executor.remaining_us()

    def _report(self, partition: int, by_us: int) -> None:
        node = self._executor.node_of(partition)
        if abs(by_us) > TOLERANCE_US and node is not None:
            self._steps.note(node.name, by_us)
