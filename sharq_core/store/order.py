"""Which of a pipeline's refused calls may be sent again without coming behind what was queued after them (I3)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sharq_core.errors import SharqError
from sharq_core.store.connections import Command


def to_resend(
    calls: Sequence[Command],
    answers: Sequence[Any | SharqError],
    refusal: type[SharqError],
    indices: Sequence[int] | None = None,
) -> list[int]:
    """The calls that were refused in this way and may be sent again, ascending.

    Not those that would come behind a later call of their own kind that was done: the jobs of a bulk call are queued
    in order or not at all (I3).

    Args:
        indices: the calls that were sent, ascending; None for all.
    """
    refused: list[int] = []
    done: set[Hashable] = set()
    for index in reversed(range(len(calls)) if indices is None else indices):
        kind = _kind(calls[index])
        if not isinstance(answers[index], refusal):
            done.add(kind)
        elif kind not in done:
            refused.append(index)
    return refused[::-1]


def _kind(call: Command) -> Hashable:
    """The function and its first key."""
    return call[1], call[3] if len(call) > 3 else None
