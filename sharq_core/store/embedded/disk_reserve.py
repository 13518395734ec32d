"""Reserves disk space in an embedded store's directory for the stop.

On a full disk the reserve is released, so that acknowledged work that waits in memory can be written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_NAME = "store.reserve"

_MOST_BYTES = 8 << 20
"""The size of the reserve.

The waiting work came between two writes of the store, and new work is refused after the first write that fails.
"""

_SHARE = 8
"""The reserve takes at most one part in eight of a small disk."""

_ROOM = 2
"""The reserve is made only if the disk has room for two of it: it must not be what fills the disk."""

_PIECE = bytes(1 << 16)


def keep_reserve(data_dir: Path) -> bool:
    """Make the reserve if it is missing or too small; return True if it exists."""
    path = data_dir / _NAME
    try:
        disk = os.statvfs(data_dir)
        wanted = min(_MOST_BYTES, disk.f_blocks * disk.f_frsize // _SHARE)
        if path.exists() and path.stat().st_size >= wanted:
            return True
        if disk.f_bavail * disk.f_frsize < _ROOM * wanted:
            return False
        _fill(path, wanted)
    except OSError:
        give_up_reserve(data_dir)
        return False
    return True


def give_up_reserve(data_dir: Path) -> None:
    """Release the reserve's space to the disk."""
    with suppress(OSError):
        (data_dir / _NAME).unlink(missing_ok=True)


def _fill(path: Path, size: int) -> None:
    """Write the file out instead of extending it: a file with holes takes no space."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while (done := os.lseek(descriptor, 0, os.SEEK_CUR)) < size:
            os.write(descriptor, _PIECE[: size - done])
    finally:
        os.close(descriptor)
