"""The memory that the embedded store may take: a share of what this process may have, unless a setting says how much.

Not here: what the store does at its limit (it refuses new jobs with OOM, which is answered 507).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_MIB = 1 << 20

SERVER_BYTES = 256 * _MIB
"""Left for the server itself: requests in flight, answers, and the interpreter."""

_NO_LIMIT_BYTES = 1 << 62
"""The first version of cgroups writes a number near 2^63 for none."""


def default_limit_bytes(root: Path = Path("/")) -> int:
    """Return the limit where no setting gives one: half of what is left after the server's own part, or a quarter of
    all if that is more. The other half is for what the allocator wastes and for the copies of pages while the file is
    rewritten.

    Args:
        root: where `/proc` and `/sys` are.
    """
    total = available_bytes(root)
    return max((total - SERVER_BYTES) // 2, total // 4)


def available_bytes(root: Path = Path("/")) -> int:
    """Return the memory that this process and its children may have at most: the machine's, or less where a control
    group or a limit of the address space says so.
    """
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_group_limits(root)]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def _group_limits(root: Path) -> Iterator[int]:
    """The limits of this process's control groups, version 1 and 2, and of those that they are in."""
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
    """What a file holds; nothing where there is none, or none that may be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
