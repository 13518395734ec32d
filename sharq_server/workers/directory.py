"""The shards as a worker of `sharq-server` sees them: its own, which does every call, and those of the other workers.

Every worker serves every partition, since all truth is in the store. So a call runs in the worker at which it arrived.
Only a dequeue that found nothing here asks the others, and calls that describe the server as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeVar

from router.shards.link import ShardLink
from shard.index.due_notes import DueNotes
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import FORMATS, Call, Dequeue, OnDue, ShardPort
from sharq_server.workers.note_links import NoteLink

log = logging.getLogger("sharq.server")

ReplyT = TypeVar("ReplyT")


LISTEN_S = 5.0
"""Seconds after a dequeue of a type during which the other workers send notes about it."""

MAX_DEQUEUED = 1000
"""Most types about which they send notes for this reason."""


def link_path(links: Path, number: int) -> Path:
    """Return the socket at which a worker answers the calls of the others."""
    return links / f"calls-{number}"


def notes_path(links: Path, number: int) -> Path:
    """Return the socket at which a worker tells the others what becomes due."""
    return links / f"notes-{number}"


class Sibling:
    """Another worker: the link for calls to it, and the link for its notes."""

    def __init__(self, calls: ShardLink, notes: NoteLink) -> None:
        self.calls = calls
        self.notes = notes

    async def close(self) -> None:
        """End both links."""
        await asyncio.gather(self.calls.close(), self.notes.close())


class OwnShard:
    """The shard of this worker as a `ShardPort`. Those who watch through it hear of the other workers, too.

    The other workers also tell it of the types that were dequeued here in the last seconds, so that the next dequeue
    finds what they have got in the meantime.
    """

    def __init__(self, shard: ShardPort, siblings: dict[int, Sibling]) -> None:
        self._siblings = siblings
        self._watched: dict[str, int] = {}
        self._dequeued: dict[str, float] = {}
        self._shard = shard

    @property
    def watched(self) -> Sequence[str]:
        """The types about which other workers send notes, each as often as it has listeners here."""
        watched = [queue_type for queue_type, times in self._watched.items() for _ in range(times)]
        return [*watched, *self._dequeued]

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Carry out a call here."""
        if isinstance(call, Dequeue):
            self._note_dequeue(call.queue_type)
        return self._shard.call(call)

    def forget_idle(self) -> None:
        """Stop listening to the types that were not dequeued in the last LISTEN_S."""
        oldest = monotonic() - LISTEN_S
        for queue_type in [queue_type for queue_type, at in self._dequeued.items() if at < oldest]:
            del self._dequeued[queue_type]
            for sibling in self._siblings.values():
                sibling.notes.unlisten(queue_type)

    def _note_dequeue(self, queue_type: str) -> None:
        is_new = queue_type not in self._dequeued
        if is_new and len(self._dequeued) >= MAX_DEQUEUED:
            return
        self._dequeued[queue_type] = monotonic()
        if is_new:
            for sibling in self._siblings.values():
                sibling.notes.listen(queue_type)

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the next due time over all workers; see ShardPort."""
        self._watched[queue_type] = self._watched.get(queue_type, 0) + 1
        self._shard.watch(queue_type, on_due)
        for sibling in self._siblings.values():
            sibling.notes.listen(queue_type)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop calling on_due."""
        times = self._watched.get(queue_type, 0)
        if times > 1:
            self._watched[queue_type] = times - 1
        else:
            self._watched.pop(queue_type, None)
        self._shard.unwatch(queue_type, on_due)
        for sibling in self._siblings.values():
            sibling.notes.unlisten(queue_type)

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Call on_end when a call through any worker has perhaps ended the job."""
        self._shard.watch_job(job, on_end)
        for sibling in self._siblings.values():
            sibling.calls.watch_job(job, on_end)

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Stop calling on_end."""
        self._shard.unwatch_job(job, on_end)
        for sibling in self._siblings.values():
            sibling.calls.unwatch_job(job, on_end)


class WorkerDirectory:
    """The `Directory` of a worker.

    Args:
        number: the number of this worker.
        shard: the shard of this worker.
        notes: takes what the other workers tell.
        links: the private directory of the sockets.
        timeout_s: the timeout of a call to another worker, in seconds.

    Attributes:
        siblings: the other workers that run now, by number.
        sole_owner: the shard of this worker, which serves every partition.
    """

    def __init__(
        self,
        number: int,
        shard: ShardPort,
        notes: DueNotes,
        partitions: int,
        links: Path,
        secret: str,
        timeout_s: float,
    ) -> None:
        self.partitions = partitions
        self.formats = FORMATS
        self.second_tries = 0
        self.siblings: dict[int, Sibling] = {}
        self._number = number
        self._notes = notes
        self._links = links
        self._secret = secret
        self._timeout_s = timeout_s
        self._own = OwnShard(shard, self.siblings)
        self.sole_owner: ShardPort = self._own
        self._shards: Sequence[ShardPort] = (self._own,)
        self._informed = self._shards
        self._listeners: list[Callable[[], None]] = []
        self._following = asyncio.Lock()

    async def follow(self, numbers: Sequence[int]) -> None:
        """Keep links to the workers with these numbers, besides this one. Calls are carried out in their order."""
        async with self._following:
            others = set(numbers) - {self._number}
            ended = [self.siblings.pop(number) for number in self.siblings.keys() - others]
            for number in sorted(others - self.siblings.keys()):
                self.siblings[number] = await self._connect(number)
            self._settle()
            await asyncio.gather(*(sibling.close() for sibling in ended))

    async def run(self) -> None:
        """Forget types that are not dequeued any more, until cancelled."""
        while True:
            await asyncio.sleep(LISTEN_S / 2)
            self._own.forget_idle()

    async def close(self) -> None:
        """End every link."""
        await self.follow(())

    def owner(self, _partition: int, /) -> ShardPort:
        """Return the shard of this worker, which serves every partition."""
        return self._own

    def shards(self) -> Sequence[ShardPort]:
        """Return the shard of this worker, and those of the others that can be reached."""
        if any(sibling.calls.is_suspect for sibling in self.siblings.values()):
            return (
                self._own,
                *(sibling.calls for sibling in self.siblings.values() if not sibling.calls.is_suspect),
            )
        return self._shards

    def informed(self, _shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        """Return the shard of this worker: the others tell it what its polls wait for."""
        return self._informed

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever another worker came or went."""
        self._listeners.append(tell)

    def stand_in(self, _partition: int, _failed: ShardPort, /) -> ShardPort | None:
        """Return None: the other workers use the same store over the same way."""
        return None

    def doubt(self, shard: ShardPort) -> None:
        """Do nothing: the other workers use the same store over the same way."""

    async def covered(self) -> None:
        """Return at once: every worker serves every partition."""

    async def _connect(self, number: int) -> Sibling:
        calls = ShardLink(
            f"worker-{number}",
            self._secret,
            on_view=lambda _: None,
            on_down=lambda _: self._settle(),
            timeout_s=self._timeout_s,
            socket_path=link_path(self._links, number),
        )
        await calls.start()
        notes = NoteLink(notes_path(self._links, number), self._secret, self._notes)
        for queue_type in self._own.watched:
            notes.listen(queue_type)
        return Sibling(calls, notes)

    def _settle(self) -> None:
        self._shards = (self._own, *(sibling.calls for sibling in self.siblings.values()))
        for tell in self._listeners:
            tell()
