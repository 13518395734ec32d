"""Tells the watchers of single jobs when a call of this node has perhaps ended their job.

A router watches the jobs for whose ends clients wait (router/longpoll/job_waits.py), and reads their state when it is
notified.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sharq_core.link.job_watches import JobKey, OnEnd


class NamedJob(Protocol):
    """An object that names a job."""

    @property
    def queue_type(self) -> str:
        """The queue's type."""
        ...

    @property
    def queue_id(self) -> str:
        """The queue's id within its type."""
        ...

    @property
    def job_id(self) -> str:
        """The job's id within its queue."""
        ...


class JobEnds:
    """The watchers of jobs on one node.

    Attributes:
        watchers: the watchers of each job that has any.
    """

    def __init__(self) -> None:
        self.watchers: dict[tuple[str, str, str], list[OnEnd]] = {}

    def watch(self, job: JobKey, on_end: OnEnd) -> None:
        """Call on_end after each call that perhaps ended the job."""
        self.watchers.setdefault(_key(job), []).append(on_end)

    def unwatch(self, job: JobKey, on_end: OnEnd) -> None:
        """Remove a watcher; an unknown one is ignored."""
        watchers = self.watchers.get(_key(job), [])
        if on_end in watchers:
            watchers.remove(on_end)
        if not watchers:
            self.watchers.pop(_key(job), None)

    def note(self, jobs: Sequence[NamedJob]) -> None:
        """Tell the watchers of jobs that a call has perhaps ended. Not to be called while there are no watchers."""
        for job in jobs:
            for on_end in list(self.watchers.get(_key(job), ())):
                on_end()


def _key(job: NamedJob) -> tuple[str, str, str]:
    return job.queue_type, job.queue_id, job.job_id
