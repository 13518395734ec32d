"""Defines the calls about windows, which every partition keeps.

All are of format 4, so a router sends none before every member knows them. Their queue type is empty.
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.campaigns.windows import DropStatus, PutOutcome, StoredWindow, WindowPage
from sharq_core.link.messages import PartitionCall


class PutWindow(PartitionCall[PutOutcome], frozen=True):
    """A call that puts a window into one partition; the shard computes its openings.

    Attributes:
        name: the name of the window.
        definition: the JSON text of a Window.
        version: the version that its home partition gave the definition; 0 lets the partition give it, as the home
            partition of the window does.
    """

    function: ClassVar[str] = "put_window"
    formats: ClassVar[int] = 4

    name: str
    definition: bytes
    version: int


class GetWindow(PartitionCall[StoredWindow | None], frozen=True):
    """A call for a window as one partition keeps it; None if it has none of this name."""

    function: ClassVar[str] = "get_window"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 4

    name: str


class GetWindows(PartitionCall[WindowPage], frozen=True):
    """A call for up to `limit` windows of one partition from `scan` on (0: from the start)."""

    function: ClassVar[str] = "get_windows"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 4

    scan: int
    limit: int


class DropWindow(PartitionCall[DropStatus], frozen=True):
    """A call that removes a window from one partition, unless a queue or a gathered type uses it there."""

    function: ClassVar[str] = "drop_window"
    formats: ClassVar[int] = 4

    name: str
