"""CPU time of a process, by its pid. Linux only: it is read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.errors import NotRun

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> float:
    """User and system time of all threads of a live process since its start, in steps of a clock tick (10 ms).

    Raises:
        NotRun: this system has no /proc.
    """
    if not Path("/proc/self/stat").exists():
        raise NotRun("CPU times are read from /proc, which is not here")
    # The name, in parentheses, may hold blanks: utime and stime are the 12th and 13th words after it.
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * _TICK_US
