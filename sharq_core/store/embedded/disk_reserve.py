"""Disk space that an embedded store's directory keeps for its end: on a full disk it is given up, so that what was
acknowledged and waits in memory is written.

Not here: when that is done (ending.py).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_NAME = "store.reserve"

_MOST_BYTES = 8 << 20
"""What waits is what came between two writes of the store, and new work is refused after the first that fails."""

_SHARE = 8
"""Of a small disk no more than one part in so many."""

_ROOM = 2
"""It is made where the disk has room for so many: it is not to be what fills the disk."""

_PIECE = bytes(1 << 16)


def keep_reserve(data_dir: Path) -> bool:
    """Make the reserve where it is missing or too small; returns whether it is there."""
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
    """Give its space back to the disk."""
    with suppress(OSError):
        (data_dir / _NAME).unlink(missing_ok=True)


def _fill(path: Path, size: int) -> None:
    """Written and not only made long: a file with holes takes no space."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while (done := os.lseek(descriptor, 0, os.SEEK_CUR)) < size:
            os.write(descriptor, _PIECE[: size - done])
    finally:
        os.close(descriptor)
