"""Defines the subscription through which a router learns that a job has perhaps ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class JobKey(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a job."""

    queue_type: str
    queue_id: str
    job_id: str


OnEnd: TypeAlias = Callable[[], None]
"""A listener for the news that a job is perhaps over."""
