"""Keeps apart what measures the machine: no test of this tree runs beside one that is marked `alone`.

Test processes agree by two locked files. The gate lets them in one after the other, so that a test that waits until all
others have ended is not passed by new ones. A process that dies leaves no lock behind.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that must be alone at the end, where they keep few others waiting."""
    items.sort(key=is_alone)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for the room before the test's own time begins."""
    cache = item.config.cache
    assert cache is not None
    with room(cache.mkdir("alone"), is_alone=is_alone(item)):
        return (yield)
