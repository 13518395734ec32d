"""The counts of what must never happen in the life of a job: an expired or cancelled job is leased (I15), a retry comes
too early or once too often (I7), a changed job shows its old payload, or a job ends in a way that nothing explains.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

from tests.support.load.history import (
    Cancellation,
    Edit,
    End,
    Enqueue,
    Fate,
    History,
    Job,
    Lease,
    Outcome,
)
from tests.support.load.order_verdict import may_be_leased_unheard
from tests.support.load.promise import ROUNDING_MS

NEVER = float("inf")

T = TypeVar("T", End, Enqueue)

Span: TypeAlias = tuple[float, float]
"""The earliest and the latest time, ms, at which a job may expire."""


def expired_leased(history: History) -> list[Lease]:
    """Leases that began at or after the expiry of their job (I15), as the lease says it and as the clients sent it."""
    expiries = _Expiries(history)
    return [
        lease
        for lease in history.leases
        if (lease.expires_at_ms is not None and lease.at_ms > lease.expires_at_ms)
        or lease.at_ms > expiries.at(lease.job, lease.at_ms)[1] + ROUNDING_MS
    ]


def cancelled_leased(history: History) -> list[Lease | End]:
    """Leases of jobs whose cancellation had been answered, and finishes that were accepted of such jobs.

    By prefix, only jobs that waited all the time were to be cancelled.
    """
    by_job = history.by_job()
    finishes = _by_job([end for end in history.ends if end.verb == "finish" and end.outcome is Outcome.OK])
    found: list[Lease | End] = []
    for call in history.cancellations:
        if call.outcome is not Outcome.OK:
            continue
        if call.is_by_prefix:
            found += _passed_by(history, call, by_job)
            continue
        after_ms = history.in_ms(call.ended_s) + ROUNDING_MS
        found += [lease for lease in by_job.get(call.job, []) if lease.at_ms > after_ms]
        found += finishes.get(call.job, [])
    return found


def _passed_by(history: History, call: Cancellation, by_job: Mapping[Job, list[Lease]]) -> list[Lease]:
    """First leases of jobs that had waited while all of their prefix were cancelled."""
    acknowledged = history.acknowledged()
    after_ms = history.in_ms(call.ended_s) + ROUNDING_MS
    return [
        first
        for job, (first, *_) in by_job.items()
        if call.covers(job)
        and first.attempt == 1
        and first.at_ms > after_ms
        and acknowledged.get(job, NEVER) < call.began_s
        and not may_be_leased_unheard(history, first, call.began_s)
    ]


def too_many_attempts(history: History) -> list[Lease]:
    """Leases of jobs that were past their requeue limit (I7)."""
    limit = history.promise.life.requeue_limit
    return [lease for lease in history.leases if 0 <= limit < lease.attempt - 1]


def retried_early(history: History) -> list[Lease]:
    """Leases that came before the job's retry policy let them after the attempt before."""
    retry = history.promise.life.retry
    if retry is None:
        return []
    ends: dict[str, list[End]] = defaultdict(list)
    for end in history.ends:
        if end.outcome is not Outcome.NO:
            ends[end.token].append(end)
    found = []
    for leases in history.by_job().values():
        for earlier, later in itertools.pairwise(leases):
            failed_ms = _failed_ms(history, earlier, ends[earlier.token])
            wait_ms = retry.least_wait_ms(earlier.attempt)
            if later.attempt == earlier.attempt + 1 and later.at_ms < failed_ms + wait_ms - ROUNDING_MS:
                found.append(later)
    return found


def _failed_ms(history: History, lease: Lease, ends: Sequence[End]) -> float:
    """Return the earliest time at which a lease can have failed; minus infinity if it may have ended otherwise."""
    if any(end.verb == "finish" or not end.counts for end in ends):
        return -NEVER
    return min([lease.until_ms, *(history.in_ms(end.began_s) for end in ends)])


