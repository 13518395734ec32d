"""Writes the state file, which lists the processes for scripts and tests, and the targets for Prometheus.

Both files exist from readiness to the stop.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_READABLE = 0o644


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


class Targets(msgspec.Struct, frozen=True):
    """A process as the service discovery of Prometheus by files (`file_sd_configs`) names it.

    Attributes:
        targets: its address, HOST:PORT.
        labels: the labels of its series.
    """

    targets: tuple[str, ...]
    labels: dict[str, str]


def write_state(path: Path, processes: Sequence[ProcessState]) -> None:
    """Write the state file atomically: a reader finds the whole file or none.

    Raises:
        OSError: the file cannot be written.
    """
    _write_json(path, State(tuple(processes)))


def write_targets(path: Path, cluster: str, names: Mapping[str, ProcessState]) -> None:
    """Write the routers and shards atomically as targets for Prometheus. Its dashboards and alerts use the labels.

    Args:
        cluster: the name of this cluster, which keeps its series apart from those of others.
        names: the processes by their names, which become their label `instance`. Stores are left out.

    Raises:
        OSError: the file cannot be written.
    """
    rows = [
        Targets(
            (urlsplit(process.url).netloc,),
            {"job": f"sharq-{process.role}", "cluster": cluster, "instance": name},
        )
        for name, process in names.items()
        if process.role != "store"
    ]
    _write_json(path, rows)


def _write_json(path: Path, content: object) -> None:
    """Write a file beside the old one and put it in its place. Any user may read it: it holds no secret.

    Raises:
        OSError: it cannot be written; the error names it.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
    try:
        _put_in_place(path, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _put_in_place(path: Path, text: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        unfinished.chmod(_READABLE)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink()
        raise
