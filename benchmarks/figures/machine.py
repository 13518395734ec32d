"""Describes the machine of a benchmark by facts that may be published: no host names, paths or addresses."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

_PACKAGES = ("aiohttp", "hiredis", "msgspec", "redis", "uvloop")
_UNKNOWN = "unknown"


class Machine(msgspec.Struct, frozen=True):
    """The machine and the programs of a run.

    Attributes:
        memory_gib: the memory of the machine, rounded.
        load: runnable processes in the last minute, at the start: well above 0 means that others disturbed the run.
        versions: the version of each package; "missing" for one that is not installed.
        date: the time of the run in UTC, to the minute.
    """

    cpu: str
    cores: int
    memory_gib: int
    kernel: str
    python: str
    load: float
    versions: dict[str, str]
    date: str


def describe() -> Machine:
    """Return the facts of this machine, now."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 0,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=round(os.getloadavg()[0], 2),
        versions={name: _version_of(name) for name in _PACKAGES},
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _cpu_model() -> str:
    """Return the kernel's name of the processor, or the architecture if it has none."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine() or _UNKNOWN


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
