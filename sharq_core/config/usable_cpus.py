"""Counts the processors that this process may use, for `workers = auto`."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """Return the number of processors that this process may use, at least 1.

    It is the number of processors that the system gives the process, or the quota of its control group, rounded up, if
    that is less: a container with a quota of two processors sees all those of its machine.

    Args:
        root: the directory of `/sys`.
    """
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(given, *_quotas(root), given), 1)


def _quotas(root: Path) -> list[int]:
    """Return the quota of the control group that a container sees as the top (version 2, else 1), in processors."""
    group = root / "sys/fs/cgroup"
    match _read(group / "cpu.max").split():
        case [quota, period]:
            return _processors(quota, period)
    return _processors(_read(group / "cpu/cpu.cfs_quota_us"), _read(group / "cpu/cpu.cfs_period_us"))


def _processors(quota: str, period: str) -> list[int]:
    """Return the processors of a quota; nothing if there is none (`max`, or -1)."""
    if not (quota.strip().isdecimal() and period.strip().isdecimal() and int(period)):
        return []
    return [math.ceil(int(quota) / int(period))]


def _read(path: Path) -> str:
    """Return the content of a file; nothing if it is missing or cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
