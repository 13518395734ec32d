"""Computes the memory limit of the embedded store: a share of this process's memory, unless a setting names it.

At the limit the store refuses new jobs with OOM, which is answered 507.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_MIB = 1 << 20

SERVER_BYTES = 256 * _MIB
"""The memory left for the server itself: requests in flight, answers and the interpreter."""

_NO_LIMIT_BYTES = 1 << 62
"""The least value that means no limit: cgroups version 1 writes a number near 2^63 for none."""


def default_limit_bytes(root: Path = Path("/"), *, servers: int = 1) -> int:
    """Return the limit if no setting names one.

    It is half of the memory without the server's part, or a quarter of all if that is more. The other half is for
    allocator waste and for the copies of pages while the file is rewritten.

    Args:
        servers: the number of processes of the server, each of which needs a part.
        root: the directory of `/proc` and `/sys`.
    """
    total = available_bytes(root)
    return max((total - servers * SERVER_BYTES) // 2, total // 4)


def available_bytes(root: Path = Path("/")) -> int:
    """Return the most memory for this process and its children.

    It is the machine's memory, or the limit of a control group or of the address space if that is lower.
    """
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_group_limits(root)]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups, version 1 and 2, and of their parents."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes",) if controllers else ("memory.max", "memory.high")
        folder = base / group.strip("/")
        # A container sees its own group as the top, whatever its name is outside.
        for place in {folder, *folder.parents, base}:
            if place == base or base in place.parents:
                yield from (limit for name in names for limit in _limit_in(place / name))


def _limit_in(path: Path) -> Iterator[int]:
    text = _read(path).strip()
    if text.isascii() and text.isdecimal() and 0 < int(text) < _NO_LIMIT_BYTES:
        yield int(text)


def _read(path: Path) -> str:
    """Return the content of a file; nothing if it is missing or cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
