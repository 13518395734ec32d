"""Lists every type of call, for the codec of the link and for the handlers of a shard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sharq_core.link import (  # noqa: F401 - their types of calls are in the list, too
    cap_calls,
    control_calls,
    job_calls,
    load_calls,
)
from sharq_core.link.campaigns import batch_calls, schedule_calls, window_calls  # noqa: F401
from sharq_core.link.messages import Call


def _call_types(base: type[Call[Any]]) -> Iterator[type[Call[Any]]]:
    call_types = base.__subclasses__()
    if not call_types:
        yield base
    for call_type in call_types:
        yield from _call_types(call_type)


CALLS: tuple[type[Call[Any]], ...] = tuple(_call_types(Call))
"""Every type of call."""
