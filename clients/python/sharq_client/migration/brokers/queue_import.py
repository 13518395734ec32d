"""Moves the jobs of one foreign queue: out of it into a journal, to the new server, and out of the journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from sharq_client.migration.brokers.placement import Unmovable
from sharq_client.migration.delivery import MOST_JOBS_A_CLAIM, PERHAPS_MOVED, Fate, Verdict, deliver
from sharq_client.migration.summaries import OnProgress, Refusal, Summary, Tally

if TYPE_CHECKING:
    from sharq_client.sync.client import Client


class ForeignJob(msgspec.Struct, frozen=True):
    """A job of a foreign queue, or the reason why it cannot be moved.

    Attributes:
        foreign_id: its id there.
        fields: what an enqueue sends; empty if it cannot be moved.
        reason: why it cannot be moved; "" if it can.
    """

    foreign_id: str
    fields: dict[str, Any]
    reason: str = ""


class Journal(msgspec.Struct, frozen=True):
    """The rows of the journal of a queue.

    Attributes:
        age_ms: how long ago an interrupted run claimed them; None if they were claimed just now.
    """

    age_ms: int | None
    rows: Sequence[tuple[bytes, ...]]


class ForeignQueue(Protocol):
    """One queue of another library."""

    def begin_run(self) -> None:
        """Make this the one run that may change anything. An earlier one that still runs fails at its next step."""
        ...

    def claim(self, most: int) -> Journal:
        """Move jobs into the journal, or read the journal that is there."""
        ...

    def settle(
        self, journal: Journal, moved: Sequence[int], refused: Sequence[int], perhaps: Sequence[int]
    ) -> None:
        """Forget the journal, except for the rows with these numbers that were refused, or perhaps moved."""
        ...

    def give_back(self) -> None:
        """Put refused jobs back into the queue."""
        ...

    def read(self) -> Iterator[list[tuple[bytes, ...]]]:
        """Yield the rows of the waiting jobs in pages, without a change."""
        ...

    def job(self, row: tuple[bytes, ...]) -> ForeignJob:
        """Return the job of a row."""
        ...

    def waiting(self) -> int:
        """Return the number of waiting jobs."""
        ...

    def leased(self) -> int:
        """Return the number of jobs that workers hold."""
        ...


def import_queue(
    client: Client,
    queue: ForeignQueue,
    *,
    dry_run: bool,
    stop: threading.Event | None,
    remembered_ms: int,
    on_progress: OnProgress,
) -> Summary:
    """Move the jobs of a queue, or only count them. Raises as `import_original`."""
    began_s = time.monotonic()
    tally = Tally()
    if dry_run:
        _survey(queue, tally)
    else:
        stop = stop or threading.Event()
        _move(client, queue, tally, remembered_ms=remembered_ms, stop=stop, on_progress=on_progress)
    return tally.summary(time.monotonic() - began_s, dry_run=dry_run)


def _survey(queue: ForeignQueue, tally: Tally) -> None:
    """Count the jobs, and read each of them. Cost: O(jobs)."""
    for page in queue.read():
        for row in page:
            job = queue.job(row)
            if job.reason:
                tally.refuse(_refusal(job, job.reason))
            else:
                tally.moved += 1
                tally.types.add(job.fields["queue_type"])
    tally.waiting, tally.leased = queue.waiting(), queue.leased()


def _move(
    client: Client,
    queue: ForeignQueue,
    tally: Tally,
    *,
    remembered_ms: int,
    stop: threading.Event,
    on_progress: OnProgress,
) -> None:
    """Move as many jobs as wait now, or until it is told to stop. Raises as `import_original`.

    The bound ends a run also while producers go on. The summary says how many jobs wait then, for another run.
    """
    queue.begin_run()
    queue.give_back()
    remaining = tally.waiting = queue.waiting()
    while not stop.is_set() and (journal := queue.claim(MOST_JOBS_A_CLAIM)).rows:
        jobs = [queue.job(row) for row in journal.rows]
        verdicts = _verdicts(client, jobs, journal, remembered_ms)
        numbers: dict[Fate, list[int]] = {fate: [] for fate in Fate}
        for number, (job, verdict) in enumerate(zip(jobs, verdicts, strict=True)):
            numbers[verdict.fate].append(number)
            if verdict.reason:
                tally.refuse(_refusal(job, verdict.reason))
            else:
                tally.types.add(job.fields["queue_type"])
        moved = numbers[Fate.MOVED] + numbers[Fate.DUPLICATE]
        queue.settle(journal, moved, numbers[Fate.REFUSED] + numbers[Fate.FULL], numbers[Fate.UNKNOWN])
        tally.moved += len(moved)
        tally.duplicates += len(numbers[Fate.DUPLICATE])
        tally.waiting = max(tally.waiting - len(jobs), 0)
        on_progress(tally.progress())
        # What an interrupted run had claimed is not among those that wait.
        remaining -= len(jobs) if journal.age_ms is None else 0
        if remaining <= 0:
            break
    queue.give_back()
    tally.queues = 1
    tally.waiting, tally.leased = queue.waiting(), queue.leased()


def _verdicts(
    client: Client, jobs: Sequence[ForeignJob], journal: Journal, remembered_ms: int
) -> list[Verdict]:
    verdicts: dict[int, Verdict] = {}
    to_send: dict[int, dict[str, Any]] = {}
    for number, job in enumerate(jobs):
        if job.reason:
            verdicts[number] = Verdict(Fate.REFUSED, job.reason)
        elif journal.age_ms is None:
            to_send[number] = job.fields
        elif journal.age_ms <= remembered_ms:
            to_send[number] = {**job.fields, "repeat": True}
        elif client.job(job.fields["queue_type"], job.fields["queue_id"], job.fields["job_id"]):
            verdicts[number] = Verdict(Fate.DUPLICATE)
        else:
            verdicts[number] = Verdict(Fate.UNKNOWN, PERHAPS_MOVED)
    verdicts.update(zip(to_send, deliver(client, list(to_send.values())), strict=True))
    return [verdicts[number] for number in range(len(jobs))]


def _refusal(job: ForeignJob, reason: str) -> Refusal:
    fields = job.fields
    return Refusal(fields.get("queue_type", ""), fields.get("queue_id", ""), job.foreign_id, reason)


def foreign_job(foreign_id: str, read: Any) -> ForeignJob:
    """Return the job that `read()` returns the fields of, or the reason that it raises."""
    try:
        return ForeignJob(foreign_id, read())
    except Unmovable as error:
        return ForeignJob(foreign_id, {}, str(error))
