"""The share of a core that each process of a measurement uses, by which a goal that misses says what bounded it."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence

from benchmarks.figures.spread import median
from benchmarks.processes.cpu import cpu_us

LOAD = "load"
"""The name of the processes that the benchmark ran to their end meanwhile."""


class BusyMeter:
    """The CPU time of named processes from its making on; each must be alive until it is read.

    Args:
        pids: of the processes by their names in the report.
    """

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._started_s = time.perf_counter()
        self._before_us = self._now_us()

    def spent_us(self) -> dict[str, float]:
        """Return the CPU time by name in µs since the making, with that of the load."""
        now_us = self._now_us()
        return {name: now_us[name] - before_us for name, before_us in self._before_us.items()}

    def shares(self) -> dict[str, float]:
        """Return the share of a core by name since the making; more than 1 for several processes or threads."""
        duration_us = (time.perf_counter() - self._started_s) * 1e6
        return {name: spent_us / duration_us for name, spent_us in self.spent_us().items()}

    def _now_us(self) -> dict[str, float]:
        named = {name: sum(map(cpu_us, pids)) for name, pids in self._pids.items()}
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**named, LOAD: (ended.ru_utime + ended.ru_stime) * 1e6}


def typical(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median share of each process over some rounds that have the same processes."""
    return {name: median(shares[name] for shares in rounds) for name in rounds[0]} if rounds else {}
