"""Measures the store's price of ordinary jobs for benchmarks/store/features.py, as a process of its own.

It also runs in the tree of an older version, with that one's library, so it uses nothing that is newer; features.py
rewrites its only import of this package there. Each line of its input is "<feature> <batches>"; each line of its output
is the price of one job in that round. An argument is the program that runs as the store, in place of the usual one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from benchmarks.processes import servers
from sharq_core.models import FinishJob, LeasedJob, NewJob, ReleaseJob
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

BATCH = 100
QUEUES = 1_000
_PAYLOAD = b'"' + b"x" * 98 + b'"'
_LEASE_US = 3_600_000_000
INTERVAL_US = 1
"""A limit that is kept and that no queue reaches."""


class Price(msgspec.Struct, frozen=True):
    """The price of one job in the store.

    Attributes:
        cpu_us: CPU time of an enqueue, a lease and a finish together.
        memory_bytes: memory of the queued job, with its share of its queue.
    """

    cpu_us: float
    memory_bytes: float


class Feature(msgspec.Struct, frozen=True):
    """A way to use the limits, or the life of jobs.

    Attributes:
        queue_type: one of its own.
        job: fields of each new job.
        finish: fields of each finish.
        release: fields of a release before, after which the job is leased again; None for no release.
        prepare: done once, before the first job, with the queue type.
    """

    queue_type: str
    job: dict[str, Any] = {}
    finish: dict[str, Any] = {}
    release: dict[str, Any] | None = None
    prepare: Callable[[servers.Store, Keys, str], None] | None = None


NONE = {"none": Feature("sms")}


class _Load:
    def __init__(self, store: servers.Store, features: Mapping[str, Feature]) -> None:
        self._store = store
        self._features = features
        self._keys = Keys("price", 1)
        self._functions = Functions(self._keys, Retention())
        self._round = 0
        self._prepared: set[str] = set()

    def measure(self, name: str, batches: int) -> Price:
        """Enqueue, lease and finish that many batches, with a release between if the feature has one."""
        feature = self._features[name]
        if feature.prepare and name not in self._prepared:
            feature.prepare(self._store, self._keys, feature.queue_type)
        self._prepared.add(name)
        self._round += 1
        jobs = [self._job(feature, number) for number in range(batches * BATCH)]
        chunks = [jobs[first : first + BATCH] for first in range(0, len(jobs), BATCH)]
        memory_bytes, cpu_us = self._store.memory_bytes, self._store.cpu_us
        self._run([self._functions.enqueue(0, feature.queue_type, chunk) for chunk in chunks])
        spent_us = self._store.cpu_us - cpu_us
        held_bytes = self._store.memory_bytes - memory_bytes
        cpu_us = self._store.cpu_us
        for _ in chunks:
            jobs_leased = self._lease(feature)
            if feature.release is not None:
                releases = [
                    ReleaseJob(feature.queue_type, job.queue_id, job.job_id, job.lease, **feature.release)
                    for job in jobs_leased
                ]
                self._run([self._functions.release(0, feature.queue_type, releases)])
                jobs_leased = self._lease(feature)
            self._run([self._functions.finish(0, feature.queue_type, self._ends(feature, jobs_leased))])
        spent_us += self._store.cpu_us - cpu_us
        return Price(spent_us / len(jobs), held_bytes / len(jobs))

    def _lease(self, feature: Feature) -> list[LeasedJob]:
        call = self._functions.dequeue(0, feature.queue_type, BATCH, _LEASE_US, b"\0" * 8)
        (reply,) = self._run([call])
        assert len(reply.jobs) == BATCH, f"{len(reply.jobs)} jobs of {feature.queue_type} came"
        return list(reply.jobs)

    def _run(self, calls: Sequence[Any]) -> list[Any]:
        return [self._store.execute_all([call])[0] for call in calls]

    def _job(self, feature: Feature, number: int) -> NewJob:
        queue_id, job_id = f"q{number % QUEUES}", f"job-{self._round}-{number}"
        return NewJob(feature.queue_type, queue_id, job_id, _PAYLOAD, -1, INTERVAL_US, **feature.job)

    @staticmethod
    def _ends(feature: Feature, jobs: Sequence[LeasedJob]) -> list[FinishJob]:
        return [
            FinishJob(feature.queue_type, job.queue_id, job.job_id, job.lease, **feature.finish)
            for job in jobs
        ]


def answer(features: Mapping[str, Feature]) -> None:
    """Answer each line of the input, until it ends."""
    servers.SERVER = sys.argv[1] if len(sys.argv) > 1 else servers.SERVER
    with servers.store(is_durable=False) as store:
        store.load_library()
        load = _Load(store, features)
        for line in sys.stdin:
            name, _, batches = line.strip().rpartition(" ")
            print(msgspec.json.encode(load.measure(name, int(batches))).decode(), flush=True)


if __name__ == "__main__":
    answer(NONE)
