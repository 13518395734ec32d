"""Selects the refused calls of a pipeline that may be sent again without coming behind calls queued after them (I3)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sharq_core.errors import SharqError
from sharq_core.store.commands import FcallCommand


def to_resend(
    calls: Sequence[FcallCommand],
    answers: Sequence[Any | SharqError],
    refusal: type[SharqError],
    indices: Sequence[int] | None = None,
) -> list[int]:
    """Return the calls that were refused in this way and may be sent again, ascending.

    A call is left out if it would come behind a later call of its own kind that was done, alone or merged with others:
    the jobs of a bulk call are queued in order or not at all (I3).

    Args:
        indices: the calls that were sent, ascending; None for all.
    """
    sent = range(len(calls)) if indices is None else indices
    if not any(isinstance(answers[index], refusal) for index in sent):
        return []
    refused: list[int] = []
    done: set[Hashable] = set()
    # Backwards, so that `done` holds the kinds of every later call that was done.
    for index in reversed(sent):
        kinds = calls[index].kinds
        if not isinstance(answers[index], refusal):
            done.update(kinds)
        elif done.isdisjoint(kinds):
            refused.append(index)
    return refused[::-1]
