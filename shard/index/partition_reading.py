"""Defines the progress of reading the types of one partition (shard/index/surveyor.py)."""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic

import msgspec

from sharq_core.scheduler.campaigns.result_calls import ResultCalls


class PartitionReading(msgspec.Struct):
    """The progress of reading a partition's types.

    Attributes:
        fields: the approximate number of types; -1 before the first look.
        touches: the number of the last note of another node that was read.
        scan: the cursor of the round; 0 at its beginning.
        begun_at: the time (time.monotonic) at which the round's first page was requested.
        server: the identity of the server and connections that the cursor belongs to.
        is_sound: True if all pages of the round came from one server, so that types that it did not meet are gone.
        met: the types that the round has met.
        is_whole: True if a sound round has ended.
        is_doubted: True if another node changed more types than its notes name.
        look_at: the time (time.monotonic) at which a failed partition may be asked again.
        tombstones, forgotten_early, turn_us, now_us, result_bytes, results_dropped, oldest_result_us: the last values
            from the store (SurveyReply).
        clock: the number of the partition's clock; None before the first look.
    """

    fields: int = -1
    touches: int = -1
    scan: int = 0
    begun_at: float = 0.0
    server: Hashable = None
    is_sound: bool = True
    met: set[str] = msgspec.field(default_factory=set)
    is_whole: bool = False
    is_doubted: bool = False
    look_at: float = 0.0
    tombstones: int = 0
    forgotten_early: int = 0
    turn_us: int | None = None
    now_us: int = 0
    result_bytes: int = 0
    results_dropped: int = 0
    oldest_result_us: int | None = None
    clock: int | None = None

    @property
    def must_turn(self) -> bool:
        """Return True if the older generation of tombstones is due to be dropped."""
        return self.turn_us is not None and self.turn_us <= self.now_us

    def must_trim(self, results: ResultCalls) -> bool:
        """Return True if results are too old or take too much memory."""
        oldest_us = self.oldest_result_us
        is_old = oldest_us is not None and self.now_us - oldest_us >= results.finished_us
        return is_old or self.result_bytes > results.share_bytes

    @property
    def is_behind(self) -> bool:
        """Return True if the partition must be read on without a pause."""
        return (not self.is_whole or self.is_doubted) and self.look_at <= monotonic()
