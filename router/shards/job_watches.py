"""Keeps the jobs whose ends a router watches at one shard, and subscribes to them over the link."""

from __future__ import annotations

from sharq_core.link.frames import SubscribeJob, UnsubscribeJob, encode
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.socket import Outbox


class JobWatches:
    """The watched jobs of one shard. The outbox of a link that is down is None."""

    def __init__(self) -> None:
        self._watchers: dict[JobKey, list[OnEnd]] = {}

    def add(self, job: JobKey, on_end: OnEnd, outbox: Outbox[int] | None) -> None:
        """Call on_end whenever the shard says that a job is perhaps over."""
        watchers = self._watchers.setdefault(job, [])
        watchers.append(on_end)
        if len(watchers) == 1 and outbox is not None:
            outbox.add(encode(SubscribeJob(job)), 0)

    def remove(self, job: JobKey, on_end: OnEnd, outbox: Outbox[int] | None) -> None:
        """Stop calling on_end; an unknown one is ignored."""
        watchers = self._watchers.get(job, [])
        if on_end not in watchers:
            return
        watchers.remove(on_end)
        if not watchers:
            del self._watchers[job]
            if outbox is not None:
                outbox.add(encode(UnsubscribeJob(job)), 0)

    def repeat(self, outbox: Outbox[int]) -> None:
        """Subscribe to all jobs over a new connection."""
        for job in self._watchers:
            outbox.add(encode(SubscribeJob(job)), 0)

    def tell(self, job: JobKey) -> None:
        """Tell the watchers of a job that it is perhaps over."""
        for on_end in list(self._watchers.get(job, ())):
            on_end()

    def tell_all(self) -> None:
        """Tell all watchers: the link broke, and a notice may have been lost."""
        for job in list(self._watchers):
            self.tell(job)
