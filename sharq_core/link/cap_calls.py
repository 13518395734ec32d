"""Defines the calls about named caps. All but GetCapUses go to the home partition of their cap.

All are of format 7, so a router sends none before every member knows them. Their queue type is empty.
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.caps import CapDefinition, CapPage, CapState, CapUses
from sharq_core.link.messages import PartitionCall


class PutCap(PartitionCall[CapState | None], frozen=True):
    """A call that defines a cap, or defines it anew; None if the partition has as many caps as it may.

    Attributes:
        hold_us: no slot is due for this time from now; a hold only grows. 0 ends the hold, and None leaves it as it is.
    """

    function: ClassVar[str] = "put_cap"
    formats: ClassVar[int] = 7

    name: str
    definition: CapDefinition
    hold_us: int | None = None


class GetCap(PartitionCall[CapState | None], frozen=True):
    """A call for the state of a cap; None if there is none of this name."""

    function: ClassVar[str] = "get_cap"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 7

    name: str


class DropCap(PartitionCall[bool], frozen=True):
    """A call that drops a cap, so that its queues stand still; False if there is none of this name."""

    function: ClassVar[str] = "drop_cap"
    formats: ClassVar[int] = 7

    name: str


class HoldCap(PartitionCall[bool], frozen=True):
    """A call that holds a cap for a time from now; False if there is none of this name."""

    function: ClassVar[str] = "cap_hold"
    formats: ClassVar[int] = 7

    name: str
    hold_us: int


class ListCaps(PartitionCall[CapPage], frozen=True):
    """A call for about `limit` caps whose home is one partition, from `scan` on (0: from the start)."""

    function: ClassVar[str] = "list_caps"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 7

    scan: int
    limit: int


class GetCapUses(PartitionCall[CapUses], frozen=True):
    """A call for the numbers of queues and jobs of one partition that have a cap, from the set `after` on."""

    function: ClassVar[str] = "cap_uses"
    is_read: ClassVar[bool] = True
    formats: ClassVar[int] = 7

    name: str
    after: int = 0
