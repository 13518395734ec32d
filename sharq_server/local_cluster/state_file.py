"""The state file: which processes serve, for scripts and tests. It is there only while all of that is true or was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec


class ProcessState(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        role: router, shard or store.
        pid: of the process that serves.
        url: where: http://, or redis:// for a store.
    """

    role: str
    pid: int
    url: str


class State(msgspec.Struct, frozen=True):
    """The processes, routers first, as they were when all was ready."""

    processes: tuple[ProcessState, ...]


def write_state(path: Path, processes: Sequence[ProcessState]) -> None:
    """Put the file in place whole: a reader finds all of it or nothing.

    Raises:
        OSError: it cannot be written.
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
