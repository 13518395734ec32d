"""Reads files again while the process runs: it checks them once a second, outside of any request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from sharq_core.errors import ConfigError
from sharq_core.process.sighup import on_reload

log = logging.getLogger("sharq.process")

LOOK_EVERY_S = 1.0

_Signature = tuple[tuple[int, int, int] | None, ...]


def follow_files(stack: AsyncExitStack, paths: Sequence[Path], read_again: Callable[[], None]) -> None:
    """Call read_again whenever a file has changed and at every reload, until the stack's end.

    If a file cannot be used, that is logged once and the values read before stay in force.

    Args:
        paths: the files, which the caller has just read.
        read_again: raises ConfigError, and changes nothing, if the files cannot be used.
    """
    stack.callback(asyncio.create_task(_follow(paths, read_again)).cancel)
    on_reload(", ".join(map(str, paths)), partial(_read_now, read_again), stack)


def _read_now(read_again: Callable[[], None]) -> Sequence[str]:
    read_again()
    return ()


async def _follow(paths: Sequence[Path], read_again: Callable[[], None]) -> None:
    previous = _signature(paths)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        current = _signature(paths)
        if current == previous:
            continue
        previous = current
        try:
            read_again()
        except ConfigError as error:
            log.log(
                logging.ERROR,
                "files_not_read_again error=%r: the values read before stay in force",
                str(error),
            )
        else:
            log.info("files_read_again paths=%s", ",".join(map(str, paths)))


def _signature(paths: Sequence[Path]) -> _Signature:
    return tuple(map(_signature_of, paths))


def _signature_of(path: Path) -> tuple[int, int, int] | None:
    """Return inode, size and time of change: switching a symbolic link, as Kubernetes does, changes them too."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
