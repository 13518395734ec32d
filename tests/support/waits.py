"""Waits until something is true. A wait fails at its deadline, so that a test never waits for luck or for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE_S = 60.0
LOOK_AGAIN_S = 0.01
SELDOM_S = 0.25
IDLE = 4
"""A blocking wait is idle for this many times the length of its last look, within the two times above. Some looks ask
each server of a group over a new connection, and would keep a processor busy that the servers need.
"""

ValueT = TypeVar("ValueT")


def wait_until(
    is_true: Callable[[], object], timeout_s: float = DEADLINE_S, what: str = "it is true"
) -> None:
    """Block until a condition is true.

    Raises:
        AssertionError: it was not true within timeout_s; with `what`, which names the condition.
    """
    look_s = time.monotonic()
    deadline_s = look_s + timeout_s
    while not is_true():
        looked_s = time.monotonic()
        assert looked_s < deadline_s, f"waited {timeout_s:g} s until {what}"
        time.sleep(min(max(IDLE * (looked_s - look_s), LOOK_AGAIN_S), SELDOM_S))
        look_s = time.monotonic()


def wait_for_room_in_the_minute(room_s: float) -> None:
    """Block until the minute of the clock has so much left. Counts of the last full minute stay until its end."""
    left_s = 60 - time.time() % 60
    if left_s < room_s:
        time.sleep(left_s)


async def until(
    is_true: Callable[[], object], timeout_s: float = DEADLINE_S, what: str = "it is true"
) -> None:
    """Wait until a condition is true that is quick to read; other tasks run meanwhile.

    Raises:
        AssertionError: it was not true within timeout_s; with `what`, which names the condition.
    """
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s until {what}"
        await asyncio.sleep(LOOK_AGAIN_S)


async def until_answer(
    ask: Callable[[], Awaitable[ValueT]],
    is_right: Callable[[ValueT], object] = bool,
    timeout_s: float = DEADLINE_S,
) -> ValueT:
    """Ask until the answer is right, and return it.

    Raises:
        AssertionError: no answer was right within timeout_s; with the last one.
    """
    deadline_s = time.monotonic() + timeout_s
    while not is_right(answer := await ask()):
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s, the last answer is {answer!r}"
        await asyncio.sleep(LOOK_AGAIN_S)
    return answer
