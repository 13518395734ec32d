"""Says whether processes have ended that are not this process's children."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.support.waits import DEADLINE_S, wait_until


def is_alive(pid: int) -> bool:
    """Return True if the process has not ended; one that only waits to be reaped has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def until_gone(pids: Iterable[int], timeout_s: float = DEADLINE_S) -> None:
    """Wait until all the processes have ended."""
    awaited = list(pids)
    wait_until(lambda: not any(map(is_alive, awaited)), timeout_s, f"none of {awaited} is there")
