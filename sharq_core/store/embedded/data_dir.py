"""Makes and locks the directory of an embedded store: for this user only, and held by one server at a time."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
from pathlib import Path

from sharq_core.store.embedded.aof_files import FOLDER

log = logging.getLogger("sharq.store")

_LOCK_NAME = "lock"
_ID_NAME = "data-set"
"""The file with the id of the data set that was last found whole in the directory."""
_DATA_ID = re.compile(rb"[0-9a-f]{16}\s*")
_ORPHAN_WAIT_S = 10.0
"""The time in seconds that a killed server's store may need to close its file; it holds the lock meanwhile."""
_LOOK_AGAIN_S = 0.02


class DataDirError(Exception):
    """A data directory that cannot be used; the message says why, and which process holds it if one does."""


async def lock_data_dir(data_dir: Path) -> int:
    """Lock the directory; make it first if it is missing.

    The lock belongs to the open file, so a process that inherits the descriptor holds it too: a store that outlives its
    server keeps the directory locked until it has ended.

    Returns:
        The descriptor of the lock; closing it in every process that has it releases the lock.

    Raises:
        DataDirError: it cannot be made or written, or another process holds it. Nothing was changed in it.
    """
    try:
        descriptor = _open_lock(data_dir)
    except OSError as error:
        raise DataDirError(f"data directory {data_dir}: {error.strerror}") from error
    try:
        await _take(descriptor, data_dir)
        # Overwritten before it is cut: a full disk has no room for a file that was emptied first.
        holder = f"{os.getpid()}\n".encode()
        os.pwrite(descriptor, holder, 0)
        os.ftruncate(descriptor, len(holder))
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError):
            raise DataDirError(f"data directory {data_dir}: {error.strerror}") from error
        raise
    return descriptor


def read_data_id(data_dir: Path) -> str | None:
    """Return the id of the data set that was last found in the directory; None if there is none, or it is unreadable.

    A crash of the machine may leave zeros or nothing in the file. The data beside it says which data set it is.
    """
    path = data_dir / _ID_NAME
    try:
        noted = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("data_id_unreadable path=%s error=%r: it counts as absent", path, error.strerror)
        return None
    if _DATA_ID.fullmatch(noted) is None:
        log.warning(
            "data_id_unreadable path=%s bytes=%d: it is damaged and counts as absent", path, len(noted)
        )
        return None
    return noted.decode().strip()


def write_data_id(data_dir: Path, data_id: str) -> None:
    """Note the id of the directory's data set, whole or not at all; raise OSError on failure."""
    new = data_dir / f"{_ID_NAME}.new"
    new.write_text(f"{data_id}\n", encoding="ascii")
    new.replace(data_dir / _ID_NAME)


def lock_identity(descriptor: int) -> tuple[int, int]:
    """Return device and inode of the lock, by which a directory that was replaced is recognised."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def directory_fault(data_dir: Path, lock: tuple[int, int]) -> str | None:
    """Return what happened to the directory under the running store, in words; None for nothing.

    Args:
        lock: the `lock_identity` of the directory that the store was started on.
    """
    try:
        status = (data_dir / _LOCK_NAME).stat()
    except FileNotFoundError:
        status = None
    if status is None or (status.st_dev, status.st_ino) != lock:
        return f"its data directory {data_dir} was deleted or replaced"
    if not (data_dir / FOLDER).is_dir():
        return f"its append-only files, {data_dir / FOLDER}, were deleted"
    return None


def _open_lock(data_dir: Path) -> int:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def _take(descriptor: int, data_dir: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ORPHAN_WAIT_S
    while not _try_lock(descriptor):
        holder = _holder(descriptor)
        if holder is not None and _is_alive(holder):
            raise DataDirError(f"data directory {data_dir} is in use by process {holder}")
        if loop.time() > deadline:
            raise DataDirError(
                f"data directory {data_dir} is in use by the store of process {holder}, which has ended"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    """Return the process that wrote itself into the lock; None if it has not yet."""
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
