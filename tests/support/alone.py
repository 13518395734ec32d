"""Keeps apart what measures the machine: no test of this tree runs beside one that is marked `alone`.

Test processes agree by two locked files. The gate lets them in one after the other, so that a test that waits until all
others have ended is not passed by new ones. A process that dies leaves no lock behind.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_HELD = pytest.StashKey[ExitStack]()
_STAYS = pytest.StashKey[bool]()
"""The room that this process holds, and whether it keeps it for its next test."""


@contextmanager
def room(folder: Path, *, is_alone: bool) -> Generator[None]:
    """Hold the room for the length of the block, alone or beside others; waits until it is free."""
    with (folder / "gate").open("wb") as gate, (folder / "room").open("wb") as held:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(held, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def is_alone(item: pytest.Item) -> bool:
    """Return True if a test measures the machine."""
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Wait for the room before the test's own time begins. Tests that must be alone hold it until the last of them."""
    held = item.config.stash.setdefault(_HELD, ExitStack())
    if not item.config.stash.get(_STAYS, False):
        cache = item.config.cache
        assert cache is not None
        held.enter_context(room(cache.mkdir("alone"), is_alone=is_alone(item)))
    stays = item.config.stash[_STAYS] = is_alone(item) and nextitem is not None and is_alone(nextitem)
    try:
        return (yield)
    finally:
        if not stays:
            held.close()
