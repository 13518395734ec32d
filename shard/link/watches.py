"""Keeps the types and jobs that one router watches, and tells it when one is due or has perhaps ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sharq_core.link import frames
from sharq_core.link.frames import Due, FrameError, JobEnded
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import OnDue, ShardPort

MAX_WATCHES = 20_000
"""Most types, and most jobs, that one router may watch, which is also the limit of its waiting requests."""


class RouterWatches:
    """The watches of one router.

    Args:
        push: sends an entry to the router.
    """

    def __init__(self, port: ShardPort, push: Callable[[bytes], None]) -> None:
        self._port = port
        self._push = push
        self._types: dict[str, OnDue] = {}
        self._jobs: dict[JobKey, OnEnd] = {}

    def add(self, queue_type: str) -> None:
        """Tell the router when the type is due.

        Raises:
            FrameError: the router watches too many types.
        """
        self.drop(queue_type)
        if len(self._types) >= MAX_WATCHES:
            raise FrameError(f"more than {MAX_WATCHES} watches")
        on_due = self._types[queue_type] = partial(self._push_due, queue_type)
        self._port.watch(queue_type, on_due)

    def drop(self, queue_type: str) -> None:
        """Tell the router nothing more of the type."""
        on_due = self._types.pop(queue_type, None)
        if on_due is not None:
            self._port.unwatch(queue_type, on_due)

    def add_job(self, job: JobKey) -> None:
        """Tell the router when the job has perhaps ended.

        Raises:
            FrameError: the router watches too many jobs.
        """
        self.drop_job(job)
        if len(self._jobs) >= MAX_WATCHES:
            raise FrameError(f"more than {MAX_WATCHES} watches of jobs")
        on_end = self._jobs[job] = partial(self._push, frames.encode(JobEnded(job)))
        self._port.watch_job(job, on_end)

    def drop_job(self, job: JobKey) -> None:
        """Tell the router nothing more of the job."""
        on_end = self._jobs.pop(job, None)
        if on_end is not None:
            self._port.unwatch_job(job, on_end)

    def end(self) -> None:
        """Drop all watches."""
        for queue_type in list(self._types):
            self.drop(queue_type)
        for job in list(self._jobs):
            self.drop_job(job)

    def _push_due(self, queue_type: str, in_us: int | None) -> None:
        self._push(frames.encode(Due(queue_type, in_us)))
