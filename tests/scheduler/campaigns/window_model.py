"""A model of windows in plain Python, without a store, lines or scores.

Queues have no rate here, and jobs no delay, so that only the windows, the priorities and the order of the enqueues
decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

QUEUED, LEASED, DEAD = "queued", "leased", "dead"


@dataclass
class Window:
    """A window: when it is open, and up to which time that is known; None if it was dropped."""

    openings: list[tuple[int, int]]
    until_us: int
    version: int

    def is_open(self, now_us: int) -> bool:
        return now_us < self.until_us and any(begin <= now_us < end for begin, end in self.openings)


@dataclass
class Job:
    """A job that waits, is leased, or is dead."""

    job_id: str
    queue_id: str
    window: str | None
    ignores: bool
    priority: int
    seq: int
    state: str = QUEUED
    lease: str = ""
    is_deleted: bool = False


@dataclass
class WindowModel:
    """The windows, the settings and the jobs of one gathered type."""

    windows: dict[str, Window] = field(default_factory=dict)
    of_queues: dict[str, str] = field(default_factory=dict)
    of_type: str | None = None
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    last_seq: int = 0

    def next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def is_open(self, name: str, now_us: int) -> bool:
        """A window that was dropped is closed."""
        return name in self.windows and self.windows[name].is_open(now_us)

    def windows_of(self, job: Job) -> list[str]:
        """Return the windows that must be open for a job."""
        if job.ignores:
            return []
        of_queue = self.of_queues.get(job.queue_id) or self.of_type
        return [name for name in (job.window, of_queue) if name is not None]

    def may_leave(self, job: Job, now_us: int) -> bool:
        return all(self.is_open(name, now_us) for name in self.windows_of(job))

    def opens_at(self, job: Job, now_us: int) -> int | None:
        """Return when a waiting job may leave; None if it may now, and if that is not known."""
        names = self.windows_of(job)
        if self.may_leave(job, now_us):
            return None
        begins = [begin for name in names if name in self.windows for begin, _ in self.windows[name].openings]
        return min((at for at in begins if at > now_us and self.may_leave(job, at)), default=None)

    def waiting(self, queue_id: str) -> list[Job]:
        """Return the queued jobs of a queue in its order."""
        found = [job for job in self.jobs.values() if job.queue_id == queue_id and job.state == QUEUED]
        return sorted(found, key=lambda job: (job.priority, job.seq))

    def leasable(self, queue_id: str, now_us: int) -> list[Job]:
        """Return the jobs of a queue that may leave now, in its order."""
        return [job for job in self.waiting(queue_id) if self.may_leave(job, now_us)]

    def queue_ids(self) -> Iterable[str]:
        """Return the queues that have jobs."""
        return sorted({job.queue_id for job in self.jobs.values()})

    def uses(self, name: str) -> int:
        """Return how often a window is used: by the live jobs of a queue, by settings of queues, and by the type."""
        lines = {
            job.queue_id
            for job in self.jobs.values()
            if job.window == name and not job.ignores and job.state != DEAD
        }
        return len(lines) + sum(name == used for used in (*self.of_queues.values(), self.of_type))