def outdated(history: History) -> list[Lease]:
    """Leases that show the payload which a change had replaced before."""
    changed_ms = {
        edit.job: history.in_ms(edit.ended_s) for edit in history.edits if edit.outcome is Outcome.OK
    }
    return [
        lease
        for lease in history.leases
        if lease.version == 0 and lease.at_ms > changed_ms.get(lease.job, NEVER) + ROUNDING_MS
    ]


def kind_of(fate: Fate) -> str:
    """Return how a job ended: finished, died, expired, cancelled, or another state of the API as it is."""
    if fate.state == "dead":
        return "expired" if fate.reason == "expired" else "died"
    return fate.state


def ended_otherwise(history: History) -> set[Job]:
    """Jobs that rightly expired or were cancelled, so that nobody needs to have got them."""
    wrong = wrong_fates(history)
    return {
        job
        for job, fate in history.fates.items()
        if kind_of(fate) in ("expired", "cancelled") and job not in wrong
    }


def wrong_fates(history: History) -> set[Job]:
    """Acknowledged jobs that did not end as something in the history lets them end."""
    expiries = _Expiries(history)
    ends = _by_job([end for end in history.ends if end.outcome is not Outcome.NO])
    cancelled = history.perhaps_cancelled()
    found = set()
    for job, fate in history.fates.items():
        match kind_of(fate):
            case "finished":
                is_right = any(end.verb == "finish" for end in ends.get(job, []))
            case "cancelled":
                is_right = job in cancelled
            case "expired":
                told_ms = history.in_ms(fate.told_s)
                is_dropped = history.promise.life.is_dropped(job[1])
                is_right = (
                    expiries.at(job, told_ms)[0] <= told_ms + ROUNDING_MS
                    and (fate.state == "expired") == is_dropped
                )
            case "died":
                is_right = fate.attempt == history.promise.life.requeue_limit + 1 and _is_right_error(
                    fate, ends.get(job, [])
                )
            case _:
                is_right = False
        if not is_right:
            found.add(job)
    return found


def _is_right_error(fate: Fate, ends: Sequence[End]) -> bool:
    """Return True if a dead letter has the error of the last release that gave one, or perhaps did."""
    errors = [end for end in sorted(ends, key=lambda end: end.began_s) if end.error]
    certain = [index for index, end in enumerate(errors) if end.outcome is Outcome.OK]
    possible = {end.error for end in errors[certain[-1] if certain else 0 :]}
    return fate.error in possible if certain else fate.error in {"", *possible}


class _Expiries:
    """The times at which jobs may expire, by what was sent. A job is changed once at most."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._enqueues = _by_job([call for call in history.enqueues if call.outcome is not Outcome.NO])
        self._edits = {
            edit.job: edit for edit in history.edits if edit.has_new_expiry and edit.outcome is not Outcome.NO
        }

    def at(self, job: Job, at_ms: float) -> Span:
        """Return the earliest and the latest expiry that a job may have at a time."""
        spans = [self._of(call) for call in self._enqueues.get(job, [])]
        edit = self._edits.get(job)
        if edit is not None and self._history.in_ms(edit.began_s) <= at_ms:
            is_sure = edit.outcome is Outcome.OK and self._history.in_ms(edit.ended_s) + ROUNDING_MS < at_ms
            spans = [self._of(edit), *([] if is_sure else spans)]
        return (
            min((earliest for earliest, _ in spans), default=NEVER),
            max((latest for _, latest in spans), default=NEVER),
        )

    def _of(self, call: Enqueue | Edit) -> Span:
        if isinstance(call, Enqueue) and call.expires_at_ms is not None:
            return call.expires_at_ms, call.expires_at_ms
        if call.expires_ms is None:
            return NEVER, NEVER
        # A call in doubt may be done later than its sender gave it up.
        ended_s = call.ended_s if call.outcome is Outcome.OK else NEVER
        return self._history.in_ms(call.began_s) + call.expires_ms, self._history.in_ms(
            ended_s
        ) + call.expires_ms


def _by_job(calls: Sequence[T]) -> dict[Job, list[T]]:
    found: dict[Job, list[T]] = defaultdict(list)
    for call in calls:
        found[call.job].append(call)
    return found
