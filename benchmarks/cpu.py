"""CPU time of a process, by its pid. Linux only: it is read from /proc."""

from __future__ import annotations

from pathlib import Path

from benchmarks.errors import NotRun


def cpu_us(pid: int) -> float:
    """Return CPU time that the threads of a live process have used since their start.

    Raises:
        NotRun: this kernel keeps no such times.

    Cost: one small file a thread.
    """
    if not Path("/proc/self/schedstat").exists():
        raise NotRun("CPU times are read from /proc/<pid>/task/*/schedstat, which is not here")
    times = [file.read_text().split()[0] for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, times)) / 1000
