"""Runs a program of the project with a watch on its event loop:
`python -m tests.support.processes.watched MODULE ARGUMENTS...`.

The longest time for which the loop was held since the last scrape stands at /metrics as `longest_hold_cpu_seconds`, the
processor time that the loop's thread took, and `longest_hold_seconds`, what a clock on the wall showed: on a busy
machine the second counts other programs too.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from sharq_core.process import metrics

LOOK_EVERY_S = 0.001


class Watch:
    """Wakes up all the time, and notes how long it could not.

    Attributes:
        longest_cpu_s: processor time of this thread between two looks, at most.
        longest_wall_s: how late a look was, at most.
    """

    def __init__(self) -> None:
        self.longest_cpu_s = 0.0
        self.longest_wall_s = 0.0
        self._is_scraped = False

    async def run(self) -> None:
        """Look forever."""
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_cpu_s, now_wall_s = time.thread_time(), time.perf_counter()
            if self._is_scraped:  # the scrape itself is not what is measured
                cpu_s, wall_s, self._is_scraped = now_cpu_s, now_wall_s, False
                continue
            self.longest_cpu_s = max(self.longest_cpu_s, now_cpu_s - cpu_s)
            self.longest_wall_s = max(self.longest_wall_s, now_wall_s - wall_s - LOOK_EVERY_S)
            cpu_s, wall_s = now_cpu_s, now_wall_s

    def take(self, name: str) -> float:
        """Return an attribute, and begin anew after the scrape that asks for it."""
        self._is_scraped = True
        value: float = getattr(self, name)
        setattr(self, name, 0.0)
        return value


def watch(registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    """Begin to watch the running loop."""
    one = Watch()
    stack.callback(asyncio.create_task(one.run()).cancel)
    for name, attribute in (
        ("longest_hold_cpu_seconds", "longest_cpu_s"),
        ("longest_hold_seconds", "longest_wall_s"),
    ):
        Gauge(name, "Longest hold of the loop since the last scrape.", registry=registry).set_function(
            partial(one.take, attribute)
        )


def main() -> int:
    """Run the module's main with the watch in the place of what measures the process."""
    name, *arguments = sys.argv[1:]
    module = importlib.import_module(name)
    measure = metrics.measure_process

    def measure_and_watch(registry: CollectorRegistry, stack: AsyncExitStack) -> None:
        measure(registry, stack)
        watch(registry, stack)

    module.measure_process = measure_and_watch  # type: ignore[attr-defined]
    status: int = module.main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
