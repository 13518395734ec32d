"""Files that are read again while the process runs: looked at once a second, on no request's time.

Not here: what is in them (router/http/tokens.py, sharq_core/process/tls.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from sharq_core.errors import ConfigError
from sharq_core.process.reloading import on_reload

log = logging.getLogger("sharq.process")

LOOK_EVERY_S = 1.0

_Signature = tuple[tuple[int, int, int] | None, ...]


def follow_files(stack: AsyncExitStack, paths: Sequence[Path], read_again: Callable[[], None]) -> None:
    """Call read_again whenever a file is another than it was, and at every reload, until the stack's end.

    One that cannot be used is said in the log, once, and what was read before stays in force.

    Args:
        paths: read by the caller just before.
        read_again: raises ConfigError and has changed nothing when the files cannot be used.
    """
    stack.callback(asyncio.create_task(_follow(paths, read_again)).cancel)
    on_reload(", ".join(map(str, paths)), partial(_read_now, read_again), stack)


def _read_now(read_again: Callable[[], None]) -> Sequence[str]:
    read_again()
    return ()


async def _follow(paths: Sequence[Path], read_again: Callable[[], None]) -> None:
    known = _signature(paths)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now = _signature(paths)
        if now == known:
            continue
        known = now
        try:
            read_again()
        except ConfigError as error:
            log.log(logging.ERROR, "files_not_read_again error=%r: what was read before stays", str(error))
        else:
            log.info("files_read_again paths=%s", ",".join(map(str, paths)))


def _signature(paths: Sequence[Path]) -> _Signature:
    return tuple(map(_signature_of, paths))


def _signature_of(path: Path) -> tuple[int, int, int] | None:
    """Inode, size and time of change: a symbolic link that is turned, as Kubernetes does, changes them too."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
