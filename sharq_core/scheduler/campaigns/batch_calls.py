"""Makes the calls about batches, and decodes their replies (lua/batches.lua).

All methods take `now_us` (None for the store's clock), for tests. Some take `not_after_us`: after that time by the
store's clock nothing is done and the reply is expired.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sharq_core.campaigns.batches import BatchCounts, BatchState, BatchStep
from sharq_core.errors import InvalidRequest
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.job_calls import MAX_PAGE_BYTES, STEP_US
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import decode_number, decoder
from sharq_core.store.commands import Word

MAX_CANCELLED = 25
"""The maximum number of jobs that one step of a cancellation cancels. It takes about 0.5 ms, during which all other
calls wait.
"""

MAX_LOOKS = 125
"""The maximum number of jobs that one step of a cancellation reads. It takes about 0.5 ms."""

_CURSOR = re.compile(r"([0-9]{1,20})\.([0-9]{1,3})\.([0-9]{1,16})\.([0-9]{1,16})\.(.*)", re.DOTALL)
"""A cursor of HSCAN, a class, a seq, the number of jobs cancelled in this pass, and a queue id or nothing."""


class BatchCalls:
    """The maker of one deployment's calls about batches."""

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self._keys = keys
        self._retention = retention

    def get_batch(
        self, partition: int, queue_type: str, batch: str, *, now_us: int | None = None
    ) -> FunctionCall[BatchCounts | None]:
        """Read the numbers of a batch in a partition. Value: None if the partition does not know it."""
        return make_call(
            self._keys, library.GET_BATCH, partition, queue_type, now_us, [batch], _decode_counts
        )

    def cancel_batch(
        self,
        partition: int,
        queue_type: str,
        batch: str,
        scan: str,
        *,
        most_us: int = STEP_US,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[BatchStep]:
        """Cancel a batch in a partition, one step of a walk.

        The first step marks the batch, even if the partition did not know it, and cancels no job. Each further step
        cancels up to MAX_CANCELLED waiting jobs; it may cancel fewer, or none, although more follow.

        Args:
            scan: the cursor of the step before; empty for the first one.
            most_us: the CPU time (µs) after which the step ends; it looks at some jobs in any case.
        """
        keep = self._retention
        terms = packed.TERMS.pack(not_after_us or 0, keep.finished_us, keep.dead_us)
        arguments: list[Word] = [terms, batch, MAX_CANCELLED, MAX_LOOKS, MAX_PAGE_BYTES]
        if scan:
            arguments += (*_split(scan), most_us)
        return make_call(
            self._keys,
            library.CANCEL_BATCH,
            partition,
            queue_type,
            now_us,
            arguments,
            _decode_step,
            MAX_CANCELLED,
        )

    def ask_batches(
        self, partition: int, queue_type: str, batches: Sequence[str], *, now_us: int | None = None
    ) -> FunctionCall[list[BatchState]]:
        """Ask whether batches, up to MAX_BATCH, go on in a partition. Value: one answer for each."""
        return make_call(
            self._keys,
            library.ASK_BATCHES,
            partition,
            queue_type,
            now_us,
            list(batches),
            _decode_states,
            _weight(batches),
        )

    def drop_batches(
        self,
        partition: int,
        queue_type: str,
        batches: Sequence[str],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Forget batches, up to MAX_BATCH, in a partition. Value: the number of those that were over there."""
        arguments: list[Word] = [not_after_us or 0, *batches]
        return make_call(
            self._keys,
            library.DROP_BATCHES,
            partition,
            queue_type,
            now_us,
            arguments,
            decode_number,
            _weight(batches),
        )


def _weight(batches: Sequence[str]) -> int:
    """Return the number of jobs that cost the store as much."""
    return 1 + len(batches) // 4


def _split(scan: str) -> tuple[str, ...]:
    """Return the parts of a cursor.

    Raises:
        InvalidRequest: it is none that a reply gave out.
    """
    match = _CURSOR.fullmatch(scan)
    if match is None:
        raise InvalidRequest("cursor: not a cursor that this server gave out")
    return match.groups()


@decoder
def _decode_counts(raw: list[Any]) -> BatchCounts | None:
    if len(raw) == 4:
        return None
    is_cancelled, is_over, queued, delayed, leased, finished, dead, cancelled = raw[4:]
    return BatchCounts(queued, delayed, leased, finished, dead, cancelled, bool(is_cancelled), bool(is_over))


@decoder
def _decode_step(raw: list[Any]) -> BatchStep:
    parts = (part.decode() if isinstance(part, bytes) else str(part) for part in raw[5:])
    return BatchStep(raw[4], ".".join(parts))


@decoder
def _decode_states(raw: list[Any]) -> list[BatchState]:
    return [BatchState(state) for state in raw[4:]]
