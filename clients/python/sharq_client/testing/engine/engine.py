"""Keeps all types of one fake server, and its clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from sharq_client.testing.engine.records import Job
from sharq_client.testing.engine.state import TypeState

OnLeaseEnd = Callable[[str, Job, str], None]
"""A callback for the end of a lease: the queue type, the job, and its outcome."""


class Engine:
    """All types, at one clock that only moves forward.

    Attributes:
        now_us: the time.
        chance: makes the random part of lease tokens, from which the jitter of retries comes, too.
        types: the types that a call has named.
    """

    def __init__(self, now_us: int, chance: random.Random, on_lease_end: OnLeaseEnd) -> None:
        self.now_us = now_us
        self.chance = chance
        self.types: dict[str, TypeState] = {}
        self._on_lease_end = on_lease_end
        self._is_paused = False

    def move_to(self, now_us: int) -> None:
        """Move the clock forward; whatever happens by itself until then happens at its time."""
        self.now_us = max(now_us, self.now_us)
        for state in self.types.values():
            state.catch_up(self.now_us)

    def state(self, queue_type: str) -> TypeState:
        """Return the state of a type at the present time."""
        state = self.types.get(queue_type)
        if state is None:

            def on_lease_end(job: Job, outcome: str) -> None:
                self._on_lease_end(queue_type, job, outcome)

            state = self.types[queue_type] = TypeState(queue_type, self.now_us, on_lease_end)
            state.rules.is_all_paused = self._is_paused
        state.catch_up(self.now_us)
        return state

    def settle(self) -> None:
        """End a request: what it changed takes its place. Until then, the jobs of a bulk request count as one call."""
        for state in self.types.values():
            state.settle()

    def pause_all(self, *, is_paused: bool) -> None:
        """Pause all types, those that come later, too, or end that."""
        self._is_paused = is_paused
        for state in self.types.values():
            state.rules.is_all_paused = is_paused

    def next_look_us(self, queue_types: Iterable[str]) -> int | None:
        """Return when a job of some types may be ready next, or end by itself; None if nothing is ahead."""
        times_us = [
            time_us for name in queue_types if (time_us := self.state(name).next_look_us()) is not None
        ]
        return max(min(times_us), self.now_us + 1) if times_us else None

    def next_work_us(self, queue_types: Iterable[str]) -> int | None:
        """Return when a worker may next get a job of some types, if nobody does anything; None if never."""
        times_us = [
            time_us for name in queue_types if (time_us := self.state(name).next_work_us()) is not None
        ]
        return min(times_us, default=None)
