"""Makes the calls that keep the results of finished jobs and drop old ones (lua/results.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from sharq_core.models import LeaseOutcome, LeaseStatus
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.caps.corrections import decode_corrected
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import Reply, decode_nothing, decode_statuses, hint_of
from sharq_core.store.commands import Word

TRIMMED_AT_ONCE = 500
"""The maximum number of results that one call drops because they are too old, which bounds its time."""

_NOT_KEPT = 3
"""finish_with_results.lua's NOT_KEPT."""


class ResultCalls:
    """The maker of one deployment's calls about results.

    Args:
        finished_us: how long a result is kept.
        result_bytes: the maximum of all results together.

    Attributes:
        finished_us: how long a result is kept.
        share_bytes: the maximum of the results of one partition.
    """

    def __init__(self, keys: Keys, finished_us: int, result_bytes: int) -> None:
        self._keys = keys
        self.finished_us = finished_us
        self.share_bytes = result_bytes // keys.partitions

    def finish(
        self, plain: FunctionCall[list[LeaseOutcome]], results: Sequence[bytes], *, has_reports: bool
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Return the call that finishes jobs and keeps their results. If the store is full, it finishes them without.

        Args:
            plain: the finish without results.
            results: the result of each job as JSON text; empty for none.
            has_reports: True if `plain` has a report for each job.
        """
        now, _, terms, *job_words = plain.command.arguments
        reports: Sequence[Word] = () if has_reports else [b""] * len(results)
        has_result = list(map(bool, results))
        call = make_call(
            self._keys,
            library.FINISH_WITH_RESULTS,
            plain.partition,
            plain.queue_type,
            now if isinstance(now, int) else None,
            [terms, self.share_bytes, *job_words, *reports, *results],
            partial(decode_corrected, partial(_decode_finish, has_result)),
            plain.jobs,
            sum(map(len, results)),
        )
        without = partial(decode_corrected, partial(_decode_without, has_result))
        return msgspec.structs.replace(call, fallback=msgspec.structs.replace(plain, decode=without))

    def trim(
        self,
        partition: int,
        *,
        limit: int = TRIMMED_AT_ONCE,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[None]:
        """Drop up to `limit` results whose jobs are not remembered any more, or that exceed the partition's share."""
        arguments: list[Word] = [self.finished_us, self.share_bytes, limit, not_after_us or 0]
        return make_call(
            self._keys, library.TRIM_RESULTS, partition, "", now_us, arguments, decode_nothing, limit // 20
        )


def _decode_finish(has_result: Sequence[bool], raw: list[Any]) -> Reply[list[LeaseOutcome]]:
    """Decode the reply of finish_with_results.

    Args:
        has_result: for each job, True if it has a result.
    """
    outcomes = []
    for status, is_given in zip(raw[4:], has_result, strict=True):
        if status == _NOT_KEPT:
            outcomes.append(LeaseOutcome(LeaseStatus.DONE, result_kept=False))
        else:
            is_kept = True if is_given and status == LeaseStatus.DONE else None
            outcomes.append(LeaseOutcome(LeaseStatus(status), result_kept=is_kept))
    return Reply(hint_of(raw), outcomes)


def _decode_without(has_result: Sequence[bool], raw: list[Any]) -> Reply[list[LeaseOutcome]]:
    """Decode the reply of a finish that was made without the results of its jobs."""
    reply = decode_statuses(raw)
    outcomes = [
        msgspec.structs.replace(outcome, result_kept=False)
        if is_given and outcome.status is LeaseStatus.DONE
        else outcome
        for outcome, is_given in zip(reply.value or (), has_result, strict=True)
    ]
    return msgspec.structs.replace(reply, value=outcomes)
