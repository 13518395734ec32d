"""CPU time of a process, by its pid. Linux only: it is read from /proc."""

from __future__ import annotations

from pathlib import Path

from benchmarks.errors import NotRun


class CpuMeter:
    """The CPU time that processes use from its making on."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._before_us = [cpu_us(pid) for pid in pids]

    def spent_us(self) -> list[float]:
        """Return the CPU time of each process since the making, in µs; every process must be alive."""
        return [cpu_us(pid) - before_us for pid, before_us in zip(self._pids, self._before_us, strict=True)]


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a live process.

    Raises:
        NotRun: this kernel does not list them.
    """
    lists = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if not lists:
        raise NotRun("the children of a process are read from /proc/<pid>/task/*/children, which is not here")
    return [int(child) for listed in lists for child in listed.read_text().split()]


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
