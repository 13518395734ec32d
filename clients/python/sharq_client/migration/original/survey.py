"""Counts what there is to import from the original, without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from sharq_client.migration.original.payloads import UnreadablePayload, json_of
from sharq_client.migration.original.records import Queue
from sharq_client.migration.original.store import OriginalStore
from sharq_client.migration.original.takeover import GROUP
from sharq_client.migration.source import MARK
from sharq_client.migration.summaries import Refusal, Tally

PAGE = 50
"""The number of jobs of each queue that are read at a time."""

LONGEST_PAYLOAD_BYTES = 256 * 1024
"""The longest payload that a server takes unless its configuration says otherwise (max_payload_bytes)."""


def waiting(store: OriginalStore) -> int:
    """Return the number of jobs that wait in the queues of the original. Cost: O(queues)."""
    return sum(sum(store.lengths(page)) for queue_type in store.types() for page in store.ready(queue_type))


def survey(store: OriginalStore, tally: Tally) -> None:
    """Count queues, jobs and leases, and read every payload. Cost: O(jobs)."""
    seen: set[Queue] = set()
    for queue_type in store.types():
        tally.types.add(queue_type)
        for page in store.ready(queue_type):
            seen.update(page)
        for leases in store.leased(queue_type):
            seen.update(queue for queue, _, _ in leases)
            tally.leased += len(leases)
    with_interval = {queue for page in store.intervals() for queue in page}
    tally.without_interval = len(seen - with_interval)
    seen |= with_interval
    tally.queues = len(seen)
    rest = iter(seen)
    while group := list(islice(rest, GROUP)):
        _look_at_queues(store, group, tally)
    tally.waiting = tally.moved


def _look_at_queues(store: OriginalStore, queues: Sequence[Queue], tally: Tally) -> None:
    """Count the jobs of queues, a page of each at a time."""
    start = 0
    while queues:
        pages = store.job_ids(queues, start, PAGE)
        start += PAGE
        names = [(queue, job_id) for queue, page in zip(queues, pages, strict=True) for job_id in page]
        jobs = [(queue, job_id) for queue, job_id in names if job_id != MARK]
        for (queue, job_id), payload in zip(jobs, store.payloads(jobs), strict=True):
            if payload is None:
                tally.without_payload += 1
            elif reason := _objection(payload):
                tally.refuse(Refusal(*queue, job_id, reason))
            else:
                tally.moved += 1
        queues = [queue for queue, page in zip(queues, pages, strict=True) if len(page) == PAGE]


def _objection(payload: bytes) -> str:
    """Return why a payload would be refused; "" if it would not."""
    try:
        size_bytes = len(memoryview(json_of(payload)))
    except UnreadablePayload as error:
        return str(error)
    if size_bytes > LONGEST_PAYLOAD_BYTES:
        return f"payload: {size_bytes} bytes of JSON; a server takes {LONGEST_PAYLOAD_BYTES} unless it is configured"
    return ""
