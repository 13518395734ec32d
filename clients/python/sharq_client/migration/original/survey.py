"""Counts what there is to import from the original, without changing anything."""

from __future__ import annotations

from sharq_client.migration.original.payloads import UnreadablePayload, json_of
from sharq_client.migration.original.store import OriginalStore, Queue
from sharq_client.migration.source import MARK
from sharq_client.migration.summaries import Refusal, Tally

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
    for queue in seen:
        _look_at_jobs(store, queue, tally)
    tally.waiting = tally.moved


def _look_at_jobs(store: OriginalStore, queue: Queue, tally: Tally) -> None:
    start = 0
    while job_ids := store.job_ids(queue, start):
        start += len(job_ids)
        wanted = [job_id for job_id in job_ids if job_id != MARK]
        if not wanted:
            continue
        for job_id, payload in zip(wanted, store.payloads(queue, wanted), strict=True):
            if payload is None:
                tally.without_payload += 1
            elif reason := _objection(payload):
                tally.refuse(Refusal(*queue, job_id, reason))
            else:
                tally.moved += 1


def _objection(payload: bytes) -> str:
    """Return why a payload would be refused; "" if it would not."""
    try:
        size_bytes = len(memoryview(json_of(payload)))
    except UnreadablePayload as error:
        return str(error)
    if size_bytes > LONGEST_PAYLOAD_BYTES:
        return f"payload: {size_bytes} bytes of JSON; a server takes {LONGEST_PAYLOAD_BYTES} unless it is configured"
    return ""
