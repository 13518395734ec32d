"""Moves everything from a live deployment of the original to the new server, queue by queue.

A queue is parked first: from that moment the original does not serve it any more (lua/park.lua). Then the new server
holds it until the original would have served it again. Then its jobs move: from its list into a journal, from the
journal to the new server, and out of the journal once the new server has them. A run may be interrupted between any
two steps; the next one goes on there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from sharq_client.migration.delivery import (
    MOST_BYTES,
    MOST_JOBS,
    MOST_JOBS_A_CLAIM,
    PERHAPS_MOVED,
    REMEMBERED_MS,
    Fate,
    Verdict,
    deliver,
)
from sharq_client.migration.original.payloads import UnreadablePayload, json_of
from sharq_client.migration.original.records import Claim, ClaimedJob, Queue, Settlement
from sharq_client.migration.original.store import OriginalStore
from sharq_client.migration.summaries import OnProgress, Refusal, Tally
from sharq_client.requests import QueueSettings

if TYPE_CHECKING:
    from sharq_client.sync.client import Client

log = logging.getLogger(__name__)

CLOCK_TOLERANCE_MS = 1_000
"""The tolerated difference between the clocks of the original's servers and that of its Redis."""

LEASE_GRACE_MS = 10_000
"""The time after the end of a lease that is left to the original's own requeue."""

GROUP = 200
"""The number of queues that are taken over together. They stand still until the first jobs of all have moved."""

HOLDING_THREADS = 8
"""The number of holds that are sent at the same time."""

LONGEST_HOLD_MS = 24 * 3600 * 1000
"""The longest hold of the new server. Jobs of a queue that must wait longer are delayed, too."""

RETURNED_PRIORITY = 4
"""The priority of a job that a requeue has put back, so that it leaves before the others of its queue (5)."""

IDLE_PAUSE_S = 0.1
"""The pause between two passes that found nothing to do."""

PASSES_FOR_LATE_JOBS = 3
"""The pass whose jobs came after the first one, even if producers had sent them in its course."""

SHARE_OF_PASSES = 0.2
"""The largest share of the time that passes take while there is nothing to do."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a takeover. `import_original` explains them."""

    follow: bool
    wait_for_leases: bool
    lease_ms: int
    default_interval_ms: int | None = None
    clock_tolerance_ms: int = CLOCK_TOLERANCE_MS
    lease_grace_ms: int = LEASE_GRACE_MS
    remembered_ms: int = REMEMBERED_MS


