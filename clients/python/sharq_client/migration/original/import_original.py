"""Offers the import from the original and its way back, as two functions."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from sharq_client.migration.delivery import PERHAPS_MOVED, REMEMBERED_MS
from sharq_client.migration.original.store import OriginalStore
from sharq_client.migration.original.survey import survey, waiting
from sharq_client.migration.original.takeover import (
    CLOCK_TOLERANCE_MS,
    LEASE_GRACE_MS,
    Takeover,
    Terms,
)
from sharq_client.migration.source import open_source
from sharq_client.migration.summaries import OnProgress, Summary, Tally

if TYPE_CHECKING:
    from sharq_client.sync.client import Client

DEFAULT_PREFIX = "sharq_server"
"""The key prefix in the sample configuration of the original."""


class UndoSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a way back.

    Attributes:
        queues: the number of queues that the original serves again.
        jobs: the number of jobs in these queues.
        kept: the number of queues that stay taken over, because the new server still has jobs of them.
    """

    queues: int = 0
    jobs: int = 0
    kept: int = 0


def import_original(
    client: Client,
    source: str,
    *,
    prefix: str = DEFAULT_PREFIX,
    dry_run: bool = False,
    follow: bool = False,
    stop: threading.Event | None = None,
    wait_for_leases: bool = True,
    clock_tolerance_ms: int = CLOCK_TOLERANCE_MS,
    lease_ms: int | None = None,
    default_interval_ms: int | None = None,
    lease_grace_ms: int = LEASE_GRACE_MS,
    remembered_ms: int = REMEMBERED_MS,
    retry_refused: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> Summary:
    """Take over a live deployment of the original SHARQ. Its servers and workers may run on meanwhile.

    It may be interrupted at any moment and run again; then it goes on. A second run on the same prefix ends the first.

    Args:
        client: the new server.
        source: the original's Redis: redis://, rediss:// or unix://, with its database number.
        prefix: the `key_prefix` of the original's configuration.
        dry_run: True to change nothing, and only count.
        follow: True to go on until `stop` is set, and move what producers still send to the original.
        stop: an event that ends the import soon; what has moved stays moved.
        wait_for_leases: True to wait until workers of the original have finished their jobs, or their leases have
            ended. False to leave these jobs for another run.
        clock_tolerance_ms: the largest difference between the clocks of the original's servers and that of its Redis.
        lease_ms: `job_expire_interval` of the original's configuration. None to learn it from the leases of now. If it
            is too short, or not known, queues that are slower than it wait longer than need be.
        default_interval_ms: the interval of queues whose interval the original has forgotten. It does so when a queue
            is empty and one of its jobs is finished while others are leased. None to serve them without a limit, as
            the original would. The summary says how many there were.
        lease_grace_ms: the time after the end of a lease that is left to the original's own requeue.
        remembered_ms: the time for which the new server remembers finished jobs (`finished_retention`), less a minute.
            A job that an interrupted run perhaps sent longer ago is refused if the new server does not know it.
        retry_refused: True to try the jobs again that earlier runs refused.
        on_progress: is called after each step.

    Raises:
        MissingExtra: the package redis is not installed.
        SharqError: the new server is away for longer than a minute, has no memory left, or refuses the caller.
        redis.RedisError: the source cannot be reached, or another run has begun.
    """
    began_s = time.monotonic()
    tally = Tally()
    with open_source(source, f"{prefix}:payload") as redis:
        store = OriginalStore(redis, prefix)
        if dry_run:
            survey(store, tally)
            return tally.summary(time.monotonic() - began_s, dry_run=True)
        terms = Terms(
            follow=follow,
            wait_for_leases=wait_for_leases,
            default_interval_ms=default_interval_ms,
            clock_tolerance_ms=clock_tolerance_ms,
            lease_ms=store.lease_length_ms() if lease_ms is None else lease_ms,
            lease_grace_ms=lease_grace_ms,
            remembered_ms=remembered_ms,
        )
        if retry_refused:
            for page in store.refused():
                for refusal in page:
                    store.take_back(refusal)
        tally.waiting = waiting(store)
        Takeover(client, store, tally, terms, on_progress).run(stop or threading.Event())
        tally.waiting = waiting(store)
        tally.leased = store.leases()
    return tally.summary(time.monotonic() - began_s)


def undo_original(client: Client, source: str, *, prefix: str = DEFAULT_PREFIX) -> UndoSummary:
    """Give the queues back to the original that the new server has no jobs of. Run it again until none are kept.

    A queue leaves the original one interval from now at the earliest. Jobs that have moved stay on the new server, and
    its workers finish them. Stop the import first, and let producers send to the original again.

    Raises:
        MissingExtra, SharqError, redis.RedisError: as `import_original`.
    """
    given_back = jobs = kept = 0
    with open_source(source, f"{prefix}:payload") as redis:
        store = OriginalStore(redis, prefix)
        terms = Terms(follow=False, wait_for_leases=False, lease_ms=0)
        store.begin_run()
        Takeover(client, store, Tally(), terms, lambda _: None).finish_journals()
        for refusals in store.refused():
            for refusal in refusals:
                if refusal.reason != PERHAPS_MOVED:
                    store.take_back(refusal)
        for page in list(store.parked()):
            for queue in page:
                stats = client.queue(*queue)
                if stats and stats.queued + stats.delayed + stats.leased > 0:
                    kept += 1
                else:
                    jobs += store.unpark(queue)
                    given_back += 1
    return UndoSummary(queues=given_back, jobs=jobs, kept=kept)
