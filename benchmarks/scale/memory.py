"""Bytes a job in the store, with many jobs in few queues and with one job in each queue.

The full form has ten millions of queues, of one type and of 100,000.
"""

from __future__ import annotations

import msgspec

from benchmarks.figures import targets
from benchmarks.figures.report import Peer, Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.figures.targets import Target
from benchmarks.processes.servers import Store
from benchmarks.processes.servers import store as running_store
from sharq_core.models import Enqueued, NewJob
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

_PAYLOAD_BYTES, _ORIGINAL_BYTES = 100, 40
"""Payloads: of our goals, and of the original's figures."""
_JOBS_AT_ONCE = 5_000
"""In one pipeline."""


class _Case(msgspec.Struct, frozen=True):
    """target: for jobs of 100 bytes; original: bytes that the original takes for one of 40."""

    what: str
    queues: int
    target: Target
    original: float


def run(is_quick: bool) -> Report:
    """Fill a fresh store for each case and payload."""
    count = 100_000 if is_quick else 1_000_000
    cases = [
        _Case("1,000 queues", 1_000, targets.MEMORY_FEW_QUEUES, original=227),
        _Case("one job a queue", count, targets.MEMORY_MANY_QUEUES, original=872),
    ]
    return Report(
        name="memory",
        question="How many bytes of the store's memory does a waiting job take?",
        parameters={
            "jobs": f"{count:,} over {DEFAULT_PARTITIONS} partitions",
            "identifiers": "queue_id of up to 8 characters, job_id a UUID's 36",
        },
        rows=[row for case in cases for row in _rows(case, count)],
        notes=["What the store counts as used, above the same store with the library and no job."],
    )


def run_full(part: int) -> Report:
    """Fill a fresh store for each number of types, with ten millions of queues or a part of them."""
    count = 10_000_000 // part
    rows = []
    for types, target in targets.MEMORY_TEN_MILLIONS.items():
        measured = _measure(count, count, _PAYLOAD_BYTES, max(1, types // part))
        rows.append(
            target.row(measured) if part == 1 else Row(f"{target.figure}, 1/{part}", "bytes", measured)
        )
    return Report(
        name="memory",
        question="How many bytes of the store's memory does a waiting job take, with ten millions of queues?",
        parameters={"jobs": f"{count:,} over {DEFAULT_PARTITIONS} partitions, one in each queue"},
        rows=rows,
        notes=["What the store counts as used, above the same store with the library and no job."],
    )


def _rows(case: _Case, count: int) -> list[Row]:
    small = Peer("original", case.original, is_same_run=False)
    what = f"{case.what}, payload of {_ORIGINAL_BYTES} bytes: a job"
    return [
        case.target.row(_measure(case.queues, count, _PAYLOAD_BYTES)),
        Row(what, "bytes", _measure(case.queues, count, _ORIGINAL_BYTES), peer=small),
    ]


def _measure(queues: int, count: int, payload_bytes: int, types: int = 1) -> Spread:
    """Bytes a job, of one run: the count is the same each time."""
    with running_store(is_durable=False) as store:
        store.load_library()
        before_bytes = store.memory_bytes
        fill(store, queues, count, b'"' + b"x" * (payload_bytes - 2) + b'"', types)
        spent_bytes = store.memory_bytes - before_bytes
    return Spread.of([spent_bytes / count])


def fill(
    store: Store, queues: int, count: int, payload: bytes, types: int = 1, prefix: str = "bench"
) -> None:
    """Put jobs into a store, over its queues in turn, and these over the types.

    Args:
        queues: a multiple of the number of types.
    """
    functions = Functions(Keys(prefix, DEFAULT_PARTITIONS), Retention())
    for first in range(0, count, _JOBS_AT_ONCE):
        groups: dict[tuple[int, str], list[NewJob]] = {}
        for number in range(first, min(first + _JOBS_AT_ONCE, count)):
            job = _job(number, queues, payload, types)
            place = partition_of(job.queue_type, job.queue_id, DEFAULT_PARTITIONS)
            groups.setdefault((place, job.queue_type), []).append(job)
        store.execute_all(_enqueues(functions, groups))


def _enqueues(
    functions: Functions, groups: dict[tuple[int, str], list[NewJob]]
) -> list[FunctionCall[list[Enqueued]]]:
    return [
        functions.enqueue(partition, queue_type, group[first : first + MAX_BATCH])
        for (partition, queue_type), group in groups.items()
        for first in range(0, len(group), MAX_BATCH)
    ]


def _job(number: int, queues: int, payload: bytes, types: int) -> NewJob:
    # Jobs of one call should have one type, so that neighbours share it.
    queue = number % queues
    queue_type = f"sms{queue // (queues // types)}"
    job_id = f"00000000-0000-7000-8000-{number:012d}"
    return NewJob(queue_type, f"q{queue}", job_id, payload, requeue_limit=-1, interval_us=1_000_000)