class Takeover:
    """One run of an import from the original."""

    def __init__(
        self, client: Client, store: OriginalStore, tally: Tally, terms: Terms, on_progress: OnProgress
    ) -> None:
        self._client = client
        self._store = store
        self._tally = tally
        self._terms = terms
        self._on_progress = on_progress
        self._parked: set[Queue] = set()
        self._late_holds: dict[Queue, int] = {}
        self._intervals_ms: dict[Queue, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Move jobs until none are left, or until it is told to stop.

        Raises:
            SharqError: the new server is away for longer than a minute, or refuses the caller.
            redis.RedisError: the source is away. After either, a second run goes on.
        """
        self._store.begin_run()
        for page in self._store.parked():
            self._parked.update(page)
            self._hold_pending(page)
        # The original forgets the interval of a queue that empties, which may come before its turn here.
        for intervals_ms in self._store.intervals():
            self._intervals_ms.update(intervals_ms)
        self.finish_journals()
        passes = 0
        while not stop.is_set():
            began_s = time.monotonic()
            moved_before = self._tally.moved - self._tally.returned
            has_moved = self._pass(stop)
            passes += 1
            if passes == PASSES_FOR_LATE_JOBS and self._tally.moved - self._tally.returned > moved_before:
                self._warn_of_producers()
            self._tally.leased = self._store.leases()
            self._on_progress(self._tally.progress())
            if has_moved:
                continue
            is_waiting = self._tally.leased > 0 and self._terms.wait_for_leases
            if not self._terms.follow and not is_waiting:
                return
            stop.wait(max(IDLE_PAUSE_S, (time.monotonic() - began_s) / SHARE_OF_PASSES))

    def _warn_of_producers(self) -> None:
        """Say why the run does not end: a first pass has moved all that was there."""
        if not self._terms.follow:
            log.warning(
                "Producers still send jobs to the original. This run moves them, too, and ends when no more come: let "
                "the producers send to the new server, or use --follow to go on until you end it"
            )

    def finish_journals(self) -> None:
        """Deliver what an interrupted run had claimed."""
        for queues in _groups(self._store.with_journal()):
            self._move(queues)

    def _pass(self, stop: threading.Event) -> bool:
        """Take over every queue that the original serves, and move what has come to the parked ones.

        Returns:
            True if there was anything to do.
        """
        before = (self._tally.moved, self._tally.refused, self._tally.returned, len(self._parked))
        for queue_type in self._store.types():
            self._tally.types.add(queue_type)
            while (queues := self._store.served(queue_type, GROUP)) and not stop.is_set():
                self._take_over(queues)
        for queues in _groups(self._unparked()):
            self._take_over(queues)
        for page in self._store.parked():
            if stop.is_set():
                break
            self._look_after(page)
        self._return_leases()
        return before != (self._tally.moved, self._tally.refused, self._tally.returned, len(self._parked))

    def _unparked(self) -> set[Queue]:
        """Return queues that the original knows and does not serve now: their jobs are all leased."""
        queues = {queue for page in self._store.intervals() for queue in page}
        for queue_type in self._store.types():
            for leases in self._store.leased(queue_type):
                queues.update(queue for queue, _, _ in leases)
        return queues - self._parked

    def _take_over(self, queues: Sequence[Queue]) -> None:
        terms = self._terms
        fallbacks_ms = dict.fromkeys(queues, terms.default_interval_ms) if terms.default_interval_ms else {}
        fallbacks_ms.update(
            {queue: self._intervals_ms[queue] for queue in queues if queue in self._intervals_ms}
        )
        parked = self._store.park(queues, terms.clock_tolerance_ms, terms.lease_ms, fallbacks_ms)
        for row in parked:
            if row.queue not in self._parked:
                self._tally.queues += 1
                self._tally.without_interval += not row.has_interval
        self._parked.update(queues)
        self._hold({row.queue: row.hold_ms for row in parked if row.hold_ms})
        self._move(queues)

    def _hold(self, holds_ms: Mapping[Queue, int]) -> None:
        """Let the new server lease nothing from queues for some time, and note that it knows."""
        if not holds_ms:
            return
        now_ms = self._store.now_ms()
        with ThreadPoolExecutor(HOLDING_THREADS) as threads:
            for _ in threads.map(self._hold_queue, holds_ms.items()):
                pass
        for queue, hold_ms in holds_ms.items():
            if hold_ms > LONGEST_HOLD_MS:
                self._late_holds[queue] = now_ms + hold_ms
        self._store.held([queue for queue in holds_ms if queue not in self._late_holds])

    def _hold_queue(self, hold: tuple[Queue, int]) -> None:
        queue, hold_ms = hold
        # A hold only grows, so that this one never ends a longer one.
        self._client.control.set_queue(*queue, QueueSettings(hold=min(hold_ms, LONGEST_HOLD_MS)))

    def _hold_pending(self, parked: Mapping[Queue, int | None]) -> None:
        """Send the holds that an interrupted run has not sent."""
        pending = {
            queue: until_ms
            for queue, until_ms in parked.items()
            if until_ms is not None and queue not in self._late_holds
        }
        now_ms = self._store.now_ms() if pending else 0
        self._hold({queue: max(until_ms - now_ms, 1) for queue, until_ms in pending.items()})

    def _tell_interval(self, queue: Queue, interval_ms: int) -> None:
        """Pass on an interval that has changed at the original, unless an operator has set one here."""
        stats = self._client.queue(*queue)
        if stats and not stats.pinned and "interval" not in stats.settings:
            self._client.set_interval(*queue, interval_ms)
        self._store.tell_interval(queue, interval_ms)

    def _look_after(self, parked: Mapping[Queue, int | None]) -> None:
        """Move what has come to parked queues since, and pass on intervals that have changed."""
        self._hold_pending(parked)
        findings = self._store.inspect(list(parked))
        for finding in findings:
            if finding.interval_ms is not None:
                self._tell_interval(finding.queue, finding.interval_ms)
        for loose in _groups(finding.queue for finding in findings if finding.is_loose):
            self._take_over(loose)
        for busy in _groups(
            finding.queue for finding in findings if finding.is_busy and not finding.is_loose
        ):
            self._move(busy)

    def _return_leases(self) -> None:
        before_ms = self._store.now_ms() - self._terms.lease_grace_ms
        for queue_type in self._store.types():
            while any(counts := self._store.return_leases(queue_type, before_ms)):
                self._tally.returned += counts[0]
                self._tally.discarded += counts[1]

    def _move(self, queues: Sequence[Queue]) -> None:
        """Move the jobs of parked queues. Those of one queue keep their order."""
        while queues:
            most_jobs = min(max(1, MOST_JOBS // len(queues)), MOST_JOBS_A_CLAIM)
            most_bytes = MOST_BYTES // len(queues)
            claims = self._store.claim(queues, most_jobs, most_bytes)
            settlements = self._deliver(claims)
            queues = [
                claim.queue
                for claim, settlement in zip(claims, settlements, strict=True)
                if _may_have_more(claim, most_jobs, most_bytes) and not settlement.full
            ]

    def _deliver(self, claims: Sequence[Claim]) -> Sequence[Settlement]:
        """Send the jobs of claims, and return what became of those that the new server does not have."""
        verdicts: dict[tuple[int, int], Verdict] = {}
        jobs: dict[tuple[int, int], dict[str, Any]] = {}
        for row, claim in enumerate(claims):
            interval_ms = self._interval_ms(claim)
            for column, job in enumerate(claim.jobs):
                try:
                    fields = self._fields(claim, job, interval_ms)
                except UnreadablePayload as error:
                    verdicts[row, column] = Verdict(Fate.REFUSED, str(error))
                    continue
                # An earlier run may have sent the job, and the new server may have finished and forgotten it
                # since.
                forgotten = self._if_forgotten(claim, job)
                if forgotten:
                    verdicts[row, column] = forgotten
                else:
                    jobs[row, column] = fields
        verdicts.update(zip(jobs, deliver(self._client, list(jobs.values())), strict=True))
        settlements = [
            self._settle(claim, [verdicts[row, column] for column in range(len(claim.jobs))])
            for row, claim in enumerate(claims)
        ]
        # The original forgets the jobs only now, because the new server has answered for each of them.
        self._store.confirm(claims, settlements)
        self._on_progress(self._tally.progress())
        return settlements

    def _fields(self, claim: Claim, job: ClaimedJob, interval_ms: int | None) -> dict[str, Any]:
        """Return a job as the new server takes it."""
        queue_type, queue_id = claim.queue
        fields: dict[str, Any] = {
            "queue_type": queue_type,
            "queue_id": queue_id,
            "job_id": job.job_id,
            "payload": json_of(job.payload),
            "interval": interval_ms,
            "requeue_limit": job.requeues,
            "retry": None,
            "repeat": claim.age_ms is not None,
        }
        if job.was_returned:
            fields["priority"] = RETURNED_PRIORITY
        late_ms = self._late_holds.get(claim.queue, 0) - claim.now_ms
        if late_ms > 0:
            fields["delay"] = late_ms
        return fields

    def _interval_ms(self, claim: Claim) -> int | None:
        """Return the interval to send with the jobs of a queue; None to leave it as it is.

        The original forgets the interval of a queue when one of its jobs is finished while the others are leased. It
        then serves the queue without a limit. The new server may know the interval still.
        """
        if claim.interval_ms is not None or not claim.jobs:
            return claim.interval_ms
        return None if self._client.queue(*claim.queue) else 0

    def _if_forgotten(self, claim: Claim, job: ClaimedJob) -> Verdict | None:
        """Return the verdict of a job that an earlier run perhaps sent so long ago that it may not be sent again.

        The new server forgets finished jobs after some time, and would then take the same job a second time.
        """
        if claim.age_ms is None or claim.age_ms <= self._terms.remembered_ms:
            return None
        if self._client.job(*claim.queue, job.job_id):
            return Verdict(Fate.DUPLICATE)
        return Verdict(Fate.UNKNOWN, PERHAPS_MOVED)

    def _settle(self, claim: Claim, verdicts: Sequence[Verdict]) -> Settlement:
        full: list[str] = []
        refused: list[tuple[str, str]] = []
        for job, verdict in zip(claim.jobs, verdicts, strict=True):
            if verdict.fate is Fate.FULL:
                full.append(job.job_id)
            elif verdict.fate in (Fate.REFUSED, Fate.UNKNOWN):
                refused.append((job.job_id, verdict.reason))
                self._tally.refuse(Refusal(*claim.queue, job.job_id, verdict.reason))
            else:
                self._tally.moved += 1
                self._tally.duplicates += verdict.fate is Fate.DUPLICATE
        self._tally.without_payload += claim.dropped
        self._tally.waiting = max(self._tally.waiting - len(claim.jobs) + len(full), 0)
        return Settlement(full, refused)


def _may_have_more(claim: Claim, most_jobs: int, most_bytes: int) -> bool:
    size_bytes = sum(len(job.payload) for job in claim.jobs)
    is_full = len(claim.jobs) + claim.dropped >= most_jobs or size_bytes >= most_bytes
    return claim.age_ms is not None or is_full


def _groups(queues: Iterable[Queue]) -> Iterator[list[Queue]]:
    """Yield queues in lists of up to GROUP. No queue may come twice, because its journal would be sent twice."""
    rest = iter(queues)
    while group := list(islice(rest, GROUP)):
        yield group
