"""Writes the state file, which lists the processes for scripts and tests. It exists from readiness to the stop."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec


class ProcessState(msgspec.Struct, frozen=True):
    """One process of the cluster.

    Attributes:
        role: router, shard or store.
        pid: its process id.
        url: its address: http://, or redis:// for a store.
    """

    role: str
    pid: int
    url: str


class State(msgspec.Struct, frozen=True):
    """The processes, routers first, as they were when all was ready."""

    processes: tuple[ProcessState, ...]

    def of(self, role: str) -> list[ProcessState]:
        """Return the processes of a role, in their order."""
        return [process for process in self.processes if process.role == role]


def write_state(path: Path, processes: Sequence[ProcessState]) -> None:
    """Write the file atomically: a reader finds the whole file or none.

    Raises:
        OSError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(State(tuple(processes))), indent=2) + b"\n"
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink()
        raise
