"""Tells other nodes what this node's calls make due, and adds what they report to the ready index.

The workers of one `sharq-server` use it (sharq_server/workers/note_links.py): each of them serves every partition, and
a poll that waits at one must wake up for a job that arrives at another. Times are of this machine's clock
(time.monotonic), which its processes share.
"""

from __future__ import annotations

from collections.abc import Sequence

from shard.index.ready_index import OnNote, ReadyIndex


class DueNotes:
    """The notes of one node's ready index."""

    def __init__(self, index: ReadyIndex) -> None:
        self._index = index

    def listen(self, queue_type: str, on_note: OnNote) -> None:
        """Call on_note now for each partition in which the type waits, and whenever a call makes it due in one."""
        self._index.listeners.setdefault(queue_type, []).append(on_note)
        for partition, due_at in self._index.entries(queue_type):
            on_note(partition, due_at)

    def unlisten(self, queue_type: str, on_note: OnNote) -> None:
        """Stop calling on_note for the type; an unknown one is ignored."""
        listeners = self._index.listeners.get(queue_type, [])
        if on_note in listeners:
            listeners.remove(on_note)
        if not listeners:
            self._index.listeners.pop(queue_type, None)

    def hear(self, queue_type: str, notes: Sequence[tuple[int, float]]) -> None:
        """Take (partition, due time) of a type from another node, and notify the polls that wait here."""
        for partition, due_at in notes:
            self._index.hear(partition, queue_type, due_at)
